//! Backends whose attempts fail are left alone for a while.

use std::time::Duration;

use super::{becomes, configuration, shown, turns, up};
use crate::backends::{Backend, Mortal};
use crate::harness::{Gateway, Head, Opening, Wire, ask, eventually};
use crate::venue::Arrivals;

const PASSIVE: &str = "health: { passive: { failures: 2, window: 30s, eject: 1s } },";

fn retries(gateway: &Gateway) -> f64 {
    gateway.count("wsgate_backend_retries_total", &[("pool", "chat")])
}

#[tokio::test]
async fn failures_in_a_row_eject_and_the_backend_is_tried_again() {
    let (mut a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let gateway = Gateway::start(&configuration(PASSIVE, &[a.entry(), b.entry()])).await;
    a.kill().await;
    assert_eq!(turns(&gateway, 4).await, "bbbb");
    let ejected = becomes(&gateway, "a", "ejected").await;
    let reason = ejected["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("2 attempts in a row failed: it refused"),
        "{ejected}"
    );
    assert_eq!(up(&gateway, "a"), 0.0);
    a.revive().await;
    let mut names = String::new();
    while !names.contains('a') {
        names.push_str(&turns(&gateway, 1).await);
    }
    assert_eq!(
        becomes(&gateway, "a", "ready").await["reason"],
        "an attempt succeeded"
    );
    assert_eq!(up(&gateway, "a"), 1.0);
    assert_eq!(turns(&gateway, 8).await.matches('a').count(), 4);
}

/// As when it hangs; its clients have less patience than the gateway.
#[tokio::test]
async fn a_backend_that_answers_nobody_is_ejected_although_its_clients_leave() {
    let (silent, b) = (Backend::silent().await, Mortal::named("b").await);
    let a = format!("{{ name: a, url: \"{}\" }}", silent.url());
    let patient = "defaults: { timeouts: { handshake: 1h } }\n";
    let yaml = patient.to_owned() + &configuration(PASSIVE, &[a, b.entry()]);
    let gateway = Gateway::start(&yaml.replace("eject: 1s", "eject: 1h")).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Wire::connect(gateway.address()).await;
        client.send(Opening::to("/").text()).await;
        clients.push(client);
    }
    eventually("two wait", || silent.heads().len() == 2).await;
    // What clients wait for is time.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(clients);
    let ejected = becomes(&gateway, "a", "ejected").await;
    assert_eq!(
        ejected["reason"],
        "2 attempts in a row failed: a client left without an answer"
    );
}

#[tokio::test]
async fn one_that_takes_the_name_of_an_ejected_one_is_up() {
    let (mut a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let gateway = Gateway::start(&configuration(PASSIVE, &[a.entry(), b.entry()])).await;
    a.kill().await;
    assert_eq!(turns(&gateway, 4).await, "bbbb");
    becomes(&gateway, "a", "ejected").await;
    let other = Mortal::named("a").await;
    let yaml = configuration(PASSIVE, &[other.entry(), b.entry()]);
    gateway.change(&yaml).await;
    assert_eq!(up(&gateway, "a"), 1.0);
}

#[tokio::test]
async fn a_verdict_of_before_a_reload_is_shown_under_the_name_of_after_it() {
    let (failing, other) = (Arrivals::listen().await, Backend::echo().await);
    let swapped = |names: [&str; 2]| {
        let urls = [failing.url(), other.url()];
        let entry = |(name, url)| format!("{{ name: {name}, url: \"{url}\" }}");
        let keys = "health: { passive: { failures: 1, eject: 1h } },";
        let entries: Vec<String> = names.into_iter().zip(urls).map(entry).collect();
        configuration(keys, &entries)
    };
    let gateway = Gateway::start(&swapped(["a", "b"])).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(Opening::to("/").text()).await;
    let attempt = failing.asked().await;
    gateway.change(&swapped(["b", "a"])).await;
    drop(attempt);
    eventually("b is ejected", || up(&gateway, "b") == 0.0).await;
    assert_eq!(up(&gateway, "a"), 1.0);
}

#[tokio::test]
async fn an_ejected_backend_costs_no_attempts() {
    let (dead, b) = (Backend::absent(), Mortal::named("b").await);
    let keys = PASSIVE.replace("1s", "1h");
    let a = format!("{{ name: a, url: \"{}\" }}", dead.url());
    let gateway = Gateway::start(&configuration(&keys, &[a, b.entry()])).await;
    assert_eq!(turns(&gateway, 20).await, "b".repeat(20));
    assert_eq!(retries(&gateway), 2.0);
}

/// That the gateway has bounds says nothing of a backend.
#[tokio::test]
async fn an_answer_with_too_many_fields_ejects_nobody() {
    let fields = "Set-Cookie: a=b\r\n".repeat(101);
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    let (wordy, b) = (Backend::answering(&answer).await, Mortal::named("b").await);
    let a = format!("{{ name: a, url: \"{}\" }}", wordy.url());
    let keys = PASSIVE.replace("1s", "1h");
    let gateway = Gateway::start(&configuration(&keys, &[a, b.entry()])).await;
    assert_eq!(turns(&gateway, 12).await, "b".repeat(12));
    assert!(retries(&gateway) > 2.0);
    assert_eq!(up(&gateway, "a"), 1.0);
}

/// A gateway before two backends, which takes plain requests as well and ejects for an hour.
async fn before_both(a: &Backend, b: &Backend) -> Gateway {
    let entries = [("a", a), ("b", b)]
        .map(|(name, backend)| format!("{{ name: {name}, url: \"{}\" }}", backend.url()));
    let keys = PASSIVE.replace("1s", "1h");
    let yaml = configuration(&keys, &entries)
        .replace("origins: any", "origins: any, protocols: [websocket, http]");
    Gateway::start(&yaml).await
}

/// A stranger may ask for what the backends end without an answer, as often as it likes.
#[tokio::test]
async fn what_one_client_asks_for_ejects_nobody() {
    let (a, b) = (Backend::mute_at_odd().await, Backend::mute_at_odd().await);
    let gateway = before_both(&a, &b).await;
    let get = "GET /odd HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    for request in [Opening::to("/odd").text(), get].iter().cycle().take(12) {
        assert_eq!(ask(gateway.address(), request).await.status(), 502);
    }
    let asks = |backend: &Backend| {
        let heads = backend.heads();
        heads.iter().any(|head| head.line == "GET / HTTP/1.1")
    };
    eventually("the gateway asks itself", || asks(&a) || asks(&b)).await;
    for name in ["a", "b"] {
        assert_eq!(shown(&gateway, name).await["state"], "ready");
    }
}

/// Such servers end what comes for a host that they do not know, too, and their own address is one.
#[tokio::test]
async fn backends_are_asked_by_a_host_that_they_answer() {
    let session = Opening::to("/").set("Host", "chat.test").text();
    let plain = "GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n".to_owned();
    for request in [session, plain] {
        let backend = || Backend::mute_at_odd_and_to_other_hosts("chat.test");
        let (a, b) = (backend().await, backend().await);
        let gateway = before_both(&a, &b).await;
        for _ in 0..2 {
            assert_eq!(ask(gateway.address(), &request).await.status(), 200);
        }
        let odd = "GET /odd HTTP/1.1\r\nHost: chat.test\r\n\r\n";
        for _ in 0..12 {
            assert_eq!(ask(gateway.address(), odd).await.status(), 502);
        }
        let questions = || {
            let mut heads = [a.heads(), b.heads()].concat();
            heads.retain(|head: &Head| head.value("user-agent") == Some("wsgate"));
            heads
        };
        eventually("the gateway asks itself", || !questions().is_empty()).await;
        for question in questions() {
            assert_eq!(question.value("host"), Some("chat.test"));
        }
        for name in ["a", "b"] {
            assert_eq!(shown(&gateway, name).await["state"], "ready");
        }
    }
}

/// A stranger may have the gateway keep such a host, too.
#[tokio::test]
async fn a_host_that_is_served_at_one_path_only_ejects_nobody() {
    let backend = || Backend::mute_at_odd_and_partly_to("chat.test", "api.test");
    let (a, b) = (backend().await, backend().await);
    let gateway = before_both(&a, &b).await;
    let get = async |host: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        ask(gateway.address(), &request).await.status()
    };
    for _ in 0..2 {
        assert_eq!(get("chat.test", "/").await, 200);
    }
    assert_eq!(get("chat.test", "/odd").await, 502);
    for _ in 0..4 {
        assert_eq!(get("api.test", "/v1").await, 200);
    }
    for _ in 0..12 {
        assert_eq!(get("chat.test", "/odd").await, 502);
    }
    let asked = |backend: &Backend| {
        let heads = backend.heads();
        let is_own = |head: &&Head| head.value("user-agent") == Some("wsgate");
        heads.iter().filter(is_own).count()
    };
    eventually("the gateway asks itself", || asked(&a) + asked(&b) >= 2).await;
    for name in ["a", "b"] {
        assert_eq!(shown(&gateway, name).await["state"], "ready");
    }
}

/// The one that is left counts as ready, as nothing else is.
#[tokio::test]
async fn where_all_others_fail_an_ejected_backend_is_tried() {
    let (mut a, mut b) = (Mortal::named("a").await, Mortal::named("b").await);
    let keys = PASSIVE.replace("1s", "1h");
    let gateway = Gateway::start(&configuration(&keys, &[a.entry(), b.entry()])).await;
    a.kill().await;
    assert_eq!(turns(&gateway, 4).await, "bbbb");
    becomes(&gateway, "a", "ejected").await;
    a.revive().await;
    assert_eq!(turns(&gateway, 4).await, "bbbb", "it is left alone");
    b.kill().await;
    assert_eq!(turns(&gateway, 4).await, "aaaa");
}

/// As an operator does who restarts it, and so says that it is well.
#[tokio::test]
async fn one_that_was_drained_and_resumed_meanwhile_is_ready() {
    let (mut a, mut b) = (Mortal::named("a").await, Mortal::named("b").await);
    let keys = PASSIVE.replace("1s", "1h");
    let gateway = Gateway::start(&configuration(&keys, &[a.entry(), b.entry()])).await;
    a.kill().await;
    assert_eq!(turns(&gateway, 4).await, "bbbb");
    gateway.admin("POST", "/pools/chat/backends/a/drain").await;
    becomes(&gateway, "a", "drained").await;
    a.revive().await;
    gateway.admin("POST", "/pools/chat/backends/a/resume").await;
    assert_eq!(up(&gateway, "a"), 1.0);
    b.kill().await;
    assert_eq!(turns(&gateway, 4).await, "aaaa");
}

#[tokio::test]
async fn the_last_backend_is_never_ejected() {
    let dead = Backend::absent();
    let a = format!("{{ name: a, url: \"{}\" }}", dead.url());
    let keys = PASSIVE.replace("eject: 1s", "eject: 1h, max_ejected: 100%");
    let gateway = Gateway::start(&configuration(&keys, &[a])).await;
    for _ in 0..5 {
        assert_eq!(super::turn(&gateway).await.0, 502);
    }
    assert_eq!(shown(&gateway, "a").await["state"], "ready");
}

#[tokio::test]
async fn null_turns_it_off() {
    let (dead, b) = (Backend::absent(), Mortal::named("b").await);
    let a = format!("{{ name: a, url: \"{}\" }}", dead.url());
    let keys = "health: { passive: null },";
    let gateway = Gateway::start(&configuration(keys, &[a, b.entry()])).await;
    assert_eq!(turns(&gateway, 30).await, "b".repeat(30));
    assert_eq!(retries(&gateway), 15.0);
    assert_eq!(shown(&gateway, "a").await["state"], "ready");
}

/// An answer is an answer, whatever it says: the backend is there.
#[tokio::test]
async fn an_answer_other_than_101_ejects_nobody() {
    let refusing = Backend::answering("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
    let b = Mortal::named("b").await;
    let a = format!("{{ name: a, url: \"{}\" }}", refusing.url());
    let gateway = Gateway::start(&configuration(PASSIVE, &[a, b.entry()])).await;
    for _ in 0..10 {
        super::turn(&gateway).await;
    }
    assert_eq!(shown(&gateway, "a").await["state"], "ready");
}

/// Clients that leave while a backend is silent are no proof against it.
#[tokio::test]
async fn clients_that_leave_eject_nobody() {
    let (silent, b) = (Backend::silent().await, Mortal::named("b").await);
    let a = format!("{{ name: a, url: \"{}\" }}", silent.url());
    let gateway = Gateway::start(&configuration(PASSIVE, &[a, b.entry()])).await;
    let labels = [("pool", "chat"), ("backend", "a"), ("result", "abandoned")];
    let abandoned = || gateway.count("wsgate_backend_connects_total", &labels);
    while silent.connections() < 3 {
        ask_and_leave(&gateway, &silent).await;
    }
    eventually("three are given up", || abandoned() >= 3.0).await;
    assert_eq!(shown(&gateway, "a").await["state"], "ready");
}

/// Leaves as soon as the silent backend was asked, unless the other one answers.
async fn ask_and_leave(gateway: &Gateway, silent: &Backend) {
    let before = silent.connections();
    let mut client = Wire::connect(gateway.address()).await;
    client.send(Opening::to("/").text()).await;
    tokio::select! {
        head = client.head() => assert_eq!(head.status(), 101),
        () = eventually("it is asked", || silent.connections() > before) => {}
    }
}
