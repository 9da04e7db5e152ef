//! The load: clients on one side of the proxy and the echoing backend on the other, driven by one
//! edge-triggered epoll loop in one thread, so that the generator's core spends nothing on
//! switching between them.

mod client;
mod echo;
mod frames;
mod handshake;
mod payload;
mod wire;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use slab::Slab;

use client::{Client, Tools};
pub(crate) use client::{Plan, Tally};
use echo::Echo;
use payload::Payload;
use wire::{Scratch, Wire};

const EVENTS_PER_TURN: usize = 1024;
const BACKLOG: i32 = 4096;
const LISTENER: u64 = u64::MAX;
/// Tells a backend's token from a client's.
const BACKEND: u64 = 1 << 63;

/// Where clients connect to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Both ends break the protocol first, so that wsgate follows neither direction any further.
    pub(crate) unfollowed: bool,
}

/// Clients and backend of one run.
pub(crate) struct Generator {
    epoll: OwnedFd,
    listener: TcpListener,
    clients: Slab<Client>,
    backends: Slab<Echo>,
    /// Tokens of what ended in this turn; given back after it, because later events may name them.
    ended: Vec<u64>,
    events: Vec<Event>,
    scratch: Scratch,
    payload: Payload,
    tally: Tally,
    next_session: u32,
}

impl Generator {
    /// A generator for messages of `message_size` bytes; its backend listens at once.
    pub(crate) fn new(message_size: usize) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("binding the backend")?;
        listener.set_nonblocking(true)?;
        // Calling listen again is how the standard library's backlog of 128 is raised.
        rustix::net::listen(&listener, BACKLOG)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            listener,
            clients: Slab::new(),
            backends: Slab::new(),
            ended: Vec::new(),
            events: Vec::with_capacity(EVENTS_PER_TURN),
            scratch: Scratch::default(),
            payload: Payload::new(message_size),
            tally: Tally::default(),
            next_session: 0,
        })
    }

    pub(crate) fn backend_address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many clients are open or opening.
    pub(crate) fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// Forgets the latencies recorded so far.
    pub(crate) fn forget_latencies(&mut self) {
        self.tally.latencies.clear();
    }

    /// Begins a session.
    pub(crate) fn open(&mut self, target: &Target, plan: Plan) -> Result<()> {
        let tls = match &target.tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                let mut tls = ClientConnection::new(Arc::clone(config), name)?;
                tls.set_buffer_limit(None);
                Some(tls)
            }
        };
        let wire = Wire::connect(target.address, tls)?;
        let client = Client::new(wire, self.next_session, plan, target.unfollowed);
        self.next_session += 1;
        let entry = self.clients.vacant_entry();
        let token = EventData::new_u64(entry.key() as u64);
        epoll::add(&self.epoll, client.socket(), token, interest())?;
        entry.insert(client);
        Ok(())
    }

    /// Sends one more message on the `index`th session, which was to happen at `planned`.
    pub(crate) fn send(&mut self, index: usize, planned: Instant) -> Result<()> {
        let client = self.clients.get_mut(index).context("no such session")?;
        client.send(&self.payload, Some(planned))
    }

    /// Lets all sessions send message after message.
    pub(crate) fn start_ping_pong(&mut self) -> Result<()> {
        for (_, client) in &mut self.clients {
            client.start_ping_pong(&self.payload)?;
        }
        Ok(())
    }

    /// Waits for something to do, at most `patience`, and does it.
    pub(crate) fn turn(&mut self, patience: Duration) -> Result<()> {
        let timeout = patience.try_into().context("a wait too long")?;
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll_wait"),
        }
        for index in 0..self.events.len() {
            // Copied out, because the event is packed on some machines.
            let Event { flags, data, .. } = self.events[index];
            let hung_up = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            self.serve(data.u64(), hung_up)?;
        }
        for token in std::mem::take(&mut self.ended) {
            match split(token) {
                (true, index) => drop(self.backends.try_remove(index)),
                (false, index) => drop(self.clients.try_remove(index)),
            }
        }
        Ok(())
    }

    fn serve(&mut self, token: u64, hung_up: bool) -> Result<()> {
        if token == LISTENER {
            return self.accept();
        }
        let goes_on = match split(token) {
            (true, index) => {
                let Some(backend) = self.backends.get_mut(index) else {
                    return Ok(());
                };
                backend
                    .ready(&mut self.scratch, hung_up)
                    .context("at the backend")?
            }
            (false, index) => {
                let Some(client) = self.clients.get_mut(index) else {
                    return Ok(());
                };
                let mut tools = Tools {
                    scratch: &mut self.scratch,
                    payload: &self.payload,
                    tally: &mut self.tally,
                };
                client.ready(&mut tools, hung_up).context("at a client")?
            }
        };
        if !goes_on {
            self.ended.push(token);
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accepting from the proxy"),
            };
            let backend = Echo::new(socket)?;
            let entry = self.backends.vacant_entry();
            let token = EventData::new_u64(BACKEND | entry.key() as u64);
            epoll::add(&self.epoll, backend.socket(), token, interest())?;
            entry.insert(backend);
        }
    }
}

fn interest() -> EventFlags {
    EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET
}

/// Whether a token is a backend's, and its place.
fn split(token: u64) -> (bool, usize) {
    let place = usize::try_from(token & !BACKEND).expect("tokens are made of places");
    (token & BACKEND != 0, place)
}
