//! `max_sessions` and the queue of clients that wait for a place.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{named, session, yaml};
use crate::backends::Backend;
use crate::harness::{
    Answer, Gateway, Opening, Refusal, WebSocket, Wire, ask, close, eventually, repeatedly,
};
use crate::venue::{Arrivals, open};

const FULL: Refusal<'static> = Refusal {
    status: 503,
    result: "pool_full",
    route: "chat",
};

/// Waits until `count` clients wait.
async fn expect_waiting(gateway: &Gateway, count: usize) {
    let what = format!("{count} wait");
    let length = || gateway.count("wsgate_pool_queue_length", &[("pool", "chat")]);
    eventually(&what, || length() == count as f64).await;
    repeatedly(&what, async || {
        let status = gateway.status().await;
        (status["pools"][0]["waiting"] == count).then_some(())
    })
    .await;
}

fn waits(gateway: &Gateway, result: &str) -> f64 {
    let labels = [("pool", "chat"), ("result", result)];
    gateway.count("wsgate_pool_queue_total", &labels)
}

/// Asks for a session in a task of its own.
fn asking(gateway: &Gateway) -> JoinHandle<Answer> {
    let address = gateway.address();
    tokio::spawn(async move { ask(address, Opening::to("/").text()).await })
}

/// Sends an opening handshake; the connection, and the status of the answer.
async fn begin(address: SocketAddr) -> (Wire, u16) {
    let mut wire = Wire::connect(address).await;
    wire.send(Opening::to("/").text()).await;
    let status = wire.head().await.status();
    (wire, status)
}

async fn sessions(gateway: &Gateway, count: usize) -> Vec<WebSocket> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(session(gateway.address(), "/", &[]).await.0);
    }
    sockets
}

/// However many come at once, a backend never has more than it may.
#[tokio::test]
async fn no_backend_has_more_sessions_than_it_may() {
    for strategy in [
        "round_robin",
        "least_sessions",
        "two_choices",
        "random",
        "hash",
    ] {
        let backends = named(2).await;
        let keys = format!("strategy: {strategy},");
        let gateway = Gateway::start(&yaml(&keys, &backends, ", max_sessions: 3")).await;
        let address = gateway.address();
        let opening: Vec<_> = (0..40).map(|_| tokio::spawn(begin(address))).collect();
        let mut answers = Vec::new();
        for task in opening {
            answers.push(task.await.expect("nobody panics"));
        }
        let statuses = |wanted: u16| {
            answers
                .iter()
                .filter(|(_, status)| *status == wanted)
                .count()
        };
        assert_eq!((statuses(101), statuses(503)), (6, 34), "{strategy}");
        assert_eq!(gateway.handshakes("chat", "pool_full"), 34.0, "{strategy}");
        assert_eq!(waits(&gateway, "overflow"), 0.0, "there is no queue");
        let answer = gateway.expect_refusal(Opening::to("/"), FULL).await;
        assert!(answer.value("retry-after").is_some());
    }
}

/// Places that become free go to those who came first.
#[tokio::test]
async fn those_who_wait_are_served_in_order() {
    let backends = named(1).await;
    let keys = "queue: { max: 2, timeout: 10m },";
    let gateway = Gateway::start(&yaml(keys, &backends, ", max_sessions: 1")).await;
    let mut open = sessions(&gateway, 1).await;
    let address = gateway.address();
    let first = tokio::spawn(async move { session(address, "/?first", &[]).await.0 });
    expect_waiting(&gateway, 1).await;
    let second = tokio::spawn(async move { session(address, "/?second", &[]).await.0 });
    expect_waiting(&gateway, 2).await;
    gateway.expect_refusal(Opening::to("/"), FULL).await;
    assert_eq!(waits(&gateway, "overflow"), 1.0);
    close(open.remove(0)).await;
    let first = first.await.expect("nobody panics");
    expect_waiting(&gateway, 1).await;
    assert!(!second.is_finished());
    close(first).await;
    close(second.await.expect("nobody panics")).await;
    expect_waiting(&gateway, 0).await;
    assert_eq!(waits(&gateway, "served"), 2.0);
    let lines = backends[0].heads();
    let lines: Vec<&str> = lines.iter().map(|head| head.line.as_str()).collect();
    assert_eq!(
        lines[1..],
        ["GET /?first HTTP/1.1", "GET /?second HTTP/1.1"]
    );
}

#[tokio::test]
async fn who_has_no_time_left_behind_the_queue_blames_no_backend() {
    let [one, other] = [Arrivals::listen().await, Arrivals::listen().await];
    let yaml = format!(
        "defaults: {{ timeouts: {{ handshake: 9s, connect: 9s }} }}\n\
         routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ queue: {{ max: 1, timeout: 10m }}, strategy: round_robin, \
         backends: [{{ url: \"{}\", max_sessions: 1 }}, {{ url: \"{}\", max_sessions: 1 }}] }} }}\n",
        one.url(),
        other.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut sessions = Vec::new();
    for arrivals in [&one, &other] {
        let wire = Wire::connect(gateway.address()).await;
        sessions.push(open(wire, arrivals).await);
    }
    let waiting = asking(&gateway);
    expect_waiting(&gateway, 1).await;
    // More than half of the time that a backend would have.
    sleep(Duration::from_secs(5)).await;
    drop(sessions);
    let _silent = tokio::join!(one.asked(), other.asked());
    assert_eq!(waiting.await.expect("nobody panics").status(), 504);
    let status = gateway.status().await;
    for backend in 0..2 {
        let backend = &status["pools"][0]["backends"][backend];
        assert_eq!(backend["failures"], 0, "{status}");
    }
}

#[tokio::test]
async fn a_wait_has_an_end() {
    let backends = named(2).await;
    let keys = "queue: { max: 9, timeout: 50ms },";
    let gateway = Gateway::start(&yaml(keys, &backends, ", max_sessions: 1")).await;
    let _open = sessions(&gateway, 2).await;
    let answer = gateway.expect_refusal(Opening::to("/"), FULL).await;
    assert!(answer.value("retry-after").is_some());
    assert_eq!(waits(&gateway, "timeout"), 1.0);
    expect_waiting(&gateway, 0).await;
}

/// Full is no state of its own: such a backend is ready, and has no place.
#[tokio::test]
async fn the_status_tells_which_backend_is_full() {
    let backends = named(2).await;
    let gateway = Gateway::start(&yaml("", &backends, ", max_sessions: 1")).await;
    let mut open = sessions(&gateway, 1).await;
    let shows = async |full: [bool; 2]| {
        let status = gateway.status().await;
        let backends = &status["pools"][0]["backends"];
        let is_so = |index: usize| {
            backends[index]["full"] == full[index] && backends[index]["state"] == "ready"
        };
        (is_so(0) && is_so(1)).then_some(())
    };
    repeatedly("a is full", async || shows([true, false]).await).await;
    close(open.remove(0)).await;
    repeatedly("none is full", async || shows([false, false]).await).await;
}

/// A client that leaves gives its place in the queue to the next.
#[tokio::test]
async fn who_leaves_is_not_waited_for() {
    let backends = named(1).await;
    let keys = "queue: { max: 9, timeout: 10m },";
    let gateway = Gateway::start(&yaml(keys, &backends, ", max_sessions: 1")).await;
    let mut open = sessions(&gateway, 1).await;
    let mut leaving = Wire::connect(gateway.address()).await;
    leaving.send(Opening::to("/").text()).await;
    expect_waiting(&gateway, 1).await;
    let staying = asking(&gateway);
    expect_waiting(&gateway, 2).await;
    leaving.reset();
    expect_waiting(&gateway, 1).await;
    assert_eq!(waits(&gateway, "abandoned"), 1.0);
    close(open.remove(0)).await;
    assert_eq!(staying.await.expect("nobody panics").status(), 101);
}

/// A reload that brings room reaches the clients that wait.
#[tokio::test]
async fn a_reload_serves_those_who_wait() {
    let backends = named(2).await;
    let keys = "queue: { max: 9, timeout: 10m },";
    let gateway = Gateway::start(&yaml(keys, &backends[..1], ", max_sessions: 1")).await;
    let _open = sessions(&gateway, 1).await;
    let waiting = [asking(&gateway), asking(&gateway)];
    expect_waiting(&gateway, 2).await;
    gateway
        .change(&yaml(keys, &backends, ", max_sessions: 2"))
        .await;
    for answer in waiting {
        assert_eq!(answer.await.expect("nobody panics").status(), 101);
    }
}

/// The pool is taken out and put back while a session of it drains, and has no backends for a moment.
#[tokio::test]
async fn a_pool_that_comes_back_empty_has_its_queue_of_before() {
    let backends = named(2).await;
    let pool = |count| {
        let keys = "queue: { max: 9, timeout: 10m },";
        let yaml = yaml(keys, &backends[..count], ", max_sessions: 1");
        format!("{yaml}drain: {{ window: 10m, deadline: 10m }}\n")
    };
    let gateway = Gateway::start(&pool(1)).await;
    let _draining = sessions(&gateway, 1).await;
    let other = pool(0).replace("chat", "other");
    for yaml in [&pool(0), &other, &pool(0), &pool(2)] {
        gateway.change(yaml).await;
    }
    let mut open = sessions(&gateway, 1).await;
    let waiting = asking(&gateway);
    expect_waiting(&gateway, 1).await;
    close(open.remove(0)).await;
    assert_eq!(waiting.await.expect("nobody panics").status(), 101);
}

/// Nobody waits for backends that are drained, or in a gateway that stops.
#[tokio::test]
async fn a_drain_sends_away_those_who_wait() {
    for target in ["/drain?backend=a", "/drain?route=chat", "/drain"] {
        let backends = named(1).await;
        let keys = "queue: { max: 9, timeout: 10m },";
        let gateway = Gateway::start(&yaml(keys, &backends, ", max_sessions: 1")).await;
        let _open = sessions(&gateway, 1).await;
        let waiting = asking(&gateway);
        expect_waiting(&gateway, 1).await;
        gateway.admin("POST", target).await;
        let answer = waiting.await.expect("nobody panics");
        assert_eq!(answer.status(), 503, "{target}");
        assert!(answer.value("retry-after").is_some(), "{target}");
    }
}

/// Full is one thing, dead is another: what a dead one cannot take is waited for at the full one.
#[tokio::test]
async fn a_dead_backend_does_not_end_the_wait() {
    let backends = [Backend::absent(), Backend::named("b").await];
    let keys = "queue: { max: 9, timeout: 10m },";
    let gateway = Gateway::start(&yaml(keys, &backends, ", max_sessions: 1")).await;
    let mut open = sessions(&gateway, 1).await;
    let waiting = asking(&gateway);
    expect_waiting(&gateway, 1).await;
    close(open.remove(0)).await;
    assert_eq!(waiting.await.expect("nobody panics").status(), 101);
}
