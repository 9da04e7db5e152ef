//! Sticky clients whose backend cannot be had: the strategy decides, and the cookie follows.

use serde_json::{Value, json};

use super::sticky::{pair, set, with};
use super::{name, named, session, yaml};
use crate::backends::Mortal;
use crate::harness::{Gateway, Opening, ask, close, repeatedly};

/// What was counted of sticky cookies.
fn counted(gateway: &Gateway, result: &str) -> f64 {
    let labels = [("pool", "chat"), ("result", result)];
    gateway.count("wsgate_pool_sticky_total", &labels)
}

/// The first answer: which backend it came from, and the cookie that it set.
async fn first(gateway: &Gateway) -> (String, String) {
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    let cookie = set(&answer).expect("a cookie");
    (name(&answer).to_owned(), pair(&cookie).to_owned())
}

/// Comes with `cookie`: which backend answers, and the cookie that it sets, if it does.
async fn come(gateway: &Gateway, cookie: &str) -> (String, Option<String>) {
    let answer = ask(gateway.address(), with(cookie).text()).await;
    let cookie = set(&answer).map(|cookie| pair(&cookie).to_owned());
    (name(&answer).to_owned(), cookie)
}

/// Comes with a cookie of `a`, which cannot be had: `b` answers and sets its own, by which it is found again.
async fn expect_move(gateway: &Gateway, cookie: &str) {
    let (kept, moved) = (counted(gateway, "kept"), counted(gateway, "moved"));
    let (backend, new) = come(gateway, cookie).await;
    let new = new.expect("a cookie of its own");
    assert_eq!(backend, "b");
    assert_ne!(new, cookie);
    assert_eq!(come(gateway, &new).await, (backend, None));
    assert_eq!(counted(gateway, "kept"), kept + 1.0);
    assert_eq!(counted(gateway, "moved"), moved + 1.0);
}

async fn expect_return(gateway: &Gateway, cookie: &str) {
    assert_eq!(come(gateway, cookie).await, ("a".to_owned(), None));
}

/// Waits until the status shows this of `a`.
async fn shows(gateway: &Gateway, key: &str, value: Value) {
    let look = async || {
        let status = gateway.status().await;
        (status["pools"][0]["backends"][0][key] == value).then_some(())
    };
    repeatedly(&format!("a has {key} {value}"), look).await;
}

#[tokio::test]
async fn a_drained_backend_is_left_until_it_is_resumed() {
    let backends = named(2).await;
    let gateway = Gateway::start(&yaml("sticky: {},", &backends, "")).await;
    let (backend, cookie) = first(&gateway).await;
    assert_eq!(backend, "a");
    gateway.admin("POST", "/pools/chat/backends/a/drain").await;
    expect_move(&gateway, &cookie).await;
    gateway.admin("POST", "/pools/chat/backends/a/resume").await;
    expect_return(&gateway, &cookie).await;
}

#[tokio::test]
async fn a_full_backend_is_left_until_it_has_a_place() {
    let backends = named(2).await;
    let yaml = yaml("sticky: {},", &backends, ", max_sessions: 1");
    let gateway = Gateway::start(&yaml).await;
    let (backend, cookie) = first(&gateway).await;
    assert_eq!(backend, "a");
    shows(&gateway, "sessions", json!(0)).await;
    let (holding, backend) = session(gateway.address(), "/", &[("Cookie", &cookie)]).await;
    assert_eq!(backend, "a");
    let answer = ask(gateway.address(), with(&cookie).text()).await;
    assert_eq!(name(&answer), "b");
    assert_ne!(set(&answer).as_deref().map(pair), Some(cookie.as_str()));
    close(holding).await;
    shows(&gateway, "sessions", json!(0)).await;
    expect_return(&gateway, &cookie).await;
}

/// One that checks call down is not even tried.
#[tokio::test]
async fn a_backend_that_is_down_is_left_until_it_is_up() {
    let (mut a, b) = (Mortal::named("a").await, Mortal::named("b").await);
    let check =
        "active: { type: tcp, interval: 50ms, unhealthy_threshold: 1, healthy_threshold: 1 }";
    let keys = format!("sticky: {{}}, health: {{ {check}, passive: null }},");
    let yaml = format!(
        "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ {keys} backends: [{}, {}] }} }}\n",
        a.entry(),
        b.entry()
    );
    let gateway = Gateway::start(&yaml).await;
    let (backend, cookie) = first(&gateway).await;
    assert_eq!(backend, "a");
    a.kill().await;
    shows(&gateway, "state", json!("down")).await;
    expect_move(&gateway, &cookie).await;
    let retries = gateway.count("wsgate_backend_retries_total", &[("pool", "chat")]);
    assert_eq!(retries, 0.0);
    a.revive().await;
    shows(&gateway, "state", json!("ready")).await;
    expect_return(&gateway, &cookie).await;
}

/// Its token is nobody's then; when it is back the token is its own again.
#[tokio::test]
async fn a_backend_that_is_gone_is_forgotten_until_it_is_back() {
    let backends = named(2).await;
    let both = yaml("sticky: {},", &backends, "");
    let gateway = Gateway::start(&both).await;
    let (backend, cookie) = first(&gateway).await;
    assert_eq!(backend, "a");
    let entry = format!("{{ name: a, url: \"{}\" }}, ", backends[0].url());
    assert!(both.contains(&entry));
    gateway.change(&both.replace(&entry, "")).await;
    let (backend, new) = come(&gateway, &cookie).await;
    assert_eq!((backend.as_str(), counted(&gateway, "unknown")), ("b", 1.0));
    assert!(new.is_some_and(|new| new != cookie));
    gateway.change(&both).await;
    expect_return(&gateway, &cookie).await;
}
