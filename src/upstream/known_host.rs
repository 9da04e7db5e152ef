//! A Host with which a backend answers, for what the gateway asks of its own accord.
//!
//! Many servers end a connection without a word for hosts that they do not serve, and their own address is one of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mutex::lock;

/// The Host of a request that a backend has answered.
#[derive(Default, Debug)]
pub(super) struct KnownHost {
    /// So that requests take no lock where there is nothing to keep.
    is_known: AtomicBool,
    /// None if the backend was asked by its address.
    host: Mutex<Option<String>>,
}

impl KnownHost {
    /// Whether one is kept; one atomic load.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Keeps this one.
    pub(super) fn keep(&self, host: Option<String>) {
        *lock(&self.host) = host;
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// The one that was kept last.
    pub(super) fn get(&self) -> Option<String> {
        lock(&self.host).clone()
    }
}
