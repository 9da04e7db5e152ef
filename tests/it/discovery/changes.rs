//! Answers that change: what came is used, what went is drained, what stays is not touched.

use super::{NAME, backend_at, backends, has, yaml};

use crate::harness::{
    Conduct, Gateway, NameServer, Opening, Refusal, ask, close_code, echo, eventually, open,
};

const NO_READY_BACKEND: Refusal<'_> = Refusal {
    status: 503,
    result: "no_ready_backend",
    route: "chat",
};

/// An address at which nothing else takes ports, so that the one of the first backend is free there.
const OTHER: [u8; 4] = [127, 0, 98, 2];

#[tokio::test]
async fn backends_come_and_go_with_the_zone() {
    let server = NameServer::start().await;
    let a = backend_at([127, 0, 0, 1], 0, "a").await;
    let port = a.address().port();
    let b = backend_at(OTHER, port, "b").await;
    let (first, second) = (a.address().to_string(), b.address().to_string());
    server.set_addresses(NAME, &["127.0.0.1"]);
    let gateway = Gateway::start(&yaml(&server, port, "")).await;
    has(&gateway, std::slice::from_ref(&first)).await;
    let generation = gateway.status().await["configuration"]["generation"].clone();
    let mut leaving = open(gateway.address(), "/").await;
    echo(&mut leaving, "on a").await;

    server.set_addresses(NAME, &["127.0.98.2", "127.0.0.1"]);
    has(&gateway, &[first, second.clone()]).await;
    echo(&mut leaving, "still on a").await;
    let turns = [(); 2].map(|()| ask(gateway.address(), Opening::to("/").text()));
    let [one, other] = turns;
    let (one, other) = tokio::join!(one, other);
    let mut names = [one.value("x-backend"), other.value("x-backend")];
    names.sort_unstable();
    assert_eq!(names, [Some("a"), Some("b")]);

    server.set_addresses(NAME, &["127.0.98.2"]);
    has(&gateway, &[second]).await;
    // The session is told to end, and its client follows.
    assert_eq!(close_code(&mut leaving).await, 1012);
    drop(leaving);
    a.is_left().await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.value("x-backend"), Some("b"));
    let generation_now = gateway.status().await["configuration"]["generation"].clone();
    assert_eq!(generation_now, generation);
}

/// As in a rollout that replaces the gateway and its backends together: until it has stopped it serves whoever comes.
#[tokio::test]
async fn backends_that_move_in_the_time_of_grace_are_followed() {
    let server = NameServer::start().await;
    let a = backend_at([127, 0, 0, 1], 0, "a").await;
    let port = a.address().port();
    let b = backend_at(OTHER, port, "b").await;
    server.set_addresses(NAME, &["127.0.0.1"]);
    let yaml = yaml(&server, port, "").replace("deadline: 5s", "grace: 1h, deadline: 2h");
    let gateway = Gateway::start(&yaml).await;
    has(&gateway, &[a.address().to_string()]).await;
    gateway.stop().await;
    server.set_addresses(NAME, &["127.0.98.2"]);
    has(&gateway, &[b.address().to_string()]).await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.value("x-backend"), Some("b"));
}

/// What has addresses of two families is one backend. Those of the other one take over after the fifth answer without any of
/// its own; each time two questions are asked.
#[tokio::test]
async fn a_place_of_two_families_is_found_once() {
    let server = NameServer::start().await;
    server.set_addresses(NAME, &["127.0.0.1", "::1"]);
    let gateway = Gateway::start(&yaml(&server, 9001, "")).await;
    has(&gateway, &["127.0.0.1:9001".to_owned()]).await;
    let asked = server.questions();
    server.set_addresses(NAME, &["::1"]);
    has(&gateway, &["[::1]:9001".to_owned()]).await;
    let asked = server.questions() - asked;
    assert!(asked >= 9, "over after {asked} questions");
    server.set_addresses(NAME, &["127.0.0.1", "::1"]);
    has(&gateway, &["127.0.0.1:9001".to_owned()]).await;
    gateway.change(&yaml(&server, 9001, "family: ipv6,")).await;
    has(&gateway, &["[::1]:9001".to_owned()]).await;
    server.set_addresses(NAME, &["::1"]);
    gateway.change(&yaml(&server, 9001, "")).await;
    let asked = server.questions();
    eventually("it is asked for again", || server.questions() > asked + 4).await;
    assert_eq!(backends(&gateway).await, ["[::1]:9001"]);
}

/// Not only after `refresh`. These have no lifetime at all, so it is after a second.
#[tokio::test]
async fn a_name_is_asked_for_again_when_its_lifetime_is_over() {
    let server = NameServer::start().await;
    server.set_addresses(NAME, &["127.0.0.1"]);
    let yaml = yaml(&server, 9001, "").replace("refresh: 100ms", "refresh: 1h");
    let gateway = Gateway::start(&yaml).await;
    has(&gateway, &["127.0.0.1:9001".to_owned()]).await;
    server.set_addresses(NAME, &["127.0.0.2"]);
    has(&gateway, &["127.0.0.2:9001".to_owned()]).await;
    let questions = server.questions();
    assert!(questions < 100, "{questions}");
}

#[tokio::test]
async fn a_resolver_that_is_silent_does_not_keep_the_gateway_from_starting() {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    server.conduct(Conduct::Silent);
    server.set_addresses(NAME, &["127.0.0.1"]);
    let gateway = Gateway::start(&yaml(&server, backend.address().port(), "")).await;
    gateway
        .expect_refusal(Opening::to("/"), NO_READY_BACKEND)
        .await;
    let status = gateway.status().await;
    assert_eq!(status["pools"][0]["discovery"]["result"], "waiting");
    server.conduct(Conduct::Sound);
    has(&gateway, &[backend.address().to_string()]).await;
}

#[tokio::test]
async fn a_reload_keeps_what_was_found() {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    server.set_addresses(NAME, &["127.0.0.1"]);
    let yaml = yaml(&server, backend.address().port(), "");
    let gateway = Gateway::start(&yaml).await;
    has(&gateway, &[backend.address().to_string()]).await;
    let mut session = open(gateway.address(), "/").await;
    server.conduct(Conduct::Silent);
    let other = yaml.replace("refresh: 100ms", "refresh: 200ms");
    gateway.change(&other).await;
    echo(&mut session, "as before").await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), 101);
}

/// How many sessions each takes is the operator's word, for which no answer is needed.
#[tokio::test]
async fn a_reload_bounds_what_was_found() {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    let port = backend.address().port();
    server.set_addresses(NAME, &["127.0.0.1"]);
    let gateway = Gateway::start(&yaml(&server, port, "")).await;
    has(&gateway, &[backend.address().to_string()]).await;
    let _session = open(gateway.address(), "/").await;
    server.conduct(Conduct::Silent);
    let bounded = yaml(&server, port, "max_sessions: 1,");
    gateway.change(&bounded).await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), 503);
}

/// A pool whose backends were named keeps them until the first answer, which may name the same ones.
#[tokio::test]
async fn backends_that_were_named_stay_until_the_first_answer_and_if_it_names_them() {
    let server = NameServer::start().await;
    let backend = backend_at([127, 0, 0, 1], 0, "a").await;
    let found = yaml(&server, backend.address().port(), "");
    let discovery = found.find("discovery:").expect("a discovery");
    let named = format!(
        "backends: [{{ name: a, url: \"{}\" }}] }} }}\n",
        backend.url()
    );
    let gateway = Gateway::start(&(found[..discovery].to_owned() + &named)).await;
    let mut session = open(gateway.address(), "/").await;
    server.conduct(Conduct::Silent);
    gateway.change(&found).await;
    echo(&mut session, "as before").await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), 101);
    server.set_addresses(NAME, &["127.0.0.1"]);
    server.conduct(Conduct::Sound);
    has(&gateway, &[backend.address().to_string()]).await;
    echo(&mut session, "on the same backend").await;
}

/// A backend that is found has as many places as `max_sessions` says, and a client that waits is served by one that joins.
#[tokio::test]
async fn those_who_wait_are_served_by_a_backend_that_joins() {
    let server = NameServer::start().await;
    let a = backend_at([127, 0, 0, 1], 0, "a").await;
    let port = a.address().port();
    let b = backend_at(OTHER, port, "b").await;
    server.set_addresses(NAME, &["127.0.0.1"]);
    let yaml = yaml(&server, port, "max_sessions: 1,");
    let queue = "{ queue: { max: 1, timeout: 10m }, discovery:";
    let gateway = Gateway::start(&yaml.replace("{ discovery:", queue)).await;
    has(&gateway, &[a.address().to_string()]).await;
    let _on_a = open(gateway.address(), "/").await;
    let address = gateway.address();
    let waiting = tokio::spawn(async move { ask(address, Opening::to("/").text()).await });
    let length = || gateway.count("wsgate_pool_queue_length", &[("pool", "chat")]);
    eventually("one waits", || length() == 1.0).await;
    server.set_addresses(NAME, &["127.0.0.1", "127.0.98.2"]);
    has(
        &gateway,
        &[a.address().to_string(), b.address().to_string()],
    )
    .await;
    let answer = waiting.await.expect("nobody panics");
    assert_eq!(answer.value("x-backend"), Some("b"));
}
