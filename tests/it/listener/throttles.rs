//! Bounds on handshakes: of TLS under way, and opening ones per second.

use futures_util::future::join_all;

use super::{REQUEST, listening, rejects};
use crate::backends::Backend;
use crate::harness::{
    Gateway, Identity, Opening, Wire, ask, before, connect_tls, directory, echo, eventually, open,
};

/// A TLS listener with these limits, and the peers that are trusted there.
async fn start(limits: &str) -> (Gateway, Identity) {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
    let gateway = Gateway::start_in(directory, &secure(&identity, limits)).await;
    (gateway, identity)
}

fn secure(identity: &Identity, limits: &str) -> String {
    let tls = identity.yaml();
    listening(&format!(
        ", tls: {{ certificates: [{tls}] }}, limits: {{ {limits} }}"
    ))
}

async fn is_served(gateway: &Gateway, identity: &Identity) -> bool {
    let connected = connect_tls(gateway.address(), "gateway.test", identity.trust()).await;
    let Ok(stream) = connected else { return false };
    let mut wire = Wire::new(stream);
    wire.send(REQUEST).await;
    wire.answer().await.status() == 200
}

fn accepts(gateway: &Gateway) -> f64 {
    gateway.count("wsgate_listener_accepts_total", &[("listener", "main")])
}

#[tokio::test]
async fn one_tls_handshake_too_many_is_closed_at_once_and_who_waits_too_long_too() {
    let (gateway, identity) = start("concurrent_tls_handshakes: 1").await;
    let mut half_open = Vec::new();
    for _ in 0..3 {
        half_open.push(Wire::connect(gateway.address()).await);
    }
    eventually("only one is left", || rejects(&gateway, "tls_full") == 2.0).await;
    drop(half_open);
    assert!(is_served(&gateway, &identity).await);
}

#[tokio::test]
async fn a_tls_handshake_waits_for_a_place_and_gets_it() {
    let (gateway, identity) = start("concurrent_tls_handshakes: 1").await;
    let half_open = Wire::connect(gateway.address()).await;
    eventually("it is there", || accepts(&gateway) == 1.0).await;
    let (is_served, ()) = tokio::join!(is_served(&gateway, &identity), async {
        eventually("the other is there", || accepts(&gateway) == 2.0).await;
        drop(half_open);
    });
    assert!(is_served);
    assert_eq!(rejects(&gateway, "tls_full"), 0.0);
}

/// Connections that have been served hold no place of handshakes, and a reload brings another limit.
#[tokio::test]
async fn the_bound_is_of_handshakes_and_changes_with_a_reload() {
    let (gateway, identity) = start("concurrent_tls_handshakes: 1").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let stream = connect_tls(gateway.address(), "gateway.test", identity.trust()).await;
        held.push(stream.expect("a place"));
    }
    gateway
        .change(&secure(&identity, "concurrent_tls_handshakes: 0"))
        .await;
    let mut half_open = Vec::new();
    for _ in 0..4 {
        half_open.push(Wire::connect(gateway.address()).await);
    }
    assert!(is_served(&gateway, &identity).await);
    assert_eq!(rejects(&gateway, "tls_full"), 0.0);
}

#[tokio::test]
async fn opening_handshakes_over_the_rate_are_503_and_nothing_else_is() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&paced(1, "", &backend)).await;
    let mut open_one = open(gateway.address(), "/").await;
    let openings = (0..30).map(|_| ask(gateway.address(), Opening::to("/").text()));
    let answers = join_all(openings).await;
    let of = |status: u16| answers.iter().filter(move |it| it.status() == status);
    let refused = of(503).count();
    assert!(
        refused > 0 && refused + of(101).count() == 30,
        "{answers:?}"
    );
    assert!(of(503).all(|it| it.value("retry-after").is_some()));
    let line = gateway.line("refused").await;
    assert_eq!(line["result"], "too_many_handshakes", "{line}");
    let counted = gateway.handshakes("chat", "too_many_handshakes");
    assert_eq!(counted, refused as f64);
    // Neither open sessions nor plain requests are handshakes.
    echo(&mut open_one, "still there").await;
    assert_ne!(ask(gateway.address(), REQUEST).await.status(), 503);
    gateway.change(&paced(0, "", &backend)).await;
    let openings = (0..30).map(|_| ask(gateway.address(), Opening::to("/").text()));
    assert!(join_all(openings).await.iter().all(|it| it.status() == 101));
}

/// A listener that lets `rate` opening handshakes a second pass, with more limits.
fn paced(rate: u32, more: &str, backend: &Backend) -> String {
    let limits = format!("limits: {{ handshakes_per_second: {rate}{more} }}");
    let listener = format!("main: {{ address: \"127.0.0.1:0\", {limits} }}");
    format!("listeners: {{ {listener} }}\n{}", before(&[backend]))
}

/// The rate is not begun anew by a reload that is about something else.
#[tokio::test]
async fn a_reload_of_something_else_gives_no_more_handshakes() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&paced(1, "", &backend)).await;
    let mut refused = 0;
    for count in 1000..1020 {
        let more = format!(", max_connections: {count}");
        gateway.change(&paced(1, &more, &backend)).await;
        let openings = (0..3).map(|_| ask(gateway.address(), Opening::to("/").text()));
        let answers = join_all(openings).await;
        refused += answers.iter().filter(|it| it.status() == 503).count();
        if refused > 2 {
            return;
        }
    }
    panic!("every reload gave its share anew: {refused} refused");
}

/// What has begun counts on: a reload makes no second place beside the one that is taken.
#[tokio::test]
async fn a_reload_of_something_else_gives_no_more_tls_handshakes() {
    let limits = "concurrent_tls_handshakes: 1";
    let (gateway, identity) = start(limits).await;
    let mut half_open = vec![Wire::connect(gateway.address()).await];
    eventually("it is there", || accepts(&gateway) == 1.0).await;
    let more = format!("{limits}, max_connections: 1000");
    gateway.change(&secure(&identity, &more)).await;
    for _ in 0..2 {
        half_open.push(Wire::connect(gateway.address()).await);
    }
    eventually("only one is left", || rejects(&gateway, "tls_full") == 2.0).await;
    drop(half_open);
    assert!(is_served(&gateway, &identity).await);
}

/// Connections may live long, and one of HTTP/2 carries many handshakes.
#[tokio::test]
async fn a_new_rate_holds_for_connections_that_are_open() {
    let backend = Backend::echo().await;
    let gateway = Gateway::start(&paced(0, "", &backend)).await;
    let mut wires = Vec::new();
    for _ in 0..20 {
        let mut wire = Wire::connect(gateway.address()).await;
        wire.send(REQUEST).await;
        wire.answer().await;
        wires.push(wire);
    }
    gateway.change(&paced(1, "", &backend)).await;
    let openings = wires.iter_mut().map(async |wire| {
        wire.send(Opening::to("/").text()).await;
        wire.answer().await
    });
    let answers = join_all(openings).await;
    let of = |status: u16| answers.iter().filter(|it| it.status() == status).count();
    assert!(of(503) > 0 && of(503) + of(101) == 20, "{answers:?}");
}
