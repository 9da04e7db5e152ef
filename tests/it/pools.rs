//! Which backend has a session: in turn, by weight, and what comes after one that fails.

use std::collections::BTreeMap;

use crate::backends::Backend;
use crate::harness::{Gateway, Opening, Refusal, ask, before, close, echo, eventually, open, pool};

/// A route to a pool of these backends, each with its name and more keys.
fn named(pool_keys: &str, backends: &[(&str, &str, &Backend)]) -> String {
    let entry = |(name, keys, backend): &(&str, &str, &Backend)| {
        format!(
            "      - {{ name: {name}, url: \"{}\", {keys} }}\n",
            backend.url()
        )
    };
    let entries: String = backends.iter().map(entry).collect();
    format!(
        "routes: {{ chat: {{ origins: any, timeouts: {{ handshake: 6s }}, pool: chat }} }}\n\
         pools:\n  chat:\n    attempts: 3\n{pool_keys}    backends:\n{entries}"
    )
}

/// Opens `count` sessions one after the other; the names of those that had them, which they say themselves.
async fn turns(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut turns = Vec::new();
    for _ in 0..count {
        let answer = ask(gateway.address(), Opening::to("/").text()).await;
        assert_eq!(answer.status(), 101, "{answer:?}");
        turns.push(answer.value("x-backend").unwrap_or_default().to_owned());
    }
    turns
}

struct Three([Backend; 3]);

impl Three {
    async fn start() -> Self {
        Self([
            Backend::named("a").await,
            Backend::named("b").await,
            Backend::named("c").await,
        ])
    }

    fn yaml(&self, weights: [&str; 3]) -> String {
        let [a, b, c] = &self.0;
        named(
            "",
            &[
                ("a", weights[0], a),
                ("b", weights[1], b),
                ("c", weights[2], c),
            ],
        )
    }
}

#[tokio::test]
async fn round_robin_is_exact() {
    let three = Three::start().await;
    let gateway = Gateway::start(&three.yaml(["", "", ""])).await;
    assert_eq!(turns(&gateway, 9).await.concat(), "abcabcabc");
}

#[tokio::test]
async fn round_robin_is_exact_for_those_who_come_at_once() {
    let three = Three::start().await;
    let gateway = Gateway::start(&three.yaml(["", "", ""])).await;
    let address = gateway.address();
    let asking = (0..30).map(|_| tokio::spawn(ask(address, Opening::to("/").text())));
    let asking: Vec<_> = asking.collect();
    let mut shares = BTreeMap::new();
    for answer in asking {
        let answer = answer.await.expect("nobody panics");
        let name = answer.value("x-backend").unwrap_or_default().to_owned();
        *shares.entry(name).or_insert(0) += 1;
    }
    let equal = ["a", "b", "c"].map(|name| (name.to_owned(), 10));
    assert_eq!(shares, BTreeMap::from(equal));
}

#[tokio::test]
async fn weights_are_smooth() {
    let three = Three::start().await;
    let gateway = Gateway::start(&three.yaml(["weight: 5", "weight: 1", "weight: 1"])).await;
    assert_eq!(turns(&gateway, 14).await.concat(), "aabacaaaabacaa");
}

/// With frequent reloads the first backend would get everything otherwise.
#[tokio::test]
async fn the_round_goes_on_over_a_reload() {
    let three = Three::start().await;
    let d = Backend::named("d").await;
    let yaml = three.yaml(["", "", ""]);
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(turns(&gateway, 1).await.concat(), "a");
    gateway
        .change(&yaml.replace("handshake: 6s", "handshake: 7s"))
        .await;
    assert_eq!(turns(&gateway, 1).await.concat(), "b");
    let [a, b, c] = &three.0;
    let four = [("a", "", a), ("b", "", b), ("c", "", c), ("d", "", &d)];
    gateway.change(&named("", &four)).await;
    assert_eq!(turns(&gateway, 1).await.concat(), "c");
    let mut next = turns(&gateway, 4).await;
    next.sort();
    assert_eq!(next.concat(), "abcd");
}

#[tokio::test]
async fn a_reload_forgets_no_session() {
    let three = Three::start().await;
    let yaml = three.yaml(["", "", ""]);
    let gateway = Gateway::start(&yaml).await;
    let mut socket = open(gateway.address(), "/").await;
    echo(&mut socket, "open on both sides").await;
    let labels = [("pool", "chat"), ("backend", "a")];
    let active = || gateway.count("wsgate_backend_sessions_active", &labels);
    assert_eq!(active(), 1.0);
    gateway
        .change(&yaml.replace("attempts: 3", "attempts: 2"))
        .await;
    assert_eq!(active(), 1.0);
    let status = gateway.status().await;
    assert_eq!(status["pools"][0]["backends"][0]["sessions"], 1);
    assert_eq!(status["routes"][0]["sessions"], 1);
    echo(&mut socket, "still here").await;
    close(socket).await;
    eventually("the session is given back", || active() == 0.0).await;
}

#[tokio::test]
async fn a_dead_backend_is_passed_over() {
    let dead = Backend::absent();
    let sound = Backend::named("b").await;
    let yaml = named("", &[("a", "", &dead), ("b", "", &sound)]);
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(turns(&gateway, 4).await.concat(), "bbbb");
    expect_failed_over(&gateway, "connect_failed", 2.0);
    let accepted = || gateway.handshakes("chat", "accepted") == 4.0;
    eventually("four sessions are counted", accepted).await;
    assert_eq!(gateway.handshakes("chat", "backend_failed"), 0.0);
    assert_eq!(gateway.line("open").await["backend"], "b");
}

#[tokio::test]
async fn a_spare_backend_is_for_when_no_better_one_can_be_had() {
    let [a, b] = [Backend::named("a").await, Backend::named("b").await];
    let yaml = named("", &[("a", "priority: 1", &a), ("b", "", &b)]);
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(turns(&gateway, 3).await.concat(), "bbb");
    gateway.admin("POST", "/pools/chat/backends/b/drain").await;
    assert_eq!(turns(&gateway, 2).await.concat(), "aa");
    gateway.admin("POST", "/pools/chat/backends/b/resume").await;
    assert_eq!(turns(&gateway, 2).await.concat(), "bb");
}

fn expect_failed_over(gateway: &Gateway, result: &str, times: f64) {
    let labels = [("pool", "chat"), ("backend", "a"), ("result", result)];
    let connects = gateway.count("wsgate_backend_connects_total", &labels);
    assert!(connects >= 1.0 && connects <= times, "{result}: {connects}");
    let retries = gateway.count("wsgate_backend_retries_total", &[("pool", "chat")]);
    assert_eq!(retries, connects);
}

#[tokio::test]
async fn a_silent_backend_leaves_time_for_the_next() {
    let silent = Backend::silent().await;
    let sound = Backend::named("b").await;
    let yaml = named("", &[("a", "", &silent), ("b", "", &sound)]);
    let gateway = Gateway::start(&yaml.replace("handshake: 6s", "handshake: 2s")).await;
    assert_eq!(turns(&gateway, 1).await.concat(), "b");
    expect_failed_over(&gateway, "timeout", 1.0);
    assert_eq!(silent.connections(), 1);
    silent.is_left().await;
}

#[tokio::test]
async fn a_backend_that_breaks_the_handshake_is_passed_over() {
    for broken in [
        Backend::wrong_accept().await,
        Backend::missing_accept().await,
        Backend::no_upgrade().await,
        Backend::garbage().await,
        Backend::ending().await,
        Backend::resetting_at_once().await,
    ] {
        let sound = Backend::named("b").await;
        let yaml = named("", &[("a", "", &broken), ("b", "", &sound)]);
        let gateway = Gateway::start(&yaml).await;
        assert_eq!(turns(&gateway, 1).await.concat(), "b");
        expect_failed_over(&gateway, "handshake_failed", 1.0);
        broken.is_left().await;
        // Both were sent the same head.
        assert_eq!(broken.head().fields, sound.head().fields);
    }
}

/// A refusal is an answer: a client that is turned away by one backend is not sent to the next.
#[tokio::test]
async fn an_answer_is_not_failed_over() {
    let refusing = Backend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let sound = Backend::echo().await;
    let yaml = named("", &[("a", "", &refusing), ("b", "", &sound)]);
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(sound.connections(), 0);
}

#[tokio::test]
async fn no_more_backends_are_tried_than_attempts() {
    let broken = [
        Backend::wrong_accept().await,
        Backend::wrong_accept().await,
        Backend::wrong_accept().await,
    ];
    let yaml = format!(
        "routes: {{ chat: {{ origins: any, pool: chat }} }}\n{}",
        pool("attempts: 2,", &broken.each_ref())
    );
    let gateway = Gateway::start(&yaml).await;
    let failed = Refusal {
        status: 502,
        result: "backend_failed",
        route: "chat",
    };
    gateway.expect_refusal(Opening::to("/"), failed).await;
    let tried: usize = broken.iter().map(Backend::connections).sum();
    assert_eq!(tried, 2);
    let retries = gateway.count("wsgate_backend_retries_total", &[("pool", "chat")]);
    assert_eq!(retries, 1.0);
}

#[tokio::test]
async fn a_backend_that_never_reads_holds_up_nobody_else() {
    let stuck = Backend::never_reading().await;
    let gateway = Gateway::start(&before(&[&stuck])).await;
    let sound = Backend::echo().await;
    let both = named("", &[("a", "", &stuck), ("b", "", &sound)]);
    gateway.change(&both).await;
    let mut stuck_socket = open(gateway.address(), "/").await;
    let mut socket = open(gateway.address(), "/").await;
    if stuck.connections() == 0 {
        std::mem::swap(&mut stuck_socket, &mut socket);
    }
    let sending = tokio::spawn(async move {
        use futures_util::SinkExt;
        let large = tokio_tungstenite::tungstenite::Message::binary(vec![0; 1 << 20]);
        while stuck_socket.send(large.clone()).await.is_ok() {}
    });
    for _ in 0..100 {
        echo(&mut socket, "hello").await;
    }
    assert!(
        !sending.is_finished(),
        "the stuck session is held, not ended"
    );
    sending.abort();
}

#[tokio::test]
async fn a_pool_without_backends_is_503() {
    let gateway = Gateway::start(&before(&[])).await;
    let no_backend = Refusal {
        status: 503,
        result: "no_ready_backend",
        route: "chat",
    };
    let answer = gateway.expect_refusal(Opening::to("/"), no_backend).await;
    assert!(answer.value("retry-after").is_some(), "{answer:?}");
}
