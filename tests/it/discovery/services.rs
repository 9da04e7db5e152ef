//! Services: ports, weights, priorities, and names behind TLS.

use serde_json::json;

use super::{backend_at, backends, has, of};
use crate::backends::{Backend, Front, ServerSettings};
use crate::harness::{
    Gateway, Identity, NameServer, Opening, Place, ask, close, directory, echo, eventually, open,
};

const SERVICE: &str = "_ws._tcp.chat.internal";

/// A name server with a service of two backends, the best with a weight of 7 and a spare one; their names in the pool.
async fn two_places() -> (NameServer, [Backend; 2], [String; 2]) {
    let server = NameServer::start().await;
    let best = backend_at([127, 0, 0, 1], 0, "best").await;
    let spare = backend_at([127, 0, 0, 1], 0, "spare").await;
    server.set_addresses("best.internal", &["127.0.0.1"]);
    server.set_addresses("spare.internal", &["127.0.0.1"]);
    let places = [
        Place::Service(20, 0, spare.address().port(), "spare.internal"),
        Place::Service(10, 7, best.address().port(), "best.internal"),
    ];
    server.set(SERVICE, &places);
    let names = [&best, &spare].map(|backend| backend.address().to_string());
    (server, [best, spare], names)
}

/// Which backend answers.
async fn answers(gateway: &Gateway) -> Option<String> {
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    answer.value("x-backend").map(str::to_owned)
}

#[tokio::test]
async fn a_spare_place_is_for_when_no_better_one_can_be_had() {
    let (server, _backends, names) = two_places().await;
    let gateway = Gateway::start(&of(&format!("srv: {SERVICE},"), &server)).await;
    has(&gateway, &names).await;
    let status = gateway.status().await;
    let backends = &status["pools"][0]["backends"];
    let shown = |index: usize| (&backends[index]["weight"], &backends[index]["priority"]);
    assert_eq!(shown(0), (&json!(7), &json!(10)));
    assert_eq!(shown(1), (&json!(1), &json!(20)));
    let expect = async |name: &str| {
        for _ in 0..3 {
            assert_eq!(answers(&gateway).await.as_deref(), Some(name));
        }
    };
    expect("best").await;
    let order = |order: &str| format!("/pools/chat/backends/{}/{order}", names[0]);
    gateway.admin("POST", &order("drain")).await;
    expect("spare").await;
    gateway.admin("POST", &order("resume")).await;
    expect("best").await;
    server.set("best.internal", &[]);
    has(&gateway, &names[1..]).await;
    expect("spare").await;
}

/// It is where it was before, if that is known, and the others do not wait for it.
#[tokio::test]
async fn a_host_that_cannot_be_looked_up_does_not_hold_up_the_others() {
    let (server, _backends, names) = two_places().await;
    server.fail("spare.internal");
    let gateway = Gateway::start(&of(&format!("srv: {SERVICE},"), &server)).await;
    has(&gateway, &names[..1]).await;
    assert_eq!(answers(&gateway).await.as_deref(), Some("best"));
    server.fail("best.internal");
    let asked = server.questions();
    eventually("they are asked for again", || {
        server.questions() > asked + 20
    })
    .await;
    assert_eq!(backends(&gateway).await, names[..1]);
}

/// Five answers in a row have to say so; each time five questions are asked.
#[tokio::test]
async fn a_host_that_is_nowhere_for_long_loses_its_place() {
    let (server, _backends, names) = two_places().await;
    let gateway = Gateway::start(&of(&format!("srv: {SERVICE},"), &server)).await;
    has(&gateway, &names).await;
    let asked = server.questions();
    server.set("best.internal", &[]);
    has(&gateway, &names[1..]).await;
    let asked = server.questions() - asked;
    assert!(asked >= 20, "lost after {asked} questions");
}

/// A reload that asks otherwise forgets nothing of where hosts were.
#[tokio::test]
async fn a_host_that_cannot_be_looked_up_stays_over_a_reload() {
    let (server, _backends, names) = two_places().await;
    let yaml = of(&format!("srv: {SERVICE},"), &server);
    let gateway = Gateway::start(&yaml).await;
    has(&gateway, &names).await;
    server.fail("spare.internal");
    gateway
        .change(&yaml.replace("refresh: 100ms", "refresh: 150ms"))
        .await;
    let asked = server.questions();
    eventually("it is asked for again", || server.questions() > asked + 20).await;
    assert_eq!(backends(&gateway).await, names);
}

/// One attempt finds that the best place is dead, a few eject it; none of the clients hears of it.
#[tokio::test]
async fn a_spare_place_takes_over_from_one_that_died() {
    let (server, [best, _spare], names) = two_places().await;
    let ejecting = "health: { passive: { failures: 2, eject: 10m } }, discovery:";
    let yaml = of(&format!("srv: {SERVICE},"), &server).replace("discovery:", ejecting);
    let gateway = Gateway::start(&yaml).await;
    has(&gateway, &names).await;
    assert_eq!(answers(&gateway).await.as_deref(), Some("best"));
    best.end().await;
    for _ in 0..4 {
        assert_eq!(answers(&gateway).await.as_deref(), Some("spare"));
    }
    let retries = gateway.count("wsgate_backend_retries_total", &[("pool", "chat")]);
    assert_eq!(retries, 2.0);
}

/// A place without room is as good as none.
#[tokio::test]
async fn a_spare_place_takes_what_the_best_has_no_room_for() {
    let (server, [best, _spare], names) = two_places().await;
    let keys = format!("srv: {SERVICE}, max_sessions: 1,");
    let gateway = Gateway::start(&of(&keys, &server)).await;
    has(&gateway, &names).await;
    let _on_best = open(gateway.address(), "/").await;
    assert_eq!(best.connections(), 1);
    assert_eq!(answers(&gateway).await.as_deref(), Some("spare"));
}

#[tokio::test]
async fn found_backends_bear_the_name_under_which_they_were_found() {
    let server = NameServer::start().await;
    let backend = Backend::echo().await;
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["chat.internal"]);
    let front = Front::tls(ServerSettings::of(&identity), "localhost", &backend).await;
    let port = front.url().rsplit(':').next().expect("a port");
    server.set_addresses("chat.internal", &["127.0.0.1"]);
    let keys = format!("dns: chat.internal, port: {port}, scheme: wss,");
    let yaml = of(&keys, &server).replace("{ discovery:", "{ tls: { ca: site.crt }, discovery:");
    let gateway = Gateway::start_in(directory, &yaml).await;
    has(&gateway, &[format!("127.0.0.1:{port}")]).await;
    let mut session = open(gateway.address(), "/").await;
    echo(&mut session, "found").await;
    close(session).await;
    let shown = front.shown().pop().expect("a handshake");
    assert_eq!(shown.server_name.as_deref(), Some("chat.internal"));
}
