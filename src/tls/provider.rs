//! The cryptography provider, and the keys of session tickets.

use std::fmt;
use std::sync::{Arc, OnceLock};

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
/// There is one for the process, so that TLS sessions can be resumed on every worker and after a reload. The first key is made
/// for the first listener with TLS, as its random bytes cost most of the start of a gateway without.
#[derive(Clone, Default)]
pub struct Tickets(Arc<OnceLock<Arc<dyn ProducesTickets>>>);

impl Tickets {
    pub(super) fn producer(&self) -> Arc<dyn ProducesTickets> {
        let producer = self
            .0
            .get_or_init(|| chosen::Ticketer::new().expect("there is no TLS without random bytes"));
        Arc::clone(producer)
    }

    #[cfg(test)]
    pub(super) fn are_made(&self) -> bool {
        self.0.get().is_some()
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tickets")
    }
}
