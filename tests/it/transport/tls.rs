//! Sessions to backends behind TLS.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustls::version::{TLS12, TLS13};
use wsgate::admin::ReloadReport;

use super::{Site, converse, trusting, yaml};
use crate::backends::{Backend, Front, ServerSettings, Shown};
use crate::harness::{Gateway, Identity, ask, directory, echo, eventually, open};

#[tokio::test]
async fn a_session_runs_under_tls_of_every_version() {
    for version in [&TLS12, &TLS13] {
        let site = Site::with("localhost", "localhost", |mut settings, _| {
            settings.version = Some(version);
            settings
        });
        let site = site.await;
        converse(&site.gateway("").await).await;
        let shown = Shown {
            server_name: Some("localhost".to_owned()),
            protocol: Some("http/1.1".to_owned()),
            certificate: false,
            resumed: false,
        };
        assert_eq!(site.front.shown(), [shown]);
    }
}

#[tokio::test]
async fn an_address_is_a_name_too() {
    let site = Site::with("127.0.0.1", "127.0.0.1", |settings, _| settings).await;
    converse(&site.gateway("").await).await;
    assert_eq!(site.front.shown()[0].server_name, None);
}

#[tokio::test]
async fn a_later_session_resumes_what_an_earlier_one_agreed() {
    let site = Site::named("localhost").await;
    let gateway = site.gateway("").await;
    converse(&gateway).await;
    converse(&gateway).await;
    let shown = site.front.shown();
    let resumed: Vec<bool> = shown.iter().map(|shown| shown.resumed).collect();
    assert_eq!(resumed, [false, true]);
}

/// Otherwise each would be offered the tickets of the other, which are used up by being refused.
#[tokio::test]
async fn each_backend_of_one_name_resumes_its_own() {
    let (backend, directory) = (Backend::echo().await, directory());
    let identity = Identity::make(directory.path(), "site", &["backends.test"]);
    let front = || Front::tls(ServerSettings::of(&identity), "127.0.0.1", &backend);
    let (one, other) = (front().await, front().await);
    let keys = trusting(&identity, ", server_name: backends.test");
    let urls = format!("{}\", \"{}", one.url(), other.url());
    let gateway = Gateway::start(&yaml(&urls, &keys)).await;
    for _ in 0..4 {
        converse(&gateway).await;
    }
    for front in [one, other] {
        let resumed: Vec<bool> = front.shown().iter().map(|it| it.resumed).collect();
        assert_eq!(resumed, [false, true]);
    }
}

/// Without it backends log a stream that may be truncated.
#[tokio::test]
async fn checks_end_tls_in_order() {
    for check in ["http", "websocket"] {
        let (site, is_well) = (Site::named("localhost").await, AtomicBool::new(true));
        let backend = Backend::ailing(&Arc::new(is_well)).await;
        let settings = ServerSettings::of(&site.identity);
        let front = Front::tls(settings, "localhost", &backend).await;
        let active = format!("active: {{ interval: 50ms, timeout: 20s, type: {check} }}");
        let keys = trusting(&site.identity, "");
        let keys = format!("{keys} health: {{ {active} }},");
        let _gateway = Gateway::start(&yaml(front.url(), &keys)).await;
        eventually(check, || front.ends().len() > 3).await;
        assert!(front.ends().into_iter().all(|it| it), "{check}");
    }
}

#[tokio::test]
async fn an_idle_connection_ends_tls_in_order() {
    let (site, answer) = (Site::named("localhost").await, "HTTP/1.1 204 None\r\n\r\n");
    let backend = Backend::answering(answer).await;
    let settings = ServerSettings::of(&site.identity);
    let front = Front::tls(settings, "localhost", &backend).await;
    let yaml = yaml(front.url(), &trusting(&site.identity, ""));
    let yaml = yaml.replace("origins: any", "protocols: [http]");
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(gateway.address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status(), 204);
    eventually("its end", || !front.ends().is_empty()).await;
    assert_eq!(front.ends(), [true]);
}

#[tokio::test]
async fn the_gateway_shows_its_certificate_to_those_who_ask() {
    let site = Site::with("localhost", "localhost", |it, own| it.demanding(own)).await;
    let Identity {
        certificate, key, ..
    } = &site.own;
    let own = format!(
        ", certificate: {}, key: {}",
        certificate.display(),
        key.display()
    );
    let gateway = site.gateway(&own).await;
    converse(&gateway).await;
    assert!(site.front.shown()[0].certificate);
    let labels = [("pool", "chat"), ("name", "gateway.test")];
    let end = "wsgate_pool_tls_certificate_not_after_timestamp_seconds";
    assert!(gateway.count(end, &labels) > 1e9);
}

#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let backend = Backend::echo().await;
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["localhost"]);
    let settings = ServerSettings::of(&identity);
    let header = 16 + 12;
    let front = Front::tls_behind(settings, "localhost", &backend, header).await;
    let keys = format!("proxy_protocol: v2, {}", trusting(&identity, ""));
    let gateway = Gateway::start(&yaml(front.url(), &keys)).await;
    converse(&gateway).await;
}

#[tokio::test]
async fn files_that_changed_on_disk_are_for_new_sessions() {
    let backend = Backend::echo().await;
    let directory = directory();
    let old = Identity::make(directory.path(), "site", &["localhost"]);
    let front = Front::tls(ServerSettings::of(&old), "localhost", &backend).await;
    let yaml = yaml(front.url(), "tls: { ca: site.crt },");
    let gateway = Gateway::start_in(directory, &yaml).await;
    let mut session = open(gateway.address(), "/").await;
    let other = Identity::make(gateway.directory(), "site", &["localhost"]);
    let report = gateway.reload().await;
    let told = vec!["pool chat: new certificates".to_owned()];
    assert_eq!(report, ReloadReport::Unchanged { changes: told });
    gateway
        .expect_refusal(
            crate::harness::Opening::to("/"),
            super::trust::BACKEND_FAILED,
        )
        .await;
    echo(&mut session, "opened before").await;
    drop(other);
    assert_eq!(gateway.count("wsgate_backend_sessions_active", &[]), 1.0);
}
