//! Checks of the gateway's own: what passes, what does not, and what follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::{becomes, configuration, shown, turn, turns, up};
use crate::backends::{Backend, Mortal};
use crate::harness::{Gateway, Opening, Refusal, eventually, repeatedly, soon};
use crate::venue::Arrivals;

/// Checks that come often.
fn active(keys: &str) -> String {
    format!("health: {{ active: {{ interval: 50ms, timeout: 1s, {keys} }} }},")
}

fn entry(backend: &Backend) -> String {
    format!("{{ name: a, url: \"{}\" }}", backend.url())
}

async fn checked(gateway: &Gateway, result: &str) {
    let labels = [("pool", "chat"), ("backend", "a"), ("result", result)];
    let count = || gateway.count("wsgate_backend_health_checks_total", &labels);
    eventually(&format!("a check with {result}"), || count() > 0.0).await;
}

#[tokio::test]
async fn each_kind_of_check_passes_a_backend_that_is_well() {
    let is_well = Arc::new(AtomicBool::new(true));
    for keys in [
        "type: tcp",
        "type: http, path: /health?deep",
        "type: websocket",
    ] {
        let backend = Backend::ailing(&is_well).await;
        let gateway = Gateway::start(&configuration(&active(keys), &[entry(&backend)])).await;
        checked(&gateway, "success").await;
        let shown = shown(&gateway, "a").await;
        assert_eq!(shown["state"], "ready", "{keys}: {shown}");
        assert_eq!(shown["last_check"]["passed"], true, "{keys}: {shown}");
        assert_eq!(up(&gateway, "a"), 1.0);
    }
}

/// Otherwise the backend logs at each check that its answer was broken off.
#[tokio::test]
async fn a_check_reads_a_long_answer_to_its_end() {
    let arrivals = Arrivals::listen().await;
    let entry = format!("{{ name: a, url: \"{}\" }}", arrivals.url());
    let keys = active("type: http, path: /health");
    let gateway = Gateway::start(&configuration(&keys, &[entry])).await;
    let (_, mut backend) = arrivals.met().await;
    let page = "p".repeat(100_000);
    backend
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{page}"
        ))
        .await;
    checked(&gateway, "success").await;
    assert!(!backend.is_reset().await);
}

#[tokio::test]
async fn a_check_asks_for_its_path_and_host() {
    let backend = Backend::ailing(&Arc::new(AtomicBool::new(true))).await;
    let keys = active("type: http, path: /health?deep, host: chat.example.com");
    let gateway = Gateway::start(&configuration(&keys, &[entry(&backend)])).await;
    checked(&gateway, "success").await;
    let head = backend.heads().remove(0);
    assert_eq!(head.line, "GET /health?deep HTTP/1.1");
    assert_eq!(head.value("host"), Some("chat.example.com"));
}

/// What the operator wants does not hide what is.
#[tokio::test]
async fn a_drained_backend_is_shown_to_be_down_when_it_is() {
    let mut a = Mortal::named("a").await;
    let b = Mortal::named("b").await;
    let keys = active("type: tcp");
    let gateway = Gateway::start(&configuration(&keys, &[a.entry(), b.entry()])).await;
    a.kill().await;
    becomes(&gateway, "a", "down").await;
    gateway.admin("POST", "/pools/chat/backends/a/drain").await;
    becomes(&gateway, "a", "drained").await;
    assert_eq!(up(&gateway, "a"), 0.0, "drained and down");
    a.revive().await;
    eventually("it is up again", || up(&gateway, "a") == 1.0).await;
    becomes(&gateway, "a", "drained").await;
    a.kill().await;
    eventually("it is down again", || up(&gateway, "a") == 0.0).await;
}

/// The checks of sessions reach the backend as a session does, and leave in order.
#[tokio::test]
async fn a_websocket_check_leaves_nothing_open() {
    let backend = Backend::echo().await;
    let keys = active("type: websocket, path: /chat");
    let gateway = Gateway::start(&configuration(&keys, &[entry(&backend)])).await;
    checked(&gateway, "success").await;
    let head = backend.heads().remove(0);
    assert_eq!(head.line, "GET /chat HTTP/1.1");
    assert_eq!(head.value("host"), Some(&*backend.address().to_string()));
    gateway.change(&configuration("", &[entry(&backend)])).await;
    backend.is_left().await;
}

#[tokio::test]
async fn a_check_sends_the_fields_that_it_is_given() {
    for kind in ["websocket", "http"] {
        let backend = Backend::echo().await;
        let fields = "headers: { Sec-WebSocket-Protocol: chat, User-Agent: probe/1 }";
        let keys = active(&format!("type: {kind}, {fields}"));
        let gateway = Gateway::start(&configuration(&keys, &[entry(&backend)])).await;
        eventually("a check came", || !backend.heads().is_empty()).await;
        let head = backend.heads().remove(0);
        assert_eq!(head.values("sec-websocket-protocol"), ["chat"], "{kind}");
        assert_eq!(head.values("user-agent"), ["probe/1"], "{kind}");
        assert!(head.spells("Sec-WebSocket-Protocol"), "{head:?}");
        drop(gateway);
    }
}

#[tokio::test]
async fn what_a_check_does_not_pass_is_told_in_words() {
    let cases = [
        ("type: tcp", Backend::absent(), "failure", "refused"),
        (
            "type: http",
            Backend::garbage().await,
            "failure",
            "not valid HTTP",
        ),
        (
            "type: http, statuses: [204]",
            Backend::answering(OK).await,
            "failure",
            "status was 200",
        ),
        (
            "type: http",
            Backend::silent().await,
            "timeout",
            "there was no answer in time",
        ),
        (
            "type: http",
            Backend::answering(&OK.replace("\r\n\r\n", &("\r\nX: y".repeat(101) + "\r\n\r\n")))
                .await,
            "failure",
            "head of its answer is too large",
        ),
        (
            "type: websocket",
            Backend::answering(OK).await,
            "failure",
            "status was 200",
        ),
        (
            "type: websocket",
            Backend::wrong_accept().await,
            "failure",
            "broke the handshake",
        ),
        (
            "type: websocket",
            Backend::ending().await,
            "failure",
            "ended the connection",
        ),
    ];
    for (keys, backend, result, words) in cases {
        expect_words(keys, &entry(&backend), result, words).await;
    }
}

#[tokio::test]
async fn a_websocket_check_says_at_which_step_it_failed() {
    let cases = [
        (
            "type: websocket",
            Backend::never_reading().await,
            "timeout",
            "there was no Pong in time",
        ),
        (
            "type: websocket",
            Backend::saying(b"\x8a\x0chealth check").await,
            "timeout",
            "there was no Close in time",
        ),
        (
            "type: websocket",
            Backend::saying(b"\x88\x02\x0f\xa1").await,
            "failure",
            "it sent Close 4001 before the Pong",
        ),
    ];
    for (keys, backend, result, words) in cases {
        expect_words(keys, &entry(&backend), result, words).await;
    }
}

#[tokio::test]
async fn a_check_says_that_a_backend_is_silent_to_tls() {
    let backend = Backend::silent().await;
    let entry = entry(&backend).replace("ws:", "wss:");
    let words = "the TLS handshake was not over in time";
    expect_words("type: tcp", &entry, "timeout", words).await;
}

/// The check of a backend fails with these words.
async fn expect_words(keys: &str, entry: &str, result: &str, words: &str) {
    let keys = match result {
        // So much time that no step before takes as long.
        "timeout" => active(&format!("unhealthy_threshold: 1, {keys}")),
        _ => active(keys),
    };
    let gateway = Gateway::start(&configuration(&keys, &[entry.to_owned()])).await;
    checked(&gateway, result).await;
    let shown = becomes(&gateway, "a", "down").await;
    let error = shown["last_check"]["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{keys}: {shown}");
    let reason = shown["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(words), "{keys}: {shown}");
    assert_eq!(up(&gateway, "a"), 0.0);
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn no_ready_backend_is_503_with_retry_after() {
    let backend = Backend::absent();
    let keys = active("type: tcp");
    let gateway = Gateway::start(&configuration(&keys, &[entry(&backend)])).await;
    becomes(&gateway, "a", "down").await;
    let refusal = Refusal {
        status: 503,
        result: "no_ready_backend",
        route: "chat",
    };
    let answer = gateway.expect_refusal(Opening::to("/"), refusal).await;
    assert!(answer.value("retry-after").is_some(), "{answer:?}");
}

#[tokio::test]
async fn a_backend_that_comes_back_gets_its_share_again() {
    let (mut a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let keys = active("type: websocket, healthy_threshold: 2, unhealthy_threshold: 2");
    let gateway = Gateway::start(&configuration(&keys, &[a.entry(), b.entry()])).await;
    assert_eq!(turns(&gateway, 4).await, "abab");
    a.kill().await;
    becomes(&gateway, "a", "down").await;
    assert_eq!(turns(&gateway, 4).await, "bbbb");
    a.revive().await;
    let back = becomes(&gateway, "a", "ready").await;
    assert_eq!(back["reason"], "checks pass");
    assert_eq!(turns(&gateway, 8).await.matches('a').count(), 4);
}

#[tokio::test]
async fn a_reload_forgets_no_verdict() {
    let (sound, dead) = (Mortal::named("b").await, Backend::absent());
    let keys = "health: { active: { type: tcp, interval: 1h, unhealthy_threshold: 1 } },";
    let entries = [entry(&dead), sound.entry()];
    let yaml = configuration(keys, &entries);
    let gateway = Gateway::start(&yaml).await;
    let before = becomes(&gateway, "a", "down").await;
    gateway
        .change(&yaml.replace("window: 0s", "window: 1s"))
        .await;
    assert_eq!(shown(&gateway, "a").await, before, "a change elsewhere");
    gateway
        .change(&yaml.replace("pools: { chat: {", "pools: { chat: { attempts: 2,"))
        .await;
    assert_eq!(shown(&gateway, "a").await, before, "a change of the pool");
    gateway
        .change(&yaml.replace("interval: 1h", "interval: 2h"))
        .await;
    assert_eq!(shown(&gateway, "a").await["state"], "down", "other checks");
    gateway.change(&configuration("", &entries)).await;
    assert_eq!(shown(&gateway, "a").await["state"], "ready", "no checks");
}

/// As where backends are found anew all the time.
#[tokio::test]
async fn a_backend_that_hangs_is_found_although_its_pool_changes_all_the_time() {
    let (silent, other) = (Backend::silent().await, Backend::echo().await);
    let yaml = |weight: u32| {
        let other = format!("{{ url: \"{}\", weight: {weight} }}", other.url());
        configuration(&active("type: http"), &[entry(&silent), other])
    };
    let gateway = Gateway::start(&yaml(1)).await;
    let mut weights = [2, 1].into_iter().cycle();
    let look = async || {
        gateway.change(&yaml(weights.next()?)).await;
        sleep(Duration::from_millis(200)).await;
        (shown(&gateway, "a").await["state"] == "down").then_some(())
    };
    repeatedly("it is down", look).await;
}

/// Its place among the checks of all pools is for others.
#[tokio::test]
async fn a_check_of_a_backend_that_is_removed_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let entry = format!("\"ws://{}\"", silent.local_addr().unwrap());
    let other = format!("\"{}\"", Backend::echo().await.url());
    let keys = "health: { active: { type: http, interval: 1h, timeout: 1h } },";
    let gateway = Gateway::start(&configuration(keys, &[entry, other.clone()])).await;
    let (mut check, _) = silent.accept().await.unwrap();
    gateway.change(&configuration(keys, &[other])).await;
    let mut asked = Vec::new();
    let ended = soon("the check ends", check.read_to_end(&mut asked)).await;
    assert!(ended.is_ok());
}

/// Whatever the interval.
#[tokio::test]
async fn a_backend_that_joins_is_checked_at_once() {
    let (sound, dead) = (Mortal::named("b").await, Backend::absent());
    let keys = "health: { active: { type: tcp, interval: 1h } },";
    let gateway = Gateway::start(&configuration(keys, &[sound.entry()])).await;
    let both = [sound.entry(), entry(&dead)];
    gateway.change(&configuration(keys, &both)).await;
    let shown = becomes(&gateway, "a", "down").await;
    assert!(
        shown["reason"]
            .as_str()
            .unwrap_or_default()
            .starts_with("a check failed")
    );
}

/// One of four is killed and comes back while sessions are opened all the time: with `attempts: 3` none of
/// them fails.
#[tokio::test]
async fn no_handshake_fails_while_one_of_four_is_killed_and_returns() {
    let mut four = Vec::new();
    for name in ["a", "b", "c", "d"] {
        four.push(Mortal::named(name).await);
    }
    let entries: Vec<String> = four.iter().map(Mortal::entry).collect();
    let gateway = Gateway::start(&configuration(&active("type: websocket"), &entries)).await;
    let gateway = Arc::new(gateway);
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(open_until(Arc::clone(&gateway), Arc::clone(&stop)));
    for _ in 0..3 {
        four[2].kill().await;
        becomes(&gateway, "c", "down").await;
        four[2].revive().await;
        becomes(&gateway, "c", "ready").await;
        let life = &four[2];
        repeatedly("sessions on it", async || {
            (life.connections() > 20).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    let statuses = load.await.expect("nobody panics");
    assert!(statuses.iter().all(|status| *status == 101), "{statuses:?}");
    let failed = gateway.metrics().value(
        "wsgate_handshakes_total",
        &[("route", "chat"), ("result", "backend_failed")],
    );
    assert_eq!(failed, Some(0.0));
}

/// Opens sessions one after the other; the statuses of the answers.
async fn open_until(gateway: Arc<Gateway>, stop: Arc<AtomicBool>) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        statuses.push(turn(&gateway).await.0);
    }
    statuses
}

/// The backend takes connections and says nothing.
#[tokio::test]
async fn a_check_by_old_settings_does_not_hold_up_the_first_by_new_ones() {
    let backend = Backend::silent().await;
    let hangs = active("type: http").replace("timeout: 1s", "timeout: 1h");
    let gateway = Gateway::start(&configuration(&hangs, &[entry(&backend)])).await;
    eventually("it is asked", || backend.connections() > 0).await;
    let ends = active("type: http, unhealthy_threshold: 1").replace("timeout: 1s", "timeout: 50ms");
    gateway
        .change(&configuration(&ends, &[entry(&backend)]))
        .await;
    becomes(&gateway, "a", "down").await;
}
