//! Certificates that are exchanged, and handshakes that are cut short by tickets before and after.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use wsgate::admin::ReloadReport;

use crate::backends::Backend;
use crate::harness::{Gateway, Identity, connect_tls, directory, echo, open_by};

const NAME: &str = "gateway.test";

fn yaml(backend: &Backend, identity: &Identity, more: &str) -> String {
    format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{}] }} }} }}\n\
         routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ backends: [\"{}\"] }} }}\n{more}",
        identity.yaml(),
        backend.url()
    )
}

#[tokio::test]
async fn a_new_certificate_is_for_new_handshakes() {
    let backend = Backend::echo().await;
    let directory = directory();
    let old = Identity::make(directory.path(), "old", &[NAME]);
    let new = Identity::make(directory.path(), "new", &[NAME]);
    let gateway = Gateway::start_in(directory, &yaml(&backend, &old, "")).await;
    let stream = connect_tls(gateway.address(), NAME, old.trust()).await;
    let (mut session, _) = open_by(stream.expect("the old certificate"), "/", &[]).await;
    gateway.change(&yaml(&backend, &new, "")).await;
    assert!(
        connect_tls(gateway.address(), NAME, old.trust())
            .await
            .is_err()
    );
    let stream = connect_tls(gateway.address(), NAME, new.trust()).await;
    let (mut later, _) = open_by(stream.expect("the new certificate"), "/", &[]).await;
    echo(&mut session, "under the old one").await;
    echo(&mut later, "under the new one").await;
}

#[tokio::test]
async fn files_that_changed_on_disk_are_taken_though_the_configuration_is_the_same() {
    let backend = Backend::echo().await;
    let directory = directory();
    let old = Identity::make(directory.path(), "site", &[NAME]);
    let gateway = Gateway::start_in(directory, &yaml(&backend, &old, "")).await;
    let new = Identity::make(gateway.directory(), "site", &[NAME]);
    let report = gateway.reload().await;
    let told = vec!["listener main: new certificates".to_owned()];
    assert_eq!(report, ReloadReport::Unchanged { changes: told });
    assert_eq!(gateway.status().await["configuration"]["generation"], 1);
    assert!(
        connect_tls(gateway.address(), NAME, old.trust())
            .await
            .is_err()
    );
    assert!(
        connect_tls(gateway.address(), NAME, new.trust())
            .await
            .is_ok()
    );
    let nothing = ReloadReport::Unchanged { changes: vec![] };
    assert_eq!(gateway.reload().await, nothing);
}

#[tokio::test]
async fn new_certificates_are_told_before_what_else_changed() {
    let backend = Backend::echo().await;
    let directory = directory();
    let old = Identity::make(directory.path(), "site", &[NAME]);
    let yaml = yaml(&backend, &old, "");
    let gateway = Gateway::start_in(directory, &yaml).await;
    Identity::make(gateway.directory(), "site", &[NAME]);
    gateway.rewrite(&format!("{yaml}drain: {{ window: 3s }}\n"));
    let ReloadReport::Taken { changes, .. } = gateway.reload().await else {
        panic!("a sound file is refused");
    };
    assert_eq!(
        changes,
        ["listener main: new certificates", "changed drain"]
    );
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused() {
    let backend = Backend::echo().await;
    let directory = directory();
    let site = Identity::make(directory.path(), "site", &[NAME]);
    let other = Identity::make(directory.path(), "other", &[NAME]);
    let gateway = Gateway::start_in(directory, &yaml(&backend, &site, "")).await;
    std::fs::copy(&other.key, &site.key).expect("the directory takes files");
    let ReloadReport::Refused { errors } = gateway.reload().await else {
        panic!("a wrong key is taken");
    };
    assert!(errors[0].contains("site.key"), "{errors:?}");
    let successful = gateway.count("wsgate_config_last_reload_successful", &[]);
    assert_eq!(successful, 0.0);
    assert!(
        connect_tls(gateway.address(), NAME, site.trust())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_ticket_of_tls_1_3_survives_a_reload() {
    a_ticket_survives_a_reload(&TLS13).await;
}

#[tokio::test]
async fn a_ticket_of_tls_1_2_survives_a_reload() {
    a_ticket_survives_a_reload(&TLS12).await;
}

async fn a_ticket_survives_a_reload(version: &'static SupportedProtocolVersion) {
    let backend = Backend::echo().await;
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &[NAME]);
    let gateway = Gateway::start_in(directory, &yaml(&backend, &identity, "")).await;
    let client = Arc::new(speaking(&identity, version));
    assert_eq!(talk(&gateway, &client).await, HandshakeKind::Full);
    gateway
        .change(&yaml(&backend, &identity, "log: { level: warn }\n"))
        .await;
    assert_eq!(talk(&gateway, &client).await, HandshakeKind::Resumed);
}

fn speaking(identity: &Identity, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(identity.der().clone())
        .expect("a sound certificate");
    ClientConfig::builder_with_provider(wsgate::tls::provider())
        .with_protocol_versions(&[version])
        .expect("the provider has the version")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Opens a session, which brings the ticket, and tells how the handshake went.
async fn talk(gateway: &Gateway, client: &Arc<ClientConfig>) -> HandshakeKind {
    let stream = connect_tls(gateway.address(), NAME, Arc::clone(client)).await;
    let stream = stream.expect("the handshake succeeds");
    let kind = stream.get_ref().1.handshake_kind();
    let (mut session, _) = open_by(stream, "/", &[]).await;
    echo(&mut session, "hello").await;
    kind.expect("the handshake is complete")
}
