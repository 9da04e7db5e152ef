//! Stopping in order: not ready, listeners closed, sessions ended in their time, the rest cut.

mod process;

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use wsgate::admin::ReloadReport;
use wsgate::server::Outcome;

use crate::backends::Backend;
use crate::harness::{
    Gateway, Opening, WebSocket, Wire, ask, before, echo, eventually, eventually_some,
    expect_few_words, open, repeatedly, soon,
};
use crate::venue::{Side, Transport, Venue, agreement};

fn draining(backend: &Backend, drain: &str) -> String {
    format!("{}drain: {drain}\n", before(&[backend]))
}

/// Waits for the Close that ends `socket`, which the client library answers, and tells its code.
async fn end_of(mut socket: WebSocket) -> Option<u16> {
    let message = soon("a Close", socket.next()).await;
    let Some(Ok(Message::Close(close))) = message else {
        panic!("something else than a Close: {message:?}");
    };
    let rest = soon("the end", socket.next()).await;
    assert!(rest.is_none(), "{rest:?}");
    close.map(|close| close.code.into())
}

async fn is_refused(gateway: &Gateway) {
    let address = gateway.address();
    let refused = async || TcpStream::connect(address).await.is_err().then_some(());
    repeatedly("connections are refused", refused).await;
}

/// Connections that were tried before the listener closed count as well, for a moment.
async fn one_is_left(gateway: &Gateway) {
    let is_one = async || (gateway.status().await["drain_sessions"] == 1).then_some(());
    repeatedly("one connection is left", is_one).await;
}

#[tokio::test]
async fn a_stop_is_told_closes_the_listeners_and_waits_for_the_sessions() {
    let backend = Backend::echo().await;
    let drain = "{ window: 500ms, deadline: 1h }";
    let mut gateway = Gateway::start(&draining(&backend, drain)).await;
    assert_eq!(gateway.admin("GET", "/readyz").await.status(), 200);
    let socket = open(gateway.address(), "/").await;
    gateway.stop().await;
    is_refused(&gateway).await;
    assert_eq!(gateway.admin("GET", "/readyz").await.status(), 503);
    assert_eq!(gateway.admin("GET", "/healthz").await.status(), 200);
    assert_eq!(end_of(socket).await, Some(1012));
    assert_eq!(gateway.outcome().await, Outcome::Drained);
    let line = gateway.line("close").await;
    assert_eq!(line["close_reason"], "drain", "{line}");
    backend.is_left().await;
}

#[tokio::test]
async fn ends_are_spread_over_the_window() {
    const SESSIONS: usize = 30;
    let backend = Backend::echo().await;
    let drain = "{ window: 2s, deadline: 1h }";
    let mut gateway = Gateway::start(&draining(&backend, drain)).await;
    let mut sessions = JoinSet::new();
    for _ in 0..SESSIONS {
        let socket = open(gateway.address(), "/").await;
        sessions.spawn(async move {
            end_of(socket).await;
            Instant::now()
        });
    }
    gateway.stop().await;
    let ends = sessions.join_all().await;
    let first = ends.iter().min().expect("sessions");
    let last = ends.iter().max().expect("sessions");
    let spread = last.duration_since(*first);
    assert!(spread > Duration::from_millis(500), "all within {spread:?}");
    assert_eq!(gateway.outcome().await, Outcome::Drained);
}

/// No other drain tells its sessions to end.
#[tokio::test]
async fn a_stop_hastens_the_drain_of_a_listener_that_was_removed() {
    let backend = Backend::echo().await;
    let less =
        "listeners:\n  main: { address: \"127.0.0.1:0\" }\n  less: { address: \"127.0.0.1:0\" }\n";
    let slow = draining(&backend, "{ window: 8000h, deadline: 8000h }");
    let mut gateway = Gateway::start(&format!("{less}{slow}")).await;
    let socket = open(gateway.address_of("less"), "/").await;
    gateway.change(&slow).await;
    let quick = draining(&backend, "{ window: 100ms, deadline: 1h }");
    gateway.change(&quick).await;
    gateway.stop().await;
    assert_eq!(end_of(socket).await, Some(1012));
    assert_eq!(gateway.outcome().await, Outcome::Drained);
}

#[tokio::test]
async fn a_stop_ends_at_its_deadline_although_nobody_answers() {
    let more = "defaults: { timeouts: { close: 1h } }\ndrain: { window: 0s, deadline: 300ms }\n";
    let mut venue = Venue::start_with(Transport::Plain, more).await;
    let _sessions = [venue.session().await, venue.session().await];
    venue.gateway.stop().await;
    assert_eq!(venue.gateway.outcome().await, Outcome::Cut(2));
}

/// An opening handshake and a plain request.
#[tokio::test]
async fn what_has_no_answer_at_the_deadline_is_refused() {
    let backend = Backend::silent().await;
    let drain = "{ window: 0s, deadline: 300ms }";
    let mut gateway = Gateway::start(&draining(&backend, drain)).await;
    let mut wires = Vec::new();
    for asked in [
        Opening::to("/"),
        Opening::to("/")
            .without("Upgrade")
            .without("Sec-WebSocket-Key"),
    ] {
        let mut wire = Wire::connect(gateway.address()).await;
        wire.send(asked.text()).await;
        wires.push(wire);
    }
    eventually("both are asked", || backend.heads().len() == 2).await;
    gateway.stop().await;
    for mut wire in wires {
        assert_eq!(wire.answer().await.status(), 503);
    }
    for event in ["refused", "request"] {
        let line = gateway.line(event).await;
        assert_eq!(line["result"], "draining", "{line}");
        assert!(
            backend.url().ends_with(line["backend"].as_str().unwrap()),
            "{line}"
        );
    }
    assert_eq!(gateway.outcome().await, Outcome::Cut(2));
}

#[tokio::test]
async fn a_second_stop_cuts_at_once() {
    let more = "drain: { window: 1h, deadline: 2h }\n";
    let mut venue = Venue::start_with(Transport::Plain, more).await;
    let (mut client, mut backend) = venue.session().await;
    venue.gateway.stop().await;
    is_refused(&venue.gateway).await;
    one_is_left(&venue.gateway).await;
    venue.gateway.stop().await;
    assert_eq!(venue.gateway.outcome().await, Outcome::Cut(1));
    client.gone().await;
    backend.gone().await;
}

#[tokio::test]
async fn in_the_time_of_grace_sessions_still_open() {
    let backend = Backend::echo().await;
    let drain = "{ grace: 1h, window: 0s, deadline: 1h }";
    let mut gateway = Gateway::start(&draining(&backend, drain)).await;
    gateway.stop().await;
    let not_ready = async || (gateway.admin("GET", "/readyz").await.status() == 503).then_some(());
    repeatedly("it is not ready", not_ready).await;
    let mut socket = open(gateway.address(), "/").await;
    echo(&mut socket, "in time").await;
    gateway.stop().await;
    assert_eq!(gateway.outcome().await, Outcome::Cut(1));
}

/// The backend has been asked, but has not agreed yet, when the drain begins. What is to end counts once all the time.
#[tokio::test]
async fn a_session_whose_101_is_under_way_is_drained_too() {
    let more = "drain: { window: 0s, deadline: 1h }\n";
    let mut venue = Venue::start_with(Transport::Plain, more).await;
    let mut client = venue.connect().await;
    client.send(Opening::to("/").text()).await;
    let mut backend = venue.arrivals.asked().await;
    venue.gateway.stop().await;
    is_refused(&venue.gateway).await;
    one_is_left(&venue.gateway).await;
    backend.send(agreement()).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.values("connection"), ["Upgrade"]);
    client.end().await;
    assert_eq!(client.frame().await.close_code(), Some(1012));
    client.expect_end().await;
    drop(backend);
    assert_eq!(venue.gateway.outcome().await, Outcome::Drained);
}

#[tokio::test]
async fn a_stop_waits_for_sessions_of_a_listener_that_was_removed() {
    let backend = Backend::echo().await;
    let rest = draining(&backend, "{ window: 1s, deadline: 1h }");
    let both =
        "listeners:\n  main: { address: \"127.0.0.1:0\" }\n  less: { address: \"127.0.0.1:0\" }\n";
    let mut gateway = Gateway::start(&format!("{both}{rest}")).await;
    let socket = open(gateway.address_of("less"), "/").await;
    gateway.change(&rest).await;
    gateway.stop().await;
    assert_eq!(end_of(socket).await, Some(1012));
    assert_eq!(gateway.outcome().await, Outcome::Drained);
}

#[tokio::test]
async fn connections_without_a_session_hold_up_no_stop() {
    for drain in ["{ deadline: 1h }", "{ window: 0s, deadline: 2s }"] {
        let fixed = "listeners: { main: { address: \"127.0.0.1:0\", h2c: true } }\n\
                     routes: { fixed: { respond: { status: 200, body: in } } }";
        let mut gateway = Gateway::start(&format!("{fixed}\ndrain: {drain}\n")).await;
        // Some read nothing while they have no request, and leave their end open.
        let mut reads_nothing = Wire::connect(gateway.address()).await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        reads_nothing.send(preface).await;
        reads_nothing.take(9).await;
        let mut silent = Wire::connect(gateway.address()).await;
        let mut resting = Wire::connect(gateway.address()).await;
        resting
            .send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            .await;
        assert_eq!(resting.answer().await.status(), 200);
        gateway.stop().await;
        assert!(resting.rest().await.is_empty());
        silent.gone().await;
        assert_eq!(gateway.outcome().await, Outcome::Drained);
    }
}

/// Its request may be on the way, and a client repeats none on a connection that is new, nor one of which it has sent a
/// part.
#[tokio::test]
async fn a_client_that_is_about_to_ask_is_still_served() {
    let keys = [
        "",
        ", h2c: true",
        ", trusted_proxies: [127.0.0.1], proxy_protocol: accept",
    ];
    for keys in keys {
        is_still_served(keys).await;
    }
}

async fn is_still_served(keys: &str) {
    let yaml = format!(
        "runtime: {{ workers: 1 }}\n\
         listeners: {{ main: {{ address: \"127.0.0.1:0\"{keys} }} }}\n\
         routes: {{ fixed: {{ respond: {{ status: 200, body: in }} }} }}\n\
         drain: {{ deadline: 1h }}\n"
    );
    let mut gateway = Gateway::start(&yaml).await;
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let (beginning, rest) = request.split_at(8);
    let mut fresh = Wire::connect(gateway.address()).await;
    let mut half = Wire::connect(gateway.address()).await;
    half.send(beginning).await;
    let mut again = Wire::connect(gateway.address()).await;
    again.send(request).await;
    assert_eq!(again.answer().await.status(), 200);
    again.send(beginning).await;
    // The only worker has seen all of it when it has answered this one.
    let mut served = Wire::connect(gateway.address()).await;
    served.send(request).await;
    assert_eq!(served.answer().await.status(), 200);
    gateway.stop().await;
    is_refused(&gateway).await;
    fresh.send(request).await;
    half.send(rest).await;
    again.send(rest).await;
    served.send(request).await;
    for wire in [&mut fresh, &mut half, &mut again, &mut served] {
        let answer = wire.answer().await;
        assert_eq!(
            (answer.status(), answer.values("connection")),
            (200, vec!["close"]),
            "{keys}"
        );
        wire.gone().await;
    }
    assert_eq!(gateway.outcome().await, Outcome::Drained);
}

/// They speak no TLS, or stopped half-way in its handshake.
#[tokio::test]
async fn a_tls_handshake_holds_up_no_stop() {
    let more = "drain: { window: 0s, deadline: 1h }\n";
    let mut venue = Venue::start_with(Transport::Tls, more).await;
    let mut silent = Wire::connect(venue.gateway.address()).await;
    let mut half_way = Wire::connect(venue.gateway.address()).await;
    half_way.send(b"\x16\x03\x01\x02\x00\x01").await;
    // Both were taken before this one.
    drop(venue.connect().await);
    venue.gateway.stop().await;
    silent.gone().await;
    half_way.gone().await;
    assert_eq!(venue.gateway.outcome().await, Outcome::Drained);
}

#[tokio::test]
async fn a_request_that_comes_while_the_gateway_stops_is_503() {
    let backend = Backend::echo().await;
    let yaml = "runtime: { workers: 1 }\n".to_owned() + &before(&[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let mut late = Wire::connect(gateway.address()).await;
    let request = Opening::to("/").text();
    let (beginning, rest) = request.split_at(20);
    late.send(beginning).await;
    // A connection without a byte would be ended. Once the only worker has answered a later one, it has
    // read this one.
    let later = ask(
        gateway.address(),
        Opening::to("/").without("Upgrade").text(),
    )
    .await;
    assert_eq!(later.status(), 426);
    gateway.stop().await;
    // The drain begins as the listener closes.
    is_refused(&gateway).await;
    late.send(rest).await;
    let answer = late.answer().await;
    assert_eq!(answer.status(), 503, "{answer:?}");
    expect_few_words(&answer);
    assert!(answer.value("retry-after").is_some(), "{answer:?}");
    let refused = |line: &Value| line["result"] == "draining";
    let find = || gateway.log().lines().into_iter().find(refused);
    // Its count went with the gateway, which had nothing else to wait for.
    let line = eventually_some("a line of the refusal", find).await;
    assert_eq!(line["route"], "chat", "{line}");
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_is_awaited_at_a_stop_still_comes_and_ends_the_connection() {
    let more = "drain: { window: 1h, deadline: 2h }\n";
    let mut venue = Venue::start_with(Transport::Plain, more).await;
    let mut waiting = venue.connect().await;
    waiting.send(Opening::to("/").text()).await;
    let mut backend = venue.arrivals.asked().await;
    venue.gateway.stop().await;
    is_refused(&venue.gateway).await;
    backend
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        .await;
    let answer = waiting.answer().await;
    assert_eq!(
        (answer.status(), answer.values("connection")),
        (403, vec!["close"])
    );
    waiting.gone().await;
    drop(backend);
    assert_eq!(venue.gateway.outcome().await, Outcome::Drained);
}

/// It has no end of its own, and would take the whole deadline; its client asks again when it ends.
#[tokio::test]
async fn events_end_in_the_window_and_in_order() {
    let more = "drain: { window: 0s, deadline: 2h }\n";
    let mut venue = Venue::start_with(Transport::Plain, more).await;
    let (mut client, mut backend) = events(&mut venue, "GET").await;
    venue.gateway.stop().await;
    assert_eq!(client.take(5).await, b"0\r\n\r\n");
    client.gone().await;
    backend.gone().await;
    assert_eq!(venue.gateway.outcome().await, Outcome::Drained);
}

/// As language models do: their client would take the end for that of the answer.
#[tokio::test]
async fn events_that_nobody_asks_for_again_are_whole() {
    let more = "drain: { window: 0s, deadline: 2h }\n";
    let mut venue = Venue::start_with(Transport::Plain, more).await;
    let (mut client, mut backend) = events(&mut venue, "POST").await;
    venue.gateway.stop().await;
    is_refused(&venue.gateway).await;
    backend.send("data: 2\n\n").await;
    assert_eq!(client.take(14).await, b"9\r\ndata: 2\n\n\r\n");
    backend.end().await;
    assert_eq!(client.take(5).await, b"0\r\n\r\n");
    assert_eq!(venue.gateway.outcome().await, Outcome::Drained);
}

/// A client that has got the first event of an answer to a request with this method, and the backend.
async fn events(venue: &mut Venue, method: &str) -> (Wire<Side>, Wire) {
    let mut client = venue.connect().await;
    let head = "/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    client.send(format!("{method} {head}")).await;
    let mut backend = venue.arrivals.asked().await;
    backend
        .send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n",
        )
        .await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.take(14).await, b"9\r\ndata: 1\n\n\r\n");
    (client, backend)
}

#[tokio::test]
async fn a_reload_while_stopping_is_refused() {
    let more = "drain: { window: 1h, deadline: 2h }\n";
    let venue = Venue::start_with(Transport::Plain, more).await;
    let _session = venue.session().await;
    venue.gateway.stop().await;
    let report = venue.gateway.reload().await;
    assert!(matches!(report, ReloadReport::Refused { .. }), "{report:?}");
    assert_eq!(venue.gateway.admin("POST", "/reload").await.status(), 422);
    let failures = [("result", "failure")];
    assert_eq!(
        venue
            .gateway
            .count("wsgate_config_reloads_total", &failures),
        2.0
    );
}
