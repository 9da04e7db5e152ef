//! What a reload ends, and what it leaves alone.

use serde_json::Value;

use crate::harness::{Gateway, Opening, Wire, eventually, repeatedly, soon};
use crate::venue::{Arrivals, Transport, Venue, open};

/// A session: its client and its backend.
type Session = (Wire, Wire);

async fn passes((client, backend): &mut Session) {
    client.send("question").await;
    assert_eq!(backend.take(8).await, b"question");
    backend.send("answer").await;
    assert_eq!(client.take(6).await, b"answer");
}

async fn ends((mut client, mut backend): Session) {
    client.gone().await;
    backend.gone().await;
}

fn pool(backends: &[&Arrivals], drain: &str) -> String {
    let urls: Vec<String> = backends.iter().map(|backend| entry(backend)).collect();
    format!(
        "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ backends: [{}] }} }}\ndrain: {drain}\n",
        urls.join(", ")
    )
}

fn entry(backend: &Arrivals) -> String {
    format!("\"{}\"", backend.url())
}

async fn connect(gateway: &Gateway) -> Wire {
    Wire::connect(gateway.address()).await
}

#[tokio::test]
async fn a_removed_backend_drains_its_own_sessions() {
    const DRAIN: &str = "{ window: 0s, deadline: 20s }";
    let (stays, goes) = (Arrivals::listen().await, Arrivals::listen().await);
    let gateway = Gateway::start(&pool(&[&stays, &goes], DRAIN)).await;
    let mut at_stays = open(connect(&gateway).await, &stays).await;
    let at_goes = open(connect(&gateway).await, &goes).await;
    gateway.change(&pool(&[&stays], DRAIN)).await;
    ends(at_goes).await;
    let lines = gateway.line("close").await;
    assert_eq!(lines["close_initiator"], "gateway");
    assert_eq!(lines["close_reason"], "drain");
    passes(&mut at_stays).await;
    open(connect(&gateway).await, &stays).await;
}

#[tokio::test]
async fn a_removed_backend_keeps_its_sessions_until_their_moment_and_gets_no_new_ones() {
    const DRAIN: &str = "{ window: 1h, deadline: 2h }";
    let (stays, goes) = (Arrivals::listen().await, Arrivals::listen().await);
    let gateway = Gateway::start(&pool(&[&stays, &goes], DRAIN)).await;
    let _at_stays = open(connect(&gateway).await, &stays).await;
    let mut at_goes = open(connect(&gateway).await, &goes).await;
    gateway.change(&pool(&[&stays], DRAIN)).await;
    for _ in 0..4 {
        open(connect(&gateway).await, &stays).await;
    }
    passes(&mut at_goes).await;
}

#[tokio::test]
async fn a_backend_that_comes_back_counts_the_sessions_that_it_still_has() {
    const DRAIN: &str = "{ window: 1h, deadline: 2h }";
    let (full, spare) = (Arrivals::listen().await, Arrivals::listen().await);
    // The weight makes it the first choice.
    let narrow = format!("{{ url: {}, max_sessions: 1, weight: 100 }}", entry(&full));
    let both = pool(&[&full, &spare], DRAIN).replace(&entry(&full), &narrow);
    let gateway = Gateway::start(&both).await;
    let session = open(connect(&gateway).await, &full).await;
    gateway.change(&pool(&[&spare], DRAIN)).await;
    gateway.change(&both).await;
    assert_eq!(state(&gateway).await, ("ready".into(), 1.into()));
    open(connect(&gateway).await, &spare).await;
    drop(session);
    let is_free = async || (state(&gateway).await.1 == 0).then_some(());
    repeatedly("the place is free", is_free).await;
    passes(&mut open(connect(&gateway).await, &full).await).await;
}

/// The state and the sessions of the first backend, as the status has them.
async fn state(gateway: &Gateway) -> (Value, Value) {
    let backend = &gateway.status().await["pools"][0]["backends"][0];
    (backend["state"].clone(), backend["sessions"].clone())
}

#[tokio::test]
async fn a_session_that_does_not_end_is_cut_at_the_deadline() {
    const DRAIN: &str = "{ window: 0s, deadline: 100ms }";
    let (stays, goes) = (Arrivals::listen().await, Arrivals::listen().await);
    let gateway = Gateway::start(&pool(&[&goes, &stays], DRAIN)).await;
    let _session = open(connect(&gateway).await, &goes).await;
    gateway.change(&pool(&[&stays], DRAIN)).await;
    let active = || gateway.count("wsgate_sessions_active", &[]);
    eventually("the session is cut", || active() == 0.0).await;
}

#[tokio::test]
async fn a_removed_route_drains_its_own_sessions() {
    let arrivals = Arrivals::listen().await;
    let route = |name: &str| {
        format!("  {name}: {{ match: {{ path: /{name} }}, origins: any, pool: all }}\n")
    };
    let rest = format!(
        "pools: {{ all: {{ backends: [\"{}\"] }} }}\ndrain: {{ window: 0s, deadline: 20s }}\n",
        arrivals.url()
    );
    let yaml = format!("routes:\n{}{}{rest}", route("stays"), route("goes"));
    let gateway = Gateway::start(&yaml).await;
    let mut stays = open_at(&gateway, "/stays", &arrivals).await;
    let goes = open_at(&gateway, "/goes", &arrivals).await;
    gateway
        .change(&format!("routes:\n{}{rest}", route("stays")))
        .await;
    ends(goes).await;
    passes(&mut stays).await;
    let is_forgotten = || {
        let metrics = gateway.metrics();
        metrics.label_values("wsgate_sessions_active", "route") == ["stays"]
    };
    eventually("the series of the route disappear", is_forgotten).await;
}

async fn open_at(gateway: &Gateway, path: &str, arrivals: &Arrivals) -> Session {
    let mut client = connect(gateway).await;
    client.send(Opening::to(path).text()).await;
    let backend = arrivals.agreed().await;
    assert_eq!(client.head().await.status(), 101);
    (client, backend)
}

#[tokio::test]
async fn new_timeouts_are_for_new_sessions() {
    let arrivals = Arrivals::listen().await;
    let with = |half_close: &str| {
        format!(
            "{}defaults: {{ timeouts: {{ half_close: {half_close}, close: 100ms }} }}\n",
            arrivals.route()
        )
    };
    let gateway = Gateway::start(&with("1h")).await;
    let (mut old, mut at_old) = open(connect(&gateway).await, &arrivals).await;
    gateway.change(&with("100ms")).await;
    let (mut new, mut at_new) = open(connect(&gateway).await, &arrivals).await;
    old.end().await;
    new.end().await;
    new.gone().await;
    at_new.gone().await;
    at_old.send("still open").await;
    assert_eq!(old.take(10).await, b"still open");
}

#[tokio::test]
async fn new_limits_are_for_new_connections() {
    let with = |head: &str| {
        format!(
            "listeners: {{ main: {{ address: \"127.0.0.1:0\", limits: {{ request_head: {head} }} }} }}\n\
             routes: {{ fixed: {{ respond: {{ status: 200, body: in }} }} }}\n"
        )
    };
    let large = Opening::to("/").with("X-Large", &"x".repeat(12_000)).text();
    let gateway = Gateway::start(&with("32KiB")).await;
    let mut old = connect(&gateway).await;
    old.send(&large).await;
    assert_eq!(old.answer().await.status(), 200);
    gateway.change(&with("8KiB")).await;
    old.send(&large).await;
    assert_eq!(old.answer().await.status(), 200);
    let mut new = connect(&gateway).await;
    new.send(&large).await;
    assert_eq!(new.answer().await.status(), 431);
}

/// The backend has been asked, but has not agreed yet, when it is removed.
#[tokio::test]
async fn a_session_that_is_being_opened_is_drained_too() {
    let venue = Venue::start_with(Transport::Plain, "drain: { window: 0s, deadline: 20s }\n").await;
    let mut client = venue.connect().await;
    client.send(Opening::to("/").text()).await;
    let mut backend = venue.arrivals.asked().await;
    let other = Arrivals::listen().await;
    venue
        .gateway
        .change(&(other.route() + "drain: { window: 0s, deadline: 20s }\n"))
        .await;
    backend.send(crate::venue::agreement()).await;
    assert_eq!(client.head().await.status(), 101);
    soon("the end", async {
        tokio::join!(client.gone(), backend.gone())
    })
    .await;
}
