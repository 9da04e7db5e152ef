//! All metrics with their names, help texts, labels and buckets. docs/metrics.md describes them for operators.

use prometheus::core::{Collector, Metric};
use prometheus::proto::MetricType;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};

use super::family::{AnyFamily, Family};
use super::sizes::MessageSizes;

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
        let build = registrar.gauges(
            "build_info",
            "What is running; the value is always 1.",
            &["version", "revision"],
        );
        let revision = option_env!("WSGATE_REVISION").unwrap_or("unknown");
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION"), revision])
            .set(1);
        Self {
            reloads: registrar.counters(
                "config_reloads_total",
                "Reloads of the configuration by what they came to.",
                &["result"],
            ),
            last_reload_successful: registrar.gauge(
                "config_last_reload_successful",
                "Whether the last reload was taken (1) or refused (0).",
            ),
            last_reload_success: registrar.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When a reload last succeeded or changed nothing, or the start, in seconds since 1970.",
            ),
            drain_sessions: registrar.gauge(
                "drain_sessions",
                "Sessions that were asked to end and have not ended yet.",
            ),
            dropped_lines: registrar.counter(
                "access_log_dropped_lines_total",
                "Access-log lines lost because they came faster than they could be written, or could not be written at all.",
            ),
        }
    }
}

pub(super) struct ListenerFamilies {
    pub(super) accepts: Family<IntCounter>,
    pub(super) rejects: Family<IntCounter>,
    pub(super) tls_handshakes: Family<IntCounter>,
    pub(super) tls_handshake_duration: Family<Histogram>,
}

impl ListenerFamilies {
    pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
        Self {
            accepts: registrar.counters(
                "listener_accepts_total",
                "Connections accepted.",
                &["listener"],
            ),
            rejects: registrar.counters(
                "listener_rejects_total",
                "Connections that the listener refused; over HTTP/2 also single requests.",
                &["listener", "reason"],
            ),
            tls_handshakes: registrar.counters(
                "tls_handshakes_total",
                "TLS handshakes with clients by what they came to.",
                &["listener", "result"],
            ),
            tls_handshake_duration: registrar.histograms(
                "tls_handshake_duration_seconds",
                "Duration of successful TLS handshakes with clients.",
                &["listener"],
                HANDSHAKE_BUCKETS,
            ),
        }
    }
}

/// The expiry of the certificates of listeners.
pub(super) fn listener_certificates(registrar: &mut Registrar<'_>) -> Family<IntGauge> {
    registrar.gauges(
        "tls_certificate_not_after_timestamp_seconds",
        "When a certificate in use expires, in seconds since 1970.",
        &["listener", "name"],
    )
}

/// The expiry of the certificates of pools.
pub(super) fn pool_certificates(registrar: &mut Registrar<'_>) -> Family<IntGauge> {
    registrar.gauges(
        "pool_tls_certificate_not_after_timestamp_seconds",
        "When the certificate that backends are shown expires, in seconds since 1970.",
        &["pool", "name"],
    )
}

/// The sessions of a route and a pool.
pub(super) fn sessions_active(registrar: &mut Registrar<'_>) -> Family<IntGauge> {
    registrar.gauges(
        "sessions_active",
        "Sessions that are open.",
        &["route", "pool"],
    )
}

pub(super) struct RouteFamilies {
    pub(super) handshakes: Family<IntCounter>,
    pub(super) handshake_duration: Family<Histogram>,
    pub(super) session_duration: Family<Histogram>,
    pub(super) sessions_closed: Family<IntCounter>,
    pub(super) bytes: Family<IntCounter>,
    pub(super) messages: Family<IntCounter>,
    pub(super) control_frames: Family<IntCounter>,
    pub(super) message_sizes: Family<MessageSizes>,
    pub(super) protocol_errors: Family<IntCounter>,
    pub(super) ping_rtt: Family<Histogram>,
    pub(super) plain: PlainFamilies,
}

/// Of plain requests.
pub(super) struct PlainFamilies {
    pub(super) requests: Family<IntCounter>,
    pub(super) duration: Family<Histogram>,
}

impl RouteFamilies {
    pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
        Self {
            handshakes: registrar.counters(
                "handshakes_total",
                "Requests by what they came to; route is empty where none took it.",
                &["route", "result"],
            ),
            handshake_duration: registrar.histograms(
                "handshake_duration_seconds",
                "From the request to the 101 of accepted handshakes, backend included.",
                &["route"],
                HANDSHAKE_BUCKETS,
            ),
            session_duration: registrar.histograms(
                "session_duration_seconds",
                "Duration of sessions that ended, from the request on.",
                &["route"],
                SESSION_BUCKETS,
            ),
            sessions_closed: registrar.counters(
                "sessions_closed_total",
                "Sessions that ended: who began it, the code of the first Close frame, why.",
                &["route", "initiator", "code", "reason"],
            ),
            bytes: registrar.counters(
                "bytes_total",
                "Bytes of WebSocket streams that were read, frame headers included.",
                &["route", "direction"],
            ),
            messages: registrar.counters(
                "messages_total",
                "Messages passed on, by what they began as.",
                &["route", "direction", "opcode"],
            ),
            control_frames: registrar.counters(
                "control_frames_total",
                "Control frames that clients and backends sent.",
                &["route", "direction", "opcode"],
            ),
            message_sizes: registrar.message_sizes(
                "message_size_bytes",
                "Sizes of messages as they passed, without frame headers.",
                &["route", "direction"],
            ),
            protocol_errors: registrar.counters(
                "protocol_errors_total",
                "Streams in which the sender broke RFC 6455, passed on or not.",
                &["route", "direction"],
            ),
            ping_rtt: registrar.histograms(
                "ping_rtt_seconds",
                "From a Ping of the gateway to the Pong that answers it.",
                &["route"],
                ROUND_TRIP_BUCKETS,
            ),
            plain: PlainFamilies::register(registrar),
        }
    }
}

impl PlainFamilies {
    pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
        Self {
            requests: registrar.counters(
                "http_requests_total",
                "Plain HTTP requests that a route took, by the status of the answer.",
                &["route", "code"],
            ),
            duration: registrar.histograms(
                "http_request_duration_seconds",
                "From a plain HTTP request to the head of its answer.",
                &["route"],
                REQUEST_BUCKETS,
            ),
        }
    }
}

pub(super) struct PoolFamilies {
    pub(super) connect_duration: Family<Histogram>,
    pub(super) retries: Family<IntCounter>,
    pub(super) queue_length: Family<IntGauge>,
    pub(super) queue_wait: Family<Histogram>,
    pub(super) queue: Family<IntCounter>,
    pub(super) sticky: Family<IntCounter>,
}

impl PoolFamilies {
    pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
        Self {
            connect_duration: registrar.histograms(
                "backend_connect_duration_seconds",
                "From the dial to the answer of a backend that agreed.",
                &["pool"],
                HANDSHAKE_BUCKETS,
            ),
            retries: registrar.counters(
                "backend_retries_total",
                "Further candidates tried because one failed.",
                &["pool"],
            ),
            queue_length: registrar.gauges(
                "pool_queue_length",
                "Handshakes that wait for a place on a backend.",
                &["pool"],
            ),
            queue_wait: registrar.histograms(
                "pool_queue_wait_seconds",
                "How long handshakes waited that were given a place.",
                &["pool"],
                HANDSHAKE_BUCKETS,
            ),
            queue: registrar.counters(
                "pool_queue_total",
                "Handshakes that found every backend full, by what their wait came to.",
                &["pool", "result"],
            ),
            sticky: registrar.counters(
                "pool_sticky_total",
                "Requests to a sticky pool, by what their cookie came to.",
                &["pool", "result"],
            ),
        }
    }
}

pub(super) struct DiscoveryFamilies {
    pub(super) questions: Family<IntCounter>,
    pub(super) backends: Family<IntGauge>,
}

impl DiscoveryFamilies {
    pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
        Self {
            questions: registrar.counters(
                "pool_discovery_total",
                "Questions for the backends of a pool by what they came to.",
                &["pool", "result"],
            ),
            backends: registrar.gauges(
                "pool_discovered_backends",
                "Backends of a pool that were discovered and are in use.",
                &["pool"],
            ),
        }
    }
}

pub(super) struct BackendFamilies {
    pub(super) up: Family<IntGauge>,
    pub(super) checks: Family<IntCounter>,
    pub(super) sessions_active: Family<IntGauge>,
    pub(super) effective_weight: Family<Gauge>,
    pub(super) connects: Family<IntCounter>,
}

impl BackendFamilies {
    pub(super) fn register(registrar: &mut Registrar<'_>) -> Self {
        Self {
            up: registrar.gauges(
                "backend_up",
                "Whether a backend is neither down (by its checks) nor ejected.",
                &["pool", "backend"],
            ),
            checks: registrar.counters(
                "backend_health_checks_total",
                "Checks of a backend by what they came to.",
                &["pool", "backend", "result"],
            ),
            sessions_active: registrar.gauges(
                "backend_sessions_active",
                "Sessions on a backend, those being opened included.",
                &["pool", "backend"],
            ),
            effective_weight: registrar.shares(
                "backend_effective_weight",
                "The weight of a backend as it counts now, less than in full while it starts slowly.",
                &["pool", "backend"],
            ),
            connects: registrar.counters(
                "backend_connects_total",
                "Attempts at a backend by what they came to.",
                &["pool", "backend", "result"],
            ),
        }
    }
}

/// Creates families with the common prefix and registers them.
pub(super) struct Registrar<'a> {
    registry: &'a Registry,
    registered: Vec<Box<dyn AnyFamily>>,
}

impl<'a> Registrar<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            registered: Vec::new(),
        }
    }

    /// All families so far.
    pub(super) fn registered(self) -> Vec<Box<dyn AnyFamily>> {
        self.registered
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::with_opts(options(name, help)))
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> Family<IntCounter> {
        self.family(MetricType::COUNTER, About(name, help, labels), |options| {
            valid(IntCounter::with_opts(options))
        })
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::with_opts(options(name, help)))
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Family<IntGauge> {
        self.family(MetricType::GAUGE, About(name, help, labels), |options| {
            valid(IntGauge::with_opts(options))
        })
    }

    fn shares(&mut self, name: &str, help: &str, labels: &[&str]) -> Family<Gauge> {
        self.family(MetricType::GAUGE, About(name, help, labels), |options| {
            valid(Gauge::with_opts(options))
        })
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &'static [f64],
    ) -> Family<Histogram> {
        self.family(
            MetricType::HISTOGRAM,
            About(name, help, labels),
            |options| {
                let options = HistogramOpts::from(options).buckets(buckets.to_vec());
                valid(Histogram::with_opts(options))
            },
        )
    }

    fn message_sizes(&mut self, name: &str, help: &str, labels: &[&str]) -> Family<MessageSizes> {
        self.family(
            MetricType::HISTOGRAM,
            About(name, help, labels),
            |options| MessageSizes::new(&options),
        )
    }

    fn family<M: Metric + 'static>(
        &mut self,
        kind: MetricType,
        about: About<'_>,
        make: impl Fn(Opts) -> M + Send + Sync + 'static,
    ) -> Family<M> {
        let About(name, help, labels) = about;
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let options = options(name, help).variable_labels(labels);
        let family = self.keep(Family::new(kind, options, make));
        self.registered.push(Box::new(family.clone()));
        family
    }

    fn keep<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let family = valid(made);
        register(self.registry, family.clone());
        family
    }
}

/// A name, a help text and labels.
struct About<'a>(&'a str, &'a str, &'a [&'a str]);

fn valid<M>(made: prometheus::Result<M>) -> M {
    made.expect("the names and labels in this file are valid")
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("wsgate")
}

/// Registers a collector whose names no other has.
pub(super) fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry
        .register(Box::new(collector))
        .expect("the names in this file are unique");
}
