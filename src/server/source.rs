//! Where a configuration and its certificates come from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{Config, Name};
use crate::tls::{self, ServerTls, Tickets};

/// A configuration that has been read and checked, with what its TLS listeners need.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// TLS settings by listener.
    pub tls: BTreeMap<Name, ServerTls>,
}

/// Where a configuration comes from, at the start and at every reload.
pub trait Source: Send + Sync + 'static {
    /// Reads all of it.
    ///
    /// # Errors
    /// Every problem, each a line.
    fn load(&self) -> Result<Loaded, Vec<String>>;

    /// Its name in messages.
    fn name(&self) -> String;
}

/// Looks up a variable of the environment.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A configuration file and the certificates that it names.
pub struct FileSource {
    path: PathBuf,
    environment: Environment,
    tickets: Tickets,
}

impl FileSource {
    /// The file at `path`. All its listeners share `tickets`, which outlive reloads.
    #[must_use]
    pub fn new(path: PathBuf, environment: Environment, tickets: Tickets) -> Self {
        Self {
            path,
            environment,
            tickets,
        }
    }
}

impl Source for FileSource {
    fn load(&self) -> Result<Loaded, Vec<String>> {
        let config = Config::load(&self.path, &*self.environment)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let mut tls = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, listener) in &config.listeners {
            let Some(settings) = &listener.tls else {
                continue;
            };
            match tls::server(settings, &self.tickets) {
                Ok(settings) => {
                    tls.insert(name.clone(), settings);
                }
                Err(problems) => errors.extend(
                    problems
                        .iter()
                        .map(|problem| format!("listeners.{name}.tls: {problem}")),
                ),
            }
        }
        if errors.is_empty() {
            Ok(Loaded { config, tls })
        } else {
            Err(errors)
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
