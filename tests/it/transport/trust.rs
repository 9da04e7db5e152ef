//! Backends whose TLS is not to be trusted, or is none: each failure by its name.

use rcgen::{BasicConstraints, IsCa, date_time_ymd};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Site, converse, trusting, yaml};
use crate::backends::{Backend, Front, ServerSettings};
use crate::harness::{Gateway, Identity, Opening, Refusal, ask, directory};
use crate::process::Process;

pub(super) const BACKEND_FAILED: Refusal<'_> = Refusal {
    status: 502,
    result: "backend_failed",
    route: "chat",
};
const BACKEND_TIMEOUT: Refusal<'_> = Refusal {
    status: 504,
    result: "backend_timeout",
    route: "chat",
};

/// The client is told 502, the operator that it is for TLS.
async fn expect_tls_failed(yaml: &str) {
    let gateway = Gateway::start(yaml).await;
    gateway
        .expect_refusal(Opening::to("/"), BACKEND_FAILED)
        .await;
    let line = gateway.line("refused").await;
    assert_eq!(line["detail"], "tls_failed");
    let failed = [("pool", "chat"), ("result", "tls_failed")];
    assert_eq!(gateway.count("wsgate_backend_connects_total", &failed), 1.0);
}

#[tokio::test]
async fn an_expired_certificate_is_502() {
    let backend = Backend::echo().await;
    let directory = directory();
    let expired = Identity::make_as(directory.path(), "old", &["localhost"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    let front = Front::tls(ServerSettings::of(&expired), "localhost", &backend).await;
    expect_tls_failed(&yaml(front.url(), &trusting(&expired, ""))).await;
}

#[tokio::test]
async fn an_unknown_issuer_is_502() {
    let site = Site::named("localhost").await;
    let directory = directory();
    let other = Identity::make(directory.path(), "other", &["localhost"]);
    expect_tls_failed(&yaml(site.front.url(), &trusting(&other, ""))).await;
}

/// What is trusted where the pool names nobody.
#[tokio::test]
async fn without_authorities_of_its_own_a_pool_trusts_those_of_the_system() {
    let site = Site::named("localhost").await;
    let directory = directory();
    let other = Identity::make(directory.path(), "other", &["localhost"]);
    for (trusted, status) in [(&site.identity, 101), (&other, 502)] {
        let yaml = yaml(site.front.url(), "");
        let process = Process::start_trusting(&trusted.certificate, &yaml).await;
        let mut wire = process.connect().await;
        wire.send(Opening::to("/").text()).await;
        assert_eq!(wire.answer().await.status(), status);
    }
}

/// As `openssl req -x509` makes it.
#[tokio::test]
async fn an_authority_that_is_named_may_be_the_backend_itself() {
    let (backend, directory) = (Backend::echo().await, directory());
    let make = |stem, name| {
        Identity::make_as(directory.path(), stem, &[name], |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        })
    };
    let (own, other) = (make("own", "localhost"), make("other", "other.test"));
    let front = Front::tls(ServerSettings::of(&own), "localhost", &backend).await;
    let gateway = Gateway::start(&yaml(front.url(), &trusting(&own, ""))).await;
    converse(&gateway).await;
    expect_tls_failed(&yaml(
        front.url(),
        &trusting(&own, ", server_name: other.test"),
    ))
    .await;
    expect_tls_failed(&yaml(front.url(), &trusting(&other, ""))).await;
    let old = Identity::make_as(directory.path(), "old", &["localhost"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2020, 2, 1);
        params.not_before = date_time_ymd(2020, 1, 1);
    });
    let front = Front::tls(ServerSettings::of(&old), "localhost", &backend).await;
    expect_tls_failed(&yaml(front.url(), &trusting(&old, ""))).await;
}

#[tokio::test]
async fn another_name_is_502_until_it_is_configured() {
    let site = Site::named("chat.internal").await;
    expect_tls_failed(&site.yaml("")).await;
    converse(&site.gateway(", server_name: chat.internal").await).await;
    let last = site.front.shown().pop().expect("a handshake");
    assert_eq!(last.server_name.as_deref(), Some("chat.internal"));
}

#[tokio::test]
async fn a_backend_that_speaks_no_tls_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("wss://{}", listener.local_addr().expect("a bound socket"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let refusal = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            // Whether it is read is for the other side to tell.
            let _ = stream.write_all(refusal).await;
        }
    });
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["127.0.0.1"]);
    expect_tls_failed(&yaml(&url, &trusting(&identity, ""))).await;
}

#[tokio::test]
async fn a_backend_that_misses_the_gateways_certificate_is_502() {
    let site = Site::with("localhost", "localhost", |it, own| it.demanding(own)).await;
    expect_tls_failed(&site.yaml("")).await;
}

/// With TLS 1.3 the backend says so only after the handshake.
#[tokio::test]
async fn so_it_is_for_plain_requests() {
    let site = Site::with("localhost", "localhost", |it, own| it.demanding(own)).await;
    let yaml = site.yaml("").replace("origins: any", "protocols: [http]");
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(gateway.address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status(), 502);
    let failed = [("pool", "chat"), ("result", "tls_failed")];
    assert_eq!(gateway.count("wsgate_backend_connects_total", &failed), 1.0);
}

#[tokio::test]
async fn a_tls_handshake_that_goes_silent_is_504_by_the_deadline_of_connecting() {
    let backend = Backend::silent().await;
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["127.0.0.1"]);
    let url = format!("wss://{}", backend.address());
    let yaml = yaml(&url, &trusting(&identity, "")).replace("connect: 2s", "connect: 200ms");
    let gateway = Gateway::start(&yaml).await;
    gateway
        .expect_refusal(Opening::to("/"), BACKEND_TIMEOUT)
        .await;
    let timeout = [("pool", "chat"), ("result", "timeout")];
    assert_eq!(
        gateway.count("wsgate_backend_connects_total", &timeout),
        1.0
    );
}

#[tokio::test]
async fn a_pool_whose_files_are_missing_does_not_start() {
    let yaml = yaml("wss://127.0.0.1:1", "tls: { ca: nowhere.pem },");
    let Err(problems) = Gateway::try_start_in(directory(), &yaml).await else {
        panic!("the gateway started");
    };
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("pools.chat.tls.ca: "), "{problems:?}");
    assert!(
        problems[0].contains("nowhere.pem: cannot be read"),
        "{problems:?}"
    );
}
