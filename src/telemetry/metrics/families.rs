//! All metrics with their names, help texts, labels and buckets. docs/metrics.md describes them for operators.

use std::collections::BTreeMap;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge, Opts};

use super::family::{AnyFamily, Family, Series};
use super::sizes::{MessageSizes, SIZE_BUCKETS};

/// Seconds; from a handshake within the machine to one at its deadline.
const HANDSHAKE_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Seconds; from a page that is left at once to a tab that stays open for a week.
const SESSION_BUCKETS: &[f64] = &[
    0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0, 43_200.0, 86_400.0, 604_800.0,
];

/// Seconds; from a peer on the same machine to the default of `ping.timeout`.
const ROUND_TRIP_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0,
];

/// Seconds; from an answer within the machine to the default of `http.request_timeout`.
const REQUEST_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

pub(super) struct ProcessFamilies {
    pub(super) reloads: Family<IntCounter>,
    pub(super) last_reload_successful: IntGauge,
    pub(super) last_reload_success: IntGauge,
    pub(super) drain_sessions: IntGauge,
    pub(super) dropped_lines: IntCounter,
}

impl ProcessFamilies {
    pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
        let build = registrar.family::<IntGauge>(
            "build_info",
            "What is running; the value is always 1.",
            &["version", "revision"],
            &[],
        );
        let revision = option_env!("WSGATE_REVISION").unwrap_or("unknown");
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION"), revision])
            .set(1);
        Self {
            reloads: registrar.family(
                "config_reloads_total",
                "Reloads of the configuration by what they came to.",
                &["result"],
                &[],
            ),
            last_reload_successful: registrar.single(
                "config_last_reload_successful",
                "Whether the last reload was accepted (1) or refused (0).",
            ),
            last_reload_success: registrar.single(
                "config_last_reload_success_timestamp_seconds",
                "When a reload last succeeded or changed nothing, or the start, in seconds since 1970.",
            ),
            drain_sessions: registrar.single(
                "drain_sessions",
                "Sessions that were asked to end and have not ended yet.",
            ),
            dropped_lines: registrar.single(
                "access_log_dropped_lines_total",
                "Access-log lines lost because they came faster than they could be written, or could not be written at all.",
            ),
        }
    }
}

/// Declares the families of one kind of handle. The description of each family is its help text; behind it come the type of
/// its series, its name, its labels, and the buckets of a histogram.
macro_rules! families {
    ($(
        #[doc = $about:literal]
        pub(super) struct $families:ident {
            $(#[doc = $help:literal] $field:ident: $series:ty, $name:literal, $labels:expr $(, $buckets:expr)?;)*
        }
    )*) => {$(
        #[doc = $about]
        pub(super) struct $families {
            $(#[doc = $help] pub(super) $field: Family<$series>,)*
        }

        impl $families {
            pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
                Self {
                    $($field: registrar.family($name, $help.trim(), &$labels, [$($buckets,)? &[]][0]),)*
                }
            }
        }
    )*};
}

families! {
    /// Of listeners.
    pub(super) struct ListenerFamilies {
        /// Connections accepted.
        accepts: IntCounter, "listener_accepts_total", ["listener"];
        /// Connections that the listener refused; over HTTP/2 also single requests.
        rejects: IntCounter, "listener_rejects_total", ["listener", "reason"];
        /// TLS handshakes with clients by what they came to.
        tls_handshakes: IntCounter, "tls_handshakes_total", ["listener", "result"];
        /// Duration of successful TLS handshakes with clients.
        tls_handshake_duration: Histogram, "tls_handshake_duration_seconds", ["listener"], HANDSHAKE_BUCKETS;
    }

    /// Of the certificates of listeners.
    pub(super) struct ListenerCertificates {
        /// When a certificate in use expires, in seconds since 1970.
        not_after: IntGauge, "tls_certificate_not_after_timestamp_seconds", ["listener", "name"];
    }

    /// Of the certificates of pools.
    pub(super) struct PoolCertificates {
        /// When the certificate that backends are shown expires, in seconds since 1970.
        not_after: IntGauge, "pool_tls_certificate_not_after_timestamp_seconds", ["pool", "name"];
    }

    /// Of routes.
    pub(super) struct RouteFamilies {
        /// Requests by what they came to; route is empty where none took it.
        handshakes: IntCounter, "handshakes_total", ["route", "result"];
        /// From the request to the 101 of accepted handshakes, backend included.
        handshake_duration: Histogram, "handshake_duration_seconds", ["route"], HANDSHAKE_BUCKETS;
        /// Duration of sessions that ended, from the request on.
        session_duration: Histogram, "session_duration_seconds", ["route"], SESSION_BUCKETS;
        /// Sessions that ended: who began it, the code of the first Close frame, why.
        sessions_closed: IntCounter, "sessions_closed_total", ["route", "initiator", "code", "reason"];
        /// Bytes of WebSocket streams that were read, frame headers included.
        bytes: IntCounter, "bytes_total", ["route", "direction"];
        /// Messages passed on, by what they began as.
        messages: IntCounter, "messages_total", ["route", "direction", "opcode"];
        /// Control frames that clients and backends sent.
        control_frames: IntCounter, "control_frames_total", ["route", "direction", "opcode"];
        /// Sizes of messages as they passed, without frame headers.
        message_sizes: MessageSizes, "message_size_bytes", ["route", "direction"], SIZE_BUCKETS;
        /// Streams in which the sender broke RFC 6455, passed on or not.
        protocol_errors: IntCounter, "protocol_errors_total", ["route", "direction"];
        /// From a Ping of the gateway to the Pong that answers it.
        ping_rtt: Histogram, "ping_rtt_seconds", ["route"], ROUND_TRIP_BUCKETS;
        /// Plain HTTP requests that a route took, by the status of the answer.
        requests: IntCounter, "http_requests_total", ["route", "code"];
        /// From a plain HTTP request to the head of its answer.
        request_duration: Histogram, "http_request_duration_seconds", ["route"], REQUEST_BUCKETS;
    }

    /// Of routes and their pools.
    pub(super) struct SessionFamilies {
        /// Sessions that are open.
        active: IntGauge, "sessions_active", ["route", "pool"];
    }

    /// Of pools.
    pub(super) struct PoolFamilies {
        /// From the dial to the answer of a backend that agreed.
        connect_duration: Histogram, "backend_connect_duration_seconds", ["pool"], HANDSHAKE_BUCKETS;
        /// Further candidates tried because one failed.
        retries: IntCounter, "backend_retries_total", ["pool"];
        /// Handshakes that wait for a place on a backend.
        queue_length: IntGauge, "pool_queue_length", ["pool"];
        /// How long handshakes waited that were given a place.
        queue_wait: Histogram, "pool_queue_wait_seconds", ["pool"], HANDSHAKE_BUCKETS;
        /// Handshakes that found every backend full, by what their wait came to.
        queue: IntCounter, "pool_queue_total", ["pool", "result"];
        /// Requests to a sticky pool that were answered, by what their cookie came to.
        sticky: IntCounter, "pool_sticky_total", ["pool", "result"];
    }

    /// Of pools whose backends are discovered.
    pub(super) struct DiscoveryFamilies {
        /// Questions for the backends of a pool by what they came to.
        questions: IntCounter, "pool_discovery_total", ["pool", "result"];
        /// Backends of a pool that were discovered and are in use.
        backends: IntGauge, "pool_discovered_backends", ["pool"];
    }

    /// Of backends that the configuration has.
    pub(super) struct MemberFamilies {
        /// Whether a backend is neither down (by its checks) nor ejected.
        up: IntGauge, "backend_up", ["pool", "backend"];
        /// The weight of a backend as it counts now, less than in full while it starts slowly.
        effective_weight: Gauge, "backend_effective_weight", ["pool", "backend"];
    }

    /// Of backends, also while sessions outlive their names.
    pub(super) struct BackendFamilies {
        /// Checks of a backend by what they came to.
        checks: IntCounter, "backend_health_checks_total", ["pool", "backend", "result"];
        /// Sessions on a backend, those being opened included.
        sessions_active: IntGauge, "backend_sessions_active", ["pool", "backend"];
        /// Attempts at a backend by what they came to.
        connects: IntCounter, "backend_connects_total", ["pool", "backend", "result"];
    }
}

/// All families by their names.
pub(super) type Catalogue = BTreeMap<String, Box<dyn AnyFamily>>;

/// Creates families with the common prefix and adds them to the catalogue.
pub(super) struct Registrar<'a> {
    catalogue: &'a mut Catalogue,
    registered: Vec<Box<dyn AnyFamily>>,
}

impl<'a> Registrar<'a> {
    pub(super) fn new(catalogue: &'a mut Catalogue) -> Self {
        Self {
            catalogue,
            registered: Vec::new(),
        }
    }

    /// All families so far.
    pub(super) fn registered(self) -> Vec<Box<dyn AnyFamily>> {
        self.registered
    }

    /// The only series of a family without labels.
    fn single<M: Series>(&mut self, name: &str, help: &str) -> M {
        let family = self.family(name, help, &[], &[]);
        family.with_label_values::<&str>(&[])
    }

    fn family<M: Series>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &'static [f64],
    ) -> Family<M> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let options = Opts::new(name, help).namespace("wsgate");
        let family = Family::new(options.variable_labels(labels), buckets)
            .expect("the names and labels in this file are valid");
        let name = family.name().to_owned();
        let earlier = self.catalogue.insert(name, Box::new(family.clone()));
        assert!(earlier.is_none(), "the names in this file are unique");
        self.registered.push(Box::new(family.clone()));
        family
    }
}
