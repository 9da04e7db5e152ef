//! The metrics of a listener.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::enumerated::Enumerated;
use super::families::ListenerFamilies;
use super::labels::{ConnectionRejection, TlsResult};
use crate::config::Name;

/// The metrics of a listener.
pub struct ListenerMetrics {
    name: Name,
    accepts: IntCounter,
    rejects: Enumerated,
    tls_handshakes: Enumerated,
    tls_handshake_duration: Histogram,
}

impl ListenerMetrics {
    pub(super) fn new(families: &ListenerFamilies, name: &Name) -> Self {
        Self {
            name: Arc::clone(name),
            accepts: families.accepts.with_label_values(&[name]),
            rejects: Enumerated::new(&families.rejects, &[name], ConnectionRejection::TEXTS),
            tls_handshakes: Enumerated::new(&families.tls_handshakes, &[name], TlsResult::TEXTS),
            tls_handshake_duration: families.tls_handshake_duration.with_label_values(&[name]),
        }
    }

    /// The listener's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Counts an accepted connection.
    pub fn accepted(&self) {
        self.accepts.inc();
    }

    /// Counts a connection that the listener refused, at once or by the answer to a request; over HTTP/2 also a single request.
    pub fn rejected(&self, reason: ConnectionRejection) {
        self.rejects.increment(reason.label());
    }

    /// Counts a TLS handshake, and records its duration if it succeeded.
    pub fn tls_finished(&self, result: TlsResult, duration: Duration) {
        self.tls_handshakes.increment(result.label());
        if result == TlsResult::Success {
            self.tls_handshake_duration.observe(duration.as_secs_f64());
        }
    }
}
