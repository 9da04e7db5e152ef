//! Where a configuration and its certificates come from.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::config::{Config, Written};
use crate::tls::{self, Material, Tickets};

/// A configuration that has been read and checked, with what it needs for TLS.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What listeners and pools need for TLS.
    pub tls: Material,
    /// What is valid but may surprise, to be logged when it comes into force.
    pub(super) warnings: Vec<String>,
}

impl Loaded {
    /// A configuration, and what its listeners and pools need for TLS.
    #[must_use]
    pub fn new(config: Config, tls: Material) -> Self {
        let of_certificates = tls.warnings(SystemTime::now());
        let warnings = config.warnings().chain(of_certificates).collect();
        Self {
            config,
            tls,
            warnings,
        }
    }
}

/// Where a configuration comes from, at the start and at every reload.
pub trait Source: Send + Sync + 'static {
    /// Reads all of it.
    ///
    /// # Errors
    /// One line for each problem.
    fn load(&self) -> Result<Loaded, Vec<String>>;

    /// Its name in messages.
    fn name(&self) -> String;
}

/// Looks up a variable of the environment, at the start and at every reload.
pub type Variables = Box<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// A configuration file and the certificates that it names.
pub struct FileSource {
    path: PathBuf,
    environment: Variables,
    tickets: Tickets,
    was_read: AtomicBool,
}

impl FileSource {
    /// The file at `path`. All its listeners share `tickets`, which outlive reloads.
    #[must_use]
    pub fn new(path: PathBuf, environment: Variables, tickets: Tickets) -> Self {
        Self {
            path,
            environment,
            tickets,
            was_read: AtomicBool::new(false),
        }
    }
}

impl Source for FileSource {
    fn load(&self) -> Result<Loaded, Vec<String>> {
        if self.was_read.swap(true, Ordering::Relaxed) && is_pipe(&self.path) {
            let name = self.name();
            return Err(vec![format!(
                "{name}: is a pipe, which can be read at the start only"
            )]);
        }
        let written = Written::load(&self.path, &*self.environment);
        let written = written.map_err(|problems| problems.lines())?;
        let tls = tls::material(&written.config, &self.tickets);
        let tls = tls.map_err(|errors| written.problems(tls::problems(&errors)).lines())?;
        Ok(Loaded::new(written.config, tls))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// A pipe cannot be read again: opening it blocks until another process writes, and what was written at the start is consumed.
fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_beyond_the_first_hundred_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wsgate.yaml");
        let keys = (0..150).map(|number| format!("key{number}: 1\n"));
        fs::write(&path, keys.collect::<String>()).unwrap();
        let source = FileSource::new(path, Box::new(|_| None), Tickets::default());
        let told = source.load().err().unwrap();
        assert_eq!((told.len(), &*told[100]), (101, "and 52 more"));
    }
}
