//! Services: ports, weights, priorities, and names behind TLS.

use super::{backend_at, has, of};
use crate::backends::{Backend, Front, ServerSettings};
use crate::harness::{Gateway, Identity, NameServer, Place, close, directory, echo, open};

const SERVICE: &str = "_ws._tcp.chat.internal";

#[tokio::test]
async fn the_best_priority_that_has_addresses_is_used() {
    let server = NameServer::start().await;
    let best = backend_at([127, 0, 0, 1], 0, "best").await;
    let spare = backend_at([127, 0, 0, 1], 0, "spare").await;
    let (best, spare) = (best.address(), spare.address());
    server.set_addresses("best.internal", &["127.0.0.1"]);
    server.set_addresses("spare.internal", &["127.0.0.1"]);
    server.set(
        SERVICE,
        &[
            Place::Service(20, 0, spare.port(), "spare.internal"),
            Place::Service(10, 7, best.port(), "best.internal"),
        ],
    );
    let gateway = Gateway::start(&of(&format!("srv: {SERVICE},"), &server)).await;
    has(&gateway, &[best.to_string()]).await;
    let weight = gateway.status().await["pools"][0]["backends"][0]["weight"].clone();
    assert_eq!(weight, 7);
    server.set("best.internal", &[]);
    has(&gateway, &[spare.to_string()]).await;
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
