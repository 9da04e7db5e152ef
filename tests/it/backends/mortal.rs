//! A backend that dies and comes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

use super::Backend;

/// A backend that says its name in the field X-Backend of the 101 and sends every message back, until it is
/// killed. It comes back at the same address.
pub(crate) struct Mortal {
    name: String,
    address: SocketAddr,
    life: Option<Backend>,
}

impl Mortal {
    /// Starts one. It has an address of its own, so that its port is free when it comes back.
    pub(crate) async fn named(name: &str) -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let [high, low] = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut mortal = Self {
            name: name.to_owned(),
            address: SocketAddr::from(([127, 77, high, low], 0)),
            life: None,
        };
        mortal.revive().await;
        mortal
    }

    /// Ends it: its connections end, new ones are refused.
    pub(crate) async fn kill(&mut self) {
        if let Some(life) = self.life.take() {
            life.end().await;
        }
    }

    /// Starts it again.
    pub(crate) async fn revive(&mut self) {
        let fields = format!("X-Backend: {}\r\n", self.name);
        let life = Backend::agreeing_at(self.address, &fields).await;
        self.address = life.address();
        self.life = Some(life);
    }

    /// As a configuration names it.
    pub(crate) fn entry(&self) -> String {
        format!("{{ name: {}, url: \"ws://{}\" }}", self.name, self.address)
    }

    /// How many connections it took in this life.
    pub(crate) fn connections(&self) -> usize {
        self.life.as_ref().map_or(0, Backend::connections)
    }
}
