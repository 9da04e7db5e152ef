//! Starts the admin side: a listener and a thread of its own, so that a scrape cannot delay sessions.

use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::accepting::Service;
use super::listeners::{Home, OpenListeners, Prepared};
use super::shared::Shared;
use super::workers::Workers;
use crate::admin::Admin;
use crate::config::{
    self, Access, Address, ListenerLimits, ListenerTimeouts, Name, ProxyHeader, TrustedProxies,
};
use crate::listener::{Settings, Throttle};
use crate::mutex::lock;
use crate::telemetry::Telemetry;

/// The listener name of the admin side, which no configured listener can have.
const ADMIN: &str = "admin";

/// The running admin side; dropping this stops it.
pub(super) struct AdminSide {
    address: Address,
    listeners: Mutex<OpenListeners>,
    service: Arc<Service<Admin<Arc<Shared>>>>,
    _thread: Workers,
}

impl AdminSide {
    /// Binds its address and starts to serve.
    ///
    /// # Errors
    /// One line: the address cannot be bound, or no thread can be started.
    pub(super) fn start(
        config: &config::Admin,
        telemetry: &Arc<Telemetry>,
        shared: &Arc<Shared>,
    ) -> Result<Self, Vec<String>> {
        let fail = |error: io::Error| vec![format!("admin.address: {}: {error}", config.address)];
        let thread = Workers::single(ADMIN)
            .map_err(|error| vec![format!("the admin side cannot be started: {error}")])?;
        let admin = Admin::new(Arc::clone(telemetry), Arc::clone(shared));
        let settings = Arc::new(admin_settings());
        let service = Arc::new(Service {
            places: thread.places(),
            handler: Arc::new(admin),
            settings: Arc::new(move |_, _| Some(Arc::clone(&settings))),
            telemetry: Arc::clone(telemetry),
            last_descriptor: RawFd::MAX,
        });
        let home = Home::of(&service, 0);
        let prepared = Prepared::bind(&Name::from(ADMIN), &config.address, home).map_err(fail)?;
        let address = prepared.address().clone();
        let mut listeners = OpenListeners::default();
        listeners.open(prepared, &service);
        Ok(Self {
            address,
            listeners: Mutex::new(listeners),
            service,
            _thread: thread,
        })
    }

    /// Its address.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Binds its unix socket anew if the file was removed, and says so.
    pub(super) fn restore(&self) -> Vec<String> {
        lock(&self.listeners).restore(&self.service)
    }
}

fn admin_settings() -> Settings {
    let limits = ListenerLimits {
        max_connections: 64,
        max_connections_per_client: None,
        concurrent_tls_handshakes: None,
        handshakes_per_second: None,
        request_head: 16 * 1024,
        http2_streams: 1,
    };
    Settings {
        trusted_proxies: TrustedProxies::default(),
        proxy_protocol: ProxyHeader::None,
        access: Access::default(),
        tls: None,
        h2c: false,
        timeouts: ListenerTimeouts {
            request_header: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
        },
        throttle: Arc::new(Throttle::new(&limits)),
        limits,
    }
}
