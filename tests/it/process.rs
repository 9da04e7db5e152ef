//! The program itself, as a service manager meets it. It listens at unix sockets, so that no port is needed.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::harness::{Answer, Metrics, Wire, directory, repeatedly, soon};
use crate::program::ended;

/// A running wsgate; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    directory: TempDir,
}

impl Process {
    /// Starts one with a listener `main`, and waits until it is ready and hears signals.
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::started(yaml, |file| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
            command.args(["run", "--config"]).arg(file);
            command
        })
        .await
    }

    /// As [`Process::start`], with `count` descriptors and no more.
    pub(crate) async fn start_with_descriptors(count: u32, yaml: &str) -> Self {
        let script = format!("ulimit -n {count}; exec \"$0\" run --config \"$1\"");
        Self::start_by(&script, yaml).await
    }

    /// As [`Process::start`], with an access log on a disk that is full.
    pub(crate) async fn start_on_a_full_disk(yaml: &str) -> Self {
        Self::start_by("exec \"$0\" run --config \"$1\" > /dev/full", yaml).await
    }

    /// As [`Process::start`], by a parent that blocks all signals.
    pub(crate) async fn start_with_signals_blocked(yaml: &str) -> Self {
        Self::start_by("exec env --block-signal \"$0\" run --config \"$1\"", yaml).await
    }

    /// As [`Process::start`], with an access log that is a file of a few KiB.
    pub(crate) async fn start_with_small_files(yaml: &str) -> Self {
        let script = "ulimit -f 10; exec \"$0\" run --config \"$1\" > \"$1.access\"";
        Self::start_by(script, yaml).await
    }

    /// As [`Process::start`], on a system that trusts these authorities and no others.
    pub(crate) async fn start_trusting(authorities: &Path, yaml: &str) -> Self {
        let file = authorities.display();
        let script = format!("SSL_CERT_FILE='{file}' exec \"$0\" run --config \"$1\"");
        Self::start_by(&script, yaml).await
    }

    /// As [`Process::start`], by a service manager that hears what it is told at this socket (sd_notify(3)).
    pub(crate) async fn start_supervised(socket: &Path, yaml: &str) -> Self {
        let script = format!(
            "NOTIFY_SOCKET='{}' exec \"$0\" run --config \"$1\"",
            socket.display()
        );
        Self::start_by(&script, yaml).await
    }

    async fn start_by(script: &str, yaml: &str) -> Self {
        Self::started(yaml, |file| {
            let mut command = Command::new("sh");
            command.arg("-c").arg(script);
            command.arg(env!("CARGO_BIN_EXE_wsgate")).arg(file);
            command
        })
        .await
    }

    /// Starts one that reads its configuration from a pipe into which nobody writes yet, and waits until it hears
    /// signals.
    pub(crate) async fn start_hungry() -> Self {
        let process = Self::spawned(directory(), Stdio::piped(), |_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
            command.args(["run", "--config", "/dev/stdin"]);
            command
        });
        let hears = async || process.hears_signals().then_some(());
        repeatedly("the program hears signals", hears).await;
        process
    }

    /// Starts the demo, and waits until it is ready. It listens at ports of its own.
    pub(crate) async fn start_demo() -> Self {
        let process = Self::spawned(directory(), Stdio::null(), |_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
            let ports = ["page", "ws", "wss", "admin"].map(|name| format!("--{name}-port=0"));
            command.arg("demo").args(ports);
            command
        });
        let is_ready = async || process.log().contains(" ready ").then_some(());
        repeatedly("the demo is ready", is_ready).await;
        process
    }

    /// Gives it the configuration that it waits for, and waits until it is ready.
    pub(crate) async fn feed(&mut self, yaml: &str) {
        let mut pipe = self.child.stdin.take().expect("it waits for one");
        let text = text(self.directory.path(), yaml);
        let written = soon("the pipe", pipe.write_all(text.as_bytes())).await;
        written.expect("the program reads");
        drop(pipe);
        self.ready().await;
    }

    async fn started(yaml: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        let directory = directory();
        write(directory.path(), yaml);
        let process = Self::spawned(directory, Stdio::null(), command);
        process.ready().await;
        process
    }

    fn spawned(directory: TempDir, stdin: Stdio, command: impl FnOnce(&Path) -> Command) -> Self {
        let log = std::fs::File::create(directory.path().join("log"));
        let child = command(&directory.path().join("wsgate.yaml"))
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(log.expect("the directory takes files"))
            .kill_on_drop(true)
            .spawn();
        Self {
            child: child.expect("the program starts"),
            directory,
        }
    }

    async fn ready(&self) {
        let ready = async || (self.hears_signals() && self.is_ready().await).then_some(());
        repeatedly("the program is ready", ready).await;
    }

    fn id(&self) -> i32 {
        let id = self.child.id().expect("the program runs");
        i32::try_from(id).expect("a process id")
    }

    /// A line of its status, as proc(5) has it.
    fn status(&self, key: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default()
            .trim_start_matches(':')
            .trim()
            .to_owned()
    }

    fn hears_signals(&self) -> bool {
        let caught = u64::from_str_radix(&self.status("SigCgt"), 16).unwrap_or(0);
        let signals = [Signal::HUP, Signal::INT, Signal::TERM];
        signals
            .iter()
            .all(|signal| caught >> (signal.as_raw() - 1) & 1 == 1)
    }

    async fn is_ready(&self) -> bool {
        UnixStream::connect(self.path("admin")).await.is_ok()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Bytes of memory that it has in use.
    pub(crate) fn memory(&self) -> usize {
        let kibibytes = self.status("VmRSS");
        let kibibytes = kibibytes.trim_end_matches(" kB").parse::<usize>();
        kibibytes.expect("a number of kB") * 1024
    }

    /// How many rings of io_uring it has.
    pub(crate) fn rings(&self) -> usize {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.id()));
        let descriptors = descriptors.expect("the program runs").flatten();
        let targets = descriptors.flat_map(|descriptor| std::fs::read_link(descriptor.path()));
        let is_ring = |target: &PathBuf| target.as_os_str() == "anon_inode:[io_uring]";
        targets.filter(is_ring).count()
    }

    /// Writes another configuration without telling it.
    pub(crate) fn rewrite(&self, yaml: &str) {
        write(self.directory.path(), yaml);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id()).expect("a process id");
        kill_process(id, signal).expect("the program runs");
    }

    /// How it ended.
    pub(crate) async fn exit_code(&mut self) -> i32 {
        // Waiting closes what is still there, and one that waits for its configuration would find it empty.
        let _pipe = self.child.stdin.take();
        let status = soon("the end of the program", self.child.wait()).await;
        let status = status.expect("it can be waited for");
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");
        let code = status.code();
        code.unwrap_or_else(|| panic!("ended by signal {:?}: {log}", status.signal()))
    }

    /// What it has said of itself so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).expect("it has a log")
    }

    /// The address of its listener on TCP, from its log.
    pub(crate) async fn tcp_address(&self) -> SocketAddr {
        let port = async || {
            let log = self.log();
            let (_, port) = log.split_once("127.0.0.1:")?;
            let (port, _) = port.split_once(|byte: char| !byte.is_ascii_digit())?;
            port.parse::<u16>().ok()
        };
        let port = repeatedly("it listens on TCP", port).await;
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Connects to the listener `main`.
    pub(crate) async fn connect(&self) -> Wire<UnixStream> {
        self.connect_to("main").await
    }

    async fn connect_to(&self, socket: &str) -> Wire<UnixStream> {
        let connecting = UnixStream::connect(self.path(socket));
        let stream = soon("a connection", connecting).await;
        Wire::new(stream.expect("the socket takes connections"))
    }

    /// Has the program ask it to reload. The exit code of that, and all that it said.
    pub(crate) async fn ask_for_reload(&self) -> (Option<i32>, String) {
        self.ask_for_reload_with(&[]).await
    }

    /// What `--admin` takes.
    pub(crate) fn admin_address(&self) -> String {
        format!("unix:{}", self.path("admin").display())
    }

    /// The same with further arguments.
    pub(crate) async fn ask_for_reload_with(&self, more: &[&str]) -> (Option<i32>, String) {
        let file = self.path("wsgate.yaml");
        let file = file.to_str().expect("a path in letters");
        ended(&[&["reload", "--config", file], more].concat()).await
    }

    /// Has the program check the configuration. The exit code of that, and all that it said.
    pub(crate) async fn check(&self) -> (Option<i32>, String) {
        let file = self.path("wsgate.yaml");
        let file = file.to_str().expect("a path in letters");
        ended(&["check", "--config", file]).await
    }

    /// Whether a unix socket of it lies in its directory.
    pub(crate) fn leaves_a_socket(&self) -> bool {
        ["main", "admin"]
            .iter()
            .any(|name| self.path(name).exists())
    }

    /// Whether its listener can be connected to.
    pub(crate) async fn is_open(&self) -> bool {
        UnixStream::connect(self.path("main")).await.is_ok()
    }

    /// Asks `main` for `/`.
    pub(crate) async fn ask(&self) -> Answer {
        get(self.connect().await, "/").await
    }

    /// Asks the admin side.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        get(self.connect_to("admin").await, path).await
    }

    /// Has it read its file again.
    pub(crate) async fn reload(&self) -> Answer {
        let mut wire = self.connect_to("admin").await;
        wire.send("POST /reload HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            .await;
        wire.answer().await
    }

    /// Everything that is counted now.
    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::read(&self.admin("/metrics").await.body)
    }
}

async fn get(mut wire: Wire<UnixStream>, path: &str) -> Answer {
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\n\r\n"))
        .await;
    wire.answer().await
}

fn write(directory: &Path, yaml: &str) {
    let written = std::fs::write(directory.join("wsgate.yaml"), text(directory, yaml));
    written.expect("the directory takes files");
}

fn text(directory: &Path, yaml: &str) -> String {
    let at = |name: &str| format!("unix:{}", directory.join(name).display());
    let (admin, main) = (at("admin"), at("main"));
    // What it costs is not to depend on the number of cores.
    let runtime = match yaml.lines().any(|line| line.starts_with("runtime:")) {
        true => "",
        false => "runtime: { workers: 2 }\n",
    };
    // What follows may go on with the keys of the listener.
    format!(
        "admin: {{ address: \"{admin}\" }}\n{runtime}listeners:\n  main:\n    address: \"{main}\"\n{yaml}"
    )
}
