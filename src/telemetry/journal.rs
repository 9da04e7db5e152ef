//! Whether systemd's journal reads stderr, and the priority that it takes with a line.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::Level;

/// Whether stderr goes to the journal: `address`, the value of JOURNAL_STREAM, is its device and inode (systemd.exec(5)).
#[must_use]
pub fn reads_stderr(address: Option<&OsStr>) -> bool {
    let named = address.and_then(OsStr::to_str);
    named.is_some() && named == stderr_address().ok().as_deref()
}

fn stderr_address() -> io::Result<String> {
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let metadata = stderr.metadata()?;
    Ok(format!("{}:{}", metadata.dev(), metadata.ino()))
}

/// The prefix of a line that gives it this priority in the journal (sd-daemon(3)).
#[must_use]
pub fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}
