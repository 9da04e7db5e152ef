//! What choosing a backend costs: nanoseconds a choice, and the time in which a pool is built.
//!
//! `cargo bench --bench balancer`. The best of several rounds is printed, because whatever else the
//! machine does only ever adds. A choice is all that a handshake does before it dials: the claim on the
//! backend, its metrics, and the share of the time are in it.

#![allow(
    clippy::print_stdout,
    reason = "printing figures is what a benchmark is for"
)]

use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Uri};
use wsgate::config::Config;
use wsgate::snapshot::Snapshot;
use wsgate::telemetry::Metrics;
use wsgate::tls::Material;
use wsgate::upstream::{Hints, Pool, Purpose};

const BACKENDS: [u16; 3] = [3, 100, 1000];
const STRATEGIES: [&str; 5] = [
    "round_robin",
    "least_sessions",
    "two_choices",
    "random",
    "hash",
];
const ROUNDS: usize = 15;
const CHOICES: u32 = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O can always be had");
    runtime.block_on(async {
        println!(
            "{:18}{:>9}{:>12}{:>12}",
            "strategy", "backends", "ns/choice", "build, ms"
        );
        for strategy in STRATEGIES {
            for backends in BACKENDS {
                measure(strategy, backends).await;
            }
        }
    });
}

async fn measure(strategy: &str, backends: u16) {
    let (mut build, mut choice) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let metrics = Metrics::new();
        let config = config(strategy, backends);
        let start = Instant::now();
        let snapshot = Snapshot::build(config, Material::default(), &metrics, None);
        build = build.min(start.elapsed());
        choice = choice.min(choose(&snapshot.pools["pool"]).await);
    }
    let each = choice.as_secs_f64() * 1e9 / f64::from(CHOICES);
    let build = build.as_secs_f64() * 1e3;
    println!("{strategy:18}{backends:>9}{each:>12.0}{build:>12.2}");
}

/// Chooses for as many clients, each from an address of its own; every claim is given back at once.
async fn choose(pool: &Arc<Pool>) -> Duration {
    let (headers, uri) = (HeaderMap::new(), Uri::from_static("/"));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3600);
    let start = Instant::now();
    for client in 0..CHOICES {
        let hints = Hints {
            client: Some(IpAddr::V4(Ipv4Addr::from_bits(client))),
            is_secure: false,
            headers: &headers,
            uri: &uri,
            request_id: "",
            drains: None,
        };
        let mut candidates = pool.candidates(Purpose::Session, hints, deadline);
        let candidate = candidates.next().await;
        black_box(candidate.map_err(|_| ()).expect("every backend is ready"));
    }
    start.elapsed()
}

fn config(strategy: &str, backends: u16) -> Config {
    let mut text = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\" }} }}\n\
         routes: {{ all: {{ origins: any, pool: pool }} }}\n\
         pools:\n  pool:\n    strategy: {strategy}\n    backends:\n"
    );
    for port in 1..=backends {
        writeln!(text, "      - ws://127.0.0.1:{port}").expect("text can be written to a string");
    }
    Config::parse(&text, "bench", Path::new("."), &|_| None).expect("the configuration is sound")
}
