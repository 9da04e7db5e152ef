//! The open listeners: their sockets, addresses and drains.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::accepting::{Acceptor, Service};
use super::workers::{AbortOnDrop, spawn};
use crate::config::{Address, Name};
use crate::drain::Drain;
use crate::listener::{Bound, Handler, Listener};
use crate::occupancy::Occupancy;

/// A bound socket. A listener that takes over the address of another one shares it; when the last of them is closed, the
/// file of a unix socket is removed.
struct Door(Bound);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.remove_file();
    }
}

/// A listener that is bound but does not accept yet. It holds everything it needs, so that opening it cannot fail.
pub(super) struct Prepared {
    name: Name,
    configured: Address,
    door: Arc<Door>,
    /// For the accept loop, in the runtime of its home.
    listener: Listener,
    home: Home,
}

/// Where the accept loop of a listener runs.
#[derive(Clone)]
pub(super) struct Home {
    runtime: Handle,
    /// The highest descriptor that its connections may use.
    last_descriptor: RawFd,
}

impl Home {
    /// That of the listener with this number.
    pub(super) fn of<H>(service: &Service<H>, number: usize) -> Self {
        Self {
            runtime: service.places.home(number).clone(),
            last_descriptor: service.last_descriptor,
        }
    }
}

impl Prepared {
    /// Binds a listener.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn bind(name: &Name, address: &Address, home: Home) -> io::Result<Self> {
        Self::behind(Arc::new(Door(Bound::bind(address)?)), name, address, home)
    }

    fn behind(door: Arc<Door>, name: &Name, address: &Address, home: Home) -> io::Result<Self> {
        let listener = {
            let _runtime = home.runtime.enter();
            Listener::new(door.0.try_clone()?, home.last_descriptor)?
        };
        Ok(Self {
            name: Arc::clone(name),
            configured: address.clone(),
            door,
            listener,
            home,
        })
    }

    /// Its address; for port 0, with the port that the system chose.
    pub(super) fn address(&self) -> &Address {
        self.door.0.address()
    }
}

/// An open listener.
pub(super) struct OpenListener {
    configured: Address,
    address: Address,
    /// None once it is closed. Until then the system queues new connections.
    door: Option<Arc<Door>>,
    drain: Arc<Drain>,
    connections: Arc<Occupancy>,
    accepting: Option<AbortOnDrop>,
}

impl OpenListener {
    /// Its address; for port 0, with the port that the system chose.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Has the accept loop read its limit again.
    pub(super) fn limit_changed(&self) {
        self.connections.limit_changed();
    }

    /// Connections open now.
    pub(super) fn connections(&self) -> usize {
        self.connections.taken()
    }

    /// The drain of its connections and sessions.
    pub(super) fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }

    /// Accepts connections of the listener `name` from now on.
    fn accept<H: Handler>(
        &mut self,
        name: &Name,
        listener: Listener,
        home: &Home,
        service: &Arc<Service<H>>,
    ) {
        let acceptor = Acceptor {
            listener,
            configured: self.configured.clone(),
            metrics: service.telemetry.metrics.listener(name),
            drain: Arc::clone(&self.drain),
            connections: Arc::clone(&self.connections),
            service: Arc::clone(service),
        };
        self.accepting = Some(spawn(&home.runtime, acceptor.run()));
    }

    /// Binds a unix socket anew if its file was removed; open connections are not touched. Says what it did.
    fn restore<H: Handler>(
        &mut self,
        name: &Name,
        number: usize,
        service: &Arc<Service<H>>,
    ) -> Option<String> {
        let is_lost = self.door.as_ref()?.0.has_lost_its_file();
        let home = Home::of(service, number);
        let bound = is_lost.then(|| Prepared::bind(name, &self.configured, home))?;
        let outcome = match bound {
            Ok(prepared) => {
                self.door = Some(prepared.door);
                self.accept(name, prepared.listener, &prepared.home, service);
                "is bound anew".to_owned()
            }
            Err(error) => format!("cannot be bound anew: {error}"),
        };
        let at = &self.address;
        Some(format!(
            "listener {name}: the file of {at} was removed; it {outcome}"
        ))
    }

    /// Stops accepting. Ready when the address is free to be bound again, and the system refuses new connections.
    pub(super) fn close(&mut self) -> impl Future<Output = ()> + use<> {
        self.door = None;
        let end = self.accepting.take().map(AbortOnDrop::end);
        async move {
            if let Some(end) = end {
                end.await;
            }
        }
    }
}

/// All open listeners by name.
#[derive(Default)]
pub(super) struct OpenListeners {
    open: BTreeMap<Name, OpenListener>,
    /// Drains of closed listeners that still have connections.
    leaving: Vec<Arc<Drain>>,
}

impl OpenListeners {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &OpenListener)> {
        self.open.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenListener> {
        self.open.values_mut()
    }

    /// The drains of all listeners, including closed ones that still have connections.
    pub(super) fn drains(&self) -> Vec<Arc<Drain>> {
        let open = self.open.values().map(OpenListener::drain);
        open.chain(&self.leaving).map(Arc::clone).collect()
    }

    /// Binds the addresses in `wanted` that are not open yet, and closes nothing. An address that another listener has now is
    /// shared with it until that one closes; that of the admin side, `admin`, never is. `service` is for [`Self::open`].
    ///
    /// # Errors
    /// One line for each address that cannot be bound.
    pub(super) fn bind<'a, H>(
        &self,
        wanted: impl Iterator<Item = (&'a Name, &'a Address)>,
        admin: Option<&Address>,
        service: &Service<H>,
    ) -> Result<Vec<Prepared>, Vec<String>> {
        let mut prepared = Vec::new();
        let mut errors = Vec::new();
        for (name, address) in wanted {
            let open = self.open.get(name);
            if open.is_some_and(|open| open.configured == *address) {
                continue;
            }
            let home = Home::of(service, self.open.len() + prepared.len());
            let one = self.bind_one(name, address, home).map_err(|error| {
                let in_the_way = error.kind() == io::ErrorKind::AddrInUse;
                let in_the_way = in_the_way.then(|| self.in_the_way_of(address, admin));
                in_the_way
                    .flatten()
                    .unwrap_or_else(|| words(&error, address))
            });
            match one {
                Ok(one) => prepared.push(one),
                Err(error) => errors.push(format!("listeners.{name}.address: {address}: {error}")),
            }
        }
        if errors.is_empty() {
            Ok(prepared)
        } else {
            Err(errors)
        }
    }

    fn bind_one(&self, name: &Name, address: &Address, home: Home) -> io::Result<Prepared> {
        let is_same = |open: &&OpenListener| open.configured == *address && !is_any_port(address);
        let holder = self.open.values().find(is_same);
        match holder.and_then(|open| open.door.clone()) {
            Some(door) => Prepared::behind(door, name, address, home),
            None => Prepared::bind(name, address, home),
        }
    }

    /// The error text if `address` is taken by this gateway itself, for instance as `0.0.0.0:80` beside `127.0.0.1:80`.
    fn in_the_way_of(&self, address: &Address, admin: Option<&Address>) -> Option<String> {
        if let Some(at) = admin.filter(|admin| admin.collides(address)) {
            return Some(format!(
                "the admin side holds this port at {at} until the process ends: another `admin.address` takes a restart"
            ));
        }
        let is_at =
            |open: &OpenListener| open.door.as_ref().is_some_and(|door| door.0.is_at(address));
        let (name, holder) = self.iter().find(|(_, open)| is_at(open))?;
        let (at, what) = match &holder.address {
            at @ Address::Tcp(_) => (at, "port"),
            at @ Address::Unix(_) => (at, "socket"),
        };
        Some(format!(
            "listener {name} holds this {what} at {at} until it is closed: take it out in one reload, or move it to another \
             {what}, and bring this address in the next"
        ))
    }

    /// Binds unix sockets anew whose files were removed, and says so.
    pub(super) fn restore<H: Handler>(&mut self, service: &Arc<Service<H>>) -> Vec<String> {
        let open = self.open.iter_mut().enumerate();
        let restored =
            open.filter_map(|(number, (name, open))| open.restore(name, number, service));
        restored.collect()
    }

    /// Removes and returns the listeners that are not in `wanted`, or have another address there.
    pub(super) fn take_gone(
        &mut self,
        wanted: impl Fn(&str) -> Option<Address>,
    ) -> Vec<OpenListener> {
        let (stays, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|(name, open)| wanted(name).as_ref() == Some(&open.configured));
        self.open = stays;
        self.leaving.retain(|drain| drain.open() > 0);
        self.leaving
            .extend(gone.values().map(|open| Arc::clone(open.drain())));
        gone.into_values().collect()
    }

    /// Opens a listener: it accepts from now on.
    pub(super) fn open<H: Handler>(&mut self, prepared: Prepared, service: &Arc<Service<H>>) {
        let address = prepared.address().clone();
        let Prepared {
            name,
            configured,
            door,
            listener,
            home,
        } = prepared;
        let mut open = OpenListener {
            configured,
            address,
            door: Some(door),
            drain: Arc::default(),
            connections: Arc::default(),
            accepting: None,
        };
        open.accept(&name, listener, &home, service);
        self.open.insert(name, open);
    }
}

/// Whether the system chooses the port. Two such listeners are never at the same address.
fn is_any_port(address: &Address) -> bool {
    matches!(address, Address::Tcp(address) if address.port() == 0)
}

/// The error text for an address that cannot be bound, with a hint where there is one.
fn words(error: &io::Error, address: &Address) -> String {
    let is_low = matches!(address, Address::Tcp(address) if (1..1024).contains(&address.port()));
    if is_low && error.kind() == io::ErrorKind::PermissionDenied {
        format!("{error}; ports below 1024 ask for the capability CAP_NET_BIND_SERVICE")
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    /// Clients would connect to it and wait for ever.
    #[test]
    fn a_listener_that_could_not_accept_is_not_bound() {
        let bind = |runtime| {
            let home = Home {
                runtime,
                last_descriptor: RawFd::MAX,
            };
            let address = Address::Tcp(([127, 0, 0, 1], 0).into());
            Prepared::bind(&Name::from("main"), &address, home)
        };
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let handle = runtime.handle().clone();
        assert!(bind(handle.clone()).is_ok());
        // It takes no sockets any more.
        drop(runtime);
        assert!(bind(handle).is_err());
    }

    #[test]
    fn a_low_port_says_what_it_asks_for() {
        let said = |address: &str| {
            let address = Address::Tcp(address.parse().unwrap());
            words(&io::ErrorKind::PermissionDenied.into(), &address)
        };
        assert!(said("0.0.0.0:443").contains("CAP_NET_BIND_SERVICE"));
        assert!(!said("0.0.0.0:8443").contains("CAP_NET_BIND_SERVICE"));
    }
}
