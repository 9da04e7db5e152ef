//! A proxy as a running process: started on its core, asked what it used, ended in any case.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{self, Cores, Memory};

const START_DEADLINE: Duration = Duration::from_secs(10);
const STOP_DEADLINE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(10);

/// A proxy's processes. Dropping it ends them.
pub(crate) struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts the command on the proxy's core and waits until it listens at `address`.
    pub(crate) fn start(
        mut command: Command,
        cores: Cores,
        address: SocketAddr,
        directory: &Path,
    ) -> Result<Self> {
        let output = directory.join("output.txt");
        let file = File::create(&output)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        // A child inherits the core of the thread that starts it.
        machine::pin(cores.proxy)?;
        let child = command.spawn();
        machine::pin(cores.generator)?;
        let child = child.with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut process = Self { child, output };
        process.wait_until_listening(address)?;
        Ok(process)
    }

    fn wait_until_listening(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once ({status}): {}", self.output());
            }
            if Instant::now() > deadline {
                bail!("it did not listen in time: {}", self.output());
            }
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    /// Processor time used so far.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        machine::processor_time(&self.family()?)
    }

    /// Memory held now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        machine::memory(&self.family()?)
    }

    /// The child and its workers. Asked for anew each time: nginx listens before it has a worker.
    fn family(&self) -> Result<Vec<u32>> {
        machine::family(self.child.id())
    }

    /// What the proxy wrote.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    fn signal(&self, process: u32, signal: Signal) {
        let number = i32::try_from(process).ok().and_then(Pid::from_raw);
        // One that has ended already is what is wanted.
        let _ = number.map(|number| kill_process(number, signal));
    }

    fn wait(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(STEP);
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(self.child.id(), Signal::TERM);
        if self.wait(STOP_DEADLINE) {
            return;
        }
        for process in self.family().unwrap_or_default() {
            self.signal(process, Signal::KILL);
        }
        // Killed; it is only to be reaped.
        let _ = self.child.wait();
    }
}
