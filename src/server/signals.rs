//! Signals as commands.
//!
//! There are two `unsafe` blocks, as no library here can change the signal mask.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::command::Command;

/// What SIGHUP does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hangup {
    /// A reload.
    Reload,
    /// A graceful stop: there is no file to read again, and SIGHUP may mean that the terminal is gone.
    Stop,
}

/// Blocks the signals that ask for a reload or a stop until [`Signals::hear`] handles them. Otherwise one that arrives during
/// the start would be lost if this is the first process of a container, and would kill any other process.
///
/// # Errors
/// When the signal mask cannot be changed.
pub fn hold_signals() -> io::Result<()> {
    let mut held = MaybeUninit::uninit();
    #[expect(unsafe_code, reason = "the mask of signals; see the head of the file")]
    // SAFETY: `held` lives through all calls, and is initialised by the first before the others use it. A null pointer
    // asks for no old mask.
    let outcome = unsafe {
        libc::sigemptyset(held.as_mut_ptr());
        for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
            libc::sigaddset(held.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, held.as_ptr(), ptr::null_mut())
    };
    outcome_of(outcome)
}

/// The handled signals. As long as this exists, none of them kills the process.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    on_hangup: Hangup,
    stops: Stops,
    user_1: Signal,
    user_2: Signal,
    // Never received from. Handling it makes a write beyond the file size limit fail, instead of killing the process.
    _file_size: Signal,
}

impl Signals {
    /// Handles SIGHUP, SIGTERM, SIGINT and SIGQUIT, even if the parent process blocked or ignored them; those that arrive
    /// before [`Signals::forward`] are kept. SIGUSR1 and SIGUSR2, which other proxies use, and SIGXFSZ (setrlimit(2)) no
    /// longer kill the process.
    ///
    /// # Errors
    /// When a signal handler cannot be installed.
    pub fn hear(on_hangup: Hangup) -> io::Result<Self> {
        let signals = Self {
            hangup: signal(SignalKind::hangup())?,
            on_hangup,
            stops: Stops {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
            },
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        };
        // Only now, as a blocked signal that is pending is delivered here.
        unblock()?;
        Ok(signals)
    }

    /// Ready when SIGTERM, SIGINT or SIGQUIT arrives.
    pub async fn stop(&mut self) {
        self.stops.recv().await;
    }

    /// Spawns a task that turns SIGHUP ([`Hangup`]), SIGTERM, SIGINT and SIGQUIT (stop) into commands.
    pub fn forward(mut self, commands: mpsc::Sender<Command>) {
        tokio::spawn(async move { while commands.send(self.next().await).await.is_ok() {} });
    }

    async fn next(&mut self) -> Command {
        loop {
            let name = tokio::select! {
                _ = self.hangup.recv() => return match self.on_hangup {
                    Hangup::Reload => Command::Reload(None),
                    Hangup::Stop => Command::Stop,
                },
                () = self.stops.recv() => return Command::Stop,
                _ = self.user_1.recv() => "SIGUSR1",
                _ = self.user_2.recv() => "SIGUSR2",
            };
            tracing::warn!("{name} has no meaning here: SIGHUP reloads, SIGTERM stops in order");
        }
    }
}

/// The signals that ask for a graceful stop.
#[derive(Debug)]
struct Stops {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Stops {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// Unblocks all signals for this thread and those that it starts. A process inherits the signals that its parent blocked.
fn unblock() -> io::Result<()> {
    let mut none = MaybeUninit::uninit();
    #[expect(unsafe_code, reason = "the mask of signals; see the head of the file")]
    // SAFETY: `none` lives through both calls, and is initialised by the first before the second reads it. A null
    // pointer asks for no old mask.
    let outcome = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut())
    };
    outcome_of(outcome)
}

fn outcome_of(number: i32) -> io::Result<()> {
    match number {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    /// The blocked signals of this thread (proc(5)).
    fn blocked() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        u64::from_str_radix(mask.unwrap().trim(), 16).unwrap()
    }

    #[test]
    fn those_that_stop_or_reload_wait_until_they_are_heard() {
        let masks = thread::spawn(|| {
            hold_signals().unwrap();
            let held = blocked();
            unblock().unwrap();
            (held, blocked())
        });
        let (held, heard) = masks.join().unwrap();
        let signals = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
        let expected = signals.map(|signal| 1_u64 << (signal - 1));
        assert_eq!((held, heard), (expected.iter().sum(), 0));
    }
}
