//! What an operator sees of the gateway: metrics, the access log, the diagnostic log.
//!
//! [`SessionRecord`] collects the facts of one request and turns them into log lines and metrics. Nothing here decides
//! anything; other rooms hold handles such as [`RouteMetrics`], whose labels are resolved when a snapshot is built.

mod access_log;
mod blocking;
pub mod journal;
#[cfg(test)]
mod kept;
mod line;
mod logging;
mod metrics;
mod queue;
mod record;
mod timestamp;
mod traffic;

use std::io;
use std::sync::Arc;

pub use access_log::{AccessLog, FlushGuard};
pub use logging::{Logging, LoggingFault, Reader};
pub use metrics::{
    BackendMetrics, BackendSession, CertificateMetrics, CheckResult, ConnectResult,
    ConnectionRejection, DiscoveryMetrics, DiscoveryResult, HandshakeResult, ListenerMetrics,
    MemberMetrics, Metrics, PoolMetrics, QueueResult, ReloadResult, RouteMetrics, StickyResult,
    TEXT_FORMAT, TlsResult, Waiting,
};
pub use record::{AnswerEnd, Connection, Request, SessionRecord};
pub use timestamp::Rfc3339;
pub use traffic::{DirectionTraffic, Traffic};

use crate::config::Log;
use blocking::Blocking;

/// The metrics and the access log of the process.
pub struct Telemetry {
    /// All metrics.
    pub metrics: Metrics,
    /// The access log.
    pub access_log: AccessLog,
}

impl Telemetry {
    /// Starts with the access log on stdout; dropping the guard writes out what is queued.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(log: &Log) -> io::Result<(Arc<Self>, FlushGuard)> {
        Self::with_writer(log, Blocking(io::stdout()))
    }

    /// As [`Telemetry::start`], with the access log on `writer`.
    ///
    /// # Errors
    /// As [`Telemetry::start`].
    pub fn with_writer(
        log: &Log,
        writer: impl io::Write + Send + 'static,
    ) -> io::Result<(Arc<Self>, FlushGuard)> {
        let metrics = Metrics::new();
        let (access_log, guard) = AccessLog::start(log, writer, metrics.dropped_lines().clone())?;
        let telemetry = Self {
            metrics,
            access_log,
        };
        Ok((Arc::new(telemetry), guard))
    }

    /// All metrics in Prometheus' text format ([`TEXT_FORMAT`]), without series whose handles are gone.
    #[must_use]
    pub fn render(&self) -> String {
        self.metrics.render()
    }
}
