//! Whether a client may open a session now: the checks between routing and the first backend.
//!
//! A check returns a [`Rejection`] or lets the request pass. It sends nothing and writes no metric.

pub mod origin;

use std::sync::Arc;

use crate::occupancy::{Occupancy, Slot};
use crate::session::Rejection;

/// The limit of sessions of the whole gateway.
#[derive(Debug)]
pub struct Admission {
    sessions: Arc<Occupancy>,
    max_sessions: usize,
}

impl Admission {
    /// Admits at most `max_sessions` at once.
    #[must_use]
    pub fn new(max_sessions: usize) -> Self {
        Self {
            sessions: Arc::default(),
            max_sessions,
        }
    }

    /// Takes a place for one session.
    ///
    /// # Errors
    /// [`Rejection::GatewayFull`].
    pub fn enter(&self) -> Result<Permit, Rejection> {
        match self.sessions.take_below(self.max_sessions) {
            Some(slot) => Ok(Permit { _slot: slot }),
            None => Err(Rejection::GatewayFull),
        }
    }
}

/// The place of one session; given back on drop.
#[derive(Debug)]
pub struct Permit {
    _slot: Slot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_one_too_many_and_takes_the_next_when_one_has_left() {
        let admission = Admission::new(1);
        let permit = admission.enter().unwrap();
        assert_eq!(admission.enter().unwrap_err(), Rejection::GatewayFull);
        drop(permit);
        assert!(admission.enter().is_ok());
    }
}
