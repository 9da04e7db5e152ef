//! Shares: exact in turn, by count, by lot.

use std::collections::BTreeMap;

use super::{named, session, yaml};
use crate::backends::Backend;
use crate::harness::{Gateway, WebSocket, eventually};

/// Opens `count` sessions at once; they stay open.
async fn crowd(gateway: &Gateway, count: usize) -> (Vec<WebSocket>, BTreeMap<String, usize>) {
    let address = gateway.address();
    let opening = (0..count).map(|_| tokio::spawn(async move { session(address, "/", &[]).await }));
    let opening: Vec<_> = opening.collect();
    let (mut sockets, mut shares) = (Vec::new(), BTreeMap::new());
    for session in opening {
        let (socket, name) = session.await.expect("nobody panics");
        sockets.push(socket);
        *shares.entry(name).or_insert(0) += 1;
    }
    (sockets, shares)
}

fn equal(names: &[&str], share: usize) -> BTreeMap<String, usize> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), share))
        .collect()
}

#[tokio::test]
async fn four_hundred_sessions_over_four_backends() {
    for strategy in ["round_robin", "least_sessions"] {
        let backends = named(4).await;
        let keys = format!("strategy: {strategy},");
        let gateway = Gateway::start(&yaml(&keys, &backends, "")).await;
        let (_sockets, shares) = crowd(&gateway, 400).await;
        assert_eq!(shares, equal(&["a", "b", "c", "d"], 100), "{strategy}");
    }
}

#[tokio::test]
async fn lots_leave_nobody_out() {
    for strategy in ["random", "two_choices"] {
        let backends = named(3).await;
        let keys = format!("strategy: {strategy},");
        let gateway = Gateway::start(&yaml(&keys, &backends, "")).await;
        let (_sockets, shares) = crowd(&gateway, 90).await;
        let least = shares.values().min().copied();
        assert!(
            shares.len() == 3 && least >= Some(10),
            "{strategy} {shares:?}"
        );
    }
}

#[tokio::test]
async fn a_backend_that_joins_gets_the_next_sessions() {
    let backends = named(3).await;
    let two = yaml("strategy: least_sessions,", &backends[..2], "");
    let gateway = Gateway::start(&two).await;
    let (_sockets, shares) = crowd(&gateway, 12).await;
    assert_eq!(shares, equal(&["a", "b"], 6));
    gateway
        .change(&yaml("strategy: least_sessions,", &backends, ""))
        .await;
    let (_more, shares) = crowd(&gateway, 5).await;
    assert_eq!(shares, equal(&["c"], 5));
}

/// With a slow start it does not get them all.
#[tokio::test]
async fn a_slow_start_spares_the_one_that_joins() {
    let backends = named(3).await;
    let keys = "strategy: least_sessions, slow_start: 1h,";
    let gateway = Gateway::start(&yaml(keys, &backends[..2], "")).await;
    let (_sockets, shares) = crowd(&gateway, 20).await;
    assert_eq!(
        shares,
        equal(&["a", "b"], 10),
        "those of the start have their share at once"
    );
    gateway.change(&yaml(keys, &backends, "")).await;
    let (_more, shares) = crowd(&gateway, 10).await;
    assert!(
        shares.get("c").is_some_and(|share| *share <= 2),
        "{shares:?}"
    );
    let status = gateway.status().await;
    let weight = |index: usize| status["pools"][0]["backends"][index]["effective_weight"].as_f64();
    assert_eq!(weight(0), Some(1.0));
    assert!(
        weight(2).is_some_and(|weight| (0.1..0.2).contains(&weight)),
        "{status}"
    );
    let shown = |backend: &str| {
        let labels = [("pool", "chat"), ("backend", backend)];
        gateway.count("wsgate_backend_effective_weight", &labels)
    };
    assert_eq!(shown("a"), 1.0);
    assert!((0.1..0.2).contains(&shown("c")), "{}", shown("c"));
}

/// The weight that counts grows until the slow start is over.
#[tokio::test]
async fn a_slow_start_has_an_end() {
    let backends = named(2).await;
    let keys = "slow_start: 300ms,";
    let gateway = Gateway::start(&yaml(keys, &backends[..1], "")).await;
    gateway.change(&yaml(keys, &backends, "")).await;
    let labels = [("pool", "chat"), ("backend", "b")];
    let weight = || gateway.count("wsgate_backend_effective_weight", &labels);
    eventually("the weight counts in full", || weight() == 1.0).await;
}

#[tokio::test]
async fn every_strategy_passes_over_a_dead_backend() {
    for strategy in [
        "round_robin",
        "least_sessions",
        "two_choices",
        "random",
        "hash",
    ] {
        let backends = [Backend::absent(), Backend::named("b").await];
        let keys = format!("strategy: {strategy},");
        let gateway = Gateway::start(&yaml(&keys, &backends, "")).await;
        let (_sockets, shares) = crowd(&gateway, 8).await;
        assert_eq!(shares, equal(&["b"], 8), "{strategy}");
        let pool = [("pool", "chat")];
        let retries = gateway.count("wsgate_backend_retries_total", &pool);
        let refused = [
            ("pool", "chat"),
            ("backend", "a"),
            ("result", "connect_failed"),
        ];
        assert_eq!(
            retries,
            gateway.count("wsgate_backend_connects_total", &refused)
        );
        // In turn it has its turns; by lot it may have none.
        assert!(retries > 0.0 || strategy != "round_robin");
    }
}
