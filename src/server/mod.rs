//! The life of the process: bind, run, reload, drain, stop.

mod accepting;
mod admin_side;
mod command;
mod control;
mod discovery;
mod drains;
mod findings;
mod first_answers;
mod limits;
mod listeners;
mod loading;
mod reload;
mod services;
mod shared;
mod signals;
mod source;
mod stop;
mod supervisor;
mod tending;
mod turns;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::{Address, Name};
use crate::gateway::Gateway;
use crate::snapshot::{Current, Snapshot};
use crate::stream;
use crate::telemetry::{Logging, Telemetry};
use accepting::Service;
use admin_side::AdminSide;
pub use command::Command;
use listeners::OpenListeners;
use loading::Loading;
pub use loading::load;
use reload::Booted;
use shared::Shared;
pub use signals::{Hangup, Signals, hold_signals};
pub use source::{FileSource, Loaded, Source, Variables};
pub use stop::Outcome;
use workers::{AbortOnDrop, Places, Workers, spawn};

/// Capacity of the command channel; senders wait while it is full.
const COMMANDS: usize = 16;

/// A running gateway. Dropping it ends everything at once.
pub struct Server {
    loading: Loading,
    booted: Booted,
    telemetry: Arc<Telemetry>,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    service: Arc<Service<Gateway>>,
    _tending: AbortOnDrop,
    // Fields are dropped in order: the log after everything that writes to it. Accept loops may outlive the workers by a
    // moment, as the admin side holds `shared` as well: what they give to an ended worker is dropped.
    _workers: Workers,
    admin: AdminSide,
    logging: Option<Logging>,
}

impl Server {
    /// Binds every address of the configuration that was `loaded` from `source`, and starts to serve.
    ///
    /// # Errors
    /// One line for each address that cannot be bound, or one that says that no thread can be started.
    pub async fn start(
        source: Arc<dyn Source>,
        loaded: Loaded,
        telemetry: Arc<Telemetry>,
        logging: Option<Logging>,
    ) -> Result<Self, Vec<String>> {
        limits::raise();
        let Loaded {
            config,
            tls,
            warnings,
        } = loaded;
        let snapshot = Arc::new(Snapshot::build(config, tls, &telemetry.metrics, None));
        let (sender, commands) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared::new(Arc::clone(&snapshot), sender));
        let current = Arc::clone(&shared.current);
        let workers = Workers::start(&snapshot.config.runtime)
            .map_err(|error| vec![format!("workers cannot be started: {error}")])?;
        let places = workers.places();
        let max_sessions = limits::max_sessions(places.count());
        let gateway = Gateway::new(Arc::clone(&current), Arc::clone(&telemetry), max_sessions);
        let service = service(places, gateway.await, current, &telemetry);
        let mut listeners = OpenListeners::default();
        let configured = snapshot.config.listeners.iter();
        let addresses = configured.map(|(name, listener)| (name, &listener.address));
        let bound = listeners.bind(addresses, None, &service)?;
        let admin = AdminSide::start(&snapshot.config.admin, &telemetry, &shared)?;
        for prepared in bound {
            listeners.open(prepared, &service);
        }
        announce(&listeners, admin.address(), max_sessions);
        supervisor::ready();
        warn(&warnings);
        let tending = spawn(&shared.runtime, tending::tend(Arc::clone(&shared)));
        *shared.listeners() = listeners;
        let server = Self {
            loading: Loading::new(source),
            booted: Booted::with(&snapshot.config),
            telemetry,
            shared,
            commands,
            service,
            _tending: tending,
            _workers: workers,
            admin,
            logging,
        };
        server.discover(&snapshot.config);
        Ok(server)
    }

    /// The channel through which the server takes commands.
    #[must_use]
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.shared.commands.clone()
    }

    /// The address of each listener; for port 0, with the port that the system chose.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<Name, Address> {
        let listeners = self.shared.listeners();
        listeners
            .iter()
            .map(|(name, open)| (Arc::clone(name), open.address().clone()))
            .collect()
    }

    /// The address of the admin side.
    #[must_use]
    pub fn admin_address(&self) -> &Address {
        self.admin.address()
    }

    /// Executes commands until the gateway has stopped.
    pub async fn run(mut self) -> Outcome {
        let last = loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Reload(asker)) => self.loading.ask(asker),
                    Some(Command::Drain) => break Command::Drain,
                    Some(Command::Stop) | None => break Command::Stop,
                },
                outcome = self.loading.outcome() => {
                    let report = self.reload(outcome).await;
                    self.loading.report(&report);
                }
                found = self.shared.discoveries.findings.take() => {
                    self.shared.take_found(found, &self.telemetry.metrics);
                }
            }
        };
        self.loading.give_up();
        self.stop(last).await
    }
}

/// Logs the addresses of the gateway.
fn announce(listeners: &OpenListeners, admin: &Address, max_sessions: usize) {
    for (name, open) in listeners.iter() {
        tracing::info!(listener = %name, address = %open.address(), "listening");
    }
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, %admin, max_sessions, "ready");
}

/// Logs the warnings about a configuration that has just come into force.
fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

fn service(
    places: Places,
    gateway: Gateway,
    current: Arc<Current>,
    telemetry: &Arc<Telemetry>,
) -> Arc<Service<Gateway>> {
    Arc::new(Service {
        places,
        handler: Arc::new(gateway),
        settings: Arc::new(move |name, address| {
            let snapshot = current.load();
            let configured = snapshot.config.listeners.get(name)?;
            let is_here = configured.address == *address;
            is_here
                .then(|| snapshot.listeners.get(name).cloned())
                .flatten()
        }),
        telemetry: Arc::clone(telemetry),
        last_descriptor: stream::last_descriptor(),
    })
}
