//! The cryptography provider, and the keys of session tickets.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;
use rustls::server::ProducesTickets;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("one of the features aws-lc-rs and ring is needed");

/// The cryptography provider. It is passed explicitly wherever rustls is configured: a process-wide default would be global
/// state, and does not exist if two providers are compiled in.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

/// The keys of session tickets (RFC 8446 section 4.6.1), which rotate every 6 hours.
///
/// There is one for the process, so that TLS sessions can be resumed on every worker and after a reload.
#[derive(Clone)]
pub struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    /// Creates the first key.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn new() -> Result<Self, rustls::Error> {
        chosen::Ticketer::new().map(Self)
    }

    pub(super) fn producer(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tickets")
    }
}
