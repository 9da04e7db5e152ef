//! TLS towards clients: versions, names, clients with certificates, and handshakes that come to nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::{Gateway, Identity, Wire, connect_tls, directory, eventually, repeatedly};
use crate::process::Process;

const NAME: &str = "gateway.test";
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

/// A TLS listener with more keys under `tls`, and a route that answers by itself.
fn yaml(certificates: &[&Identity], tls: &str) -> String {
    let certificates = certificates.iter().map(|identity| identity.yaml());
    let certificates: Vec<String> = certificates.collect();
    format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", \
         tls: {{ certificates: [{}]{tls} }} }} }}\n\
         routes: {{ fixed: {{ respond: {{ status: 200, body: in }} }} }}\n",
        certificates.join(", ")
    )
}

/// A gateway with one certificate for [`NAME`].
async fn start(tls: &str) -> (Gateway, Identity) {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &[NAME]);
    let gateway = Gateway::start_in(directory, &yaml(&[&identity], tls)).await;
    (gateway, identity)
}

/// Trusts `identity`, speaks these versions, and shows this certificate.
fn client(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    shown: Option<Shown>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(identity.der().clone())
        .expect("a sound certificate");
    let builder = ClientConfig::builder_with_provider(wsgate::tls::provider())
        .with_protocol_versions(versions)
        .expect("the provider has the versions")
        .with_root_certificates(roots);
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("they fit"),
    })
}

type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Whether a request over TLS is answered; in TLS 1.3 a refusal shows only then.
async fn is_served(address: SocketAddr, client: Arc<ClientConfig>) -> bool {
    let Ok(mut stream) = connect_tls(address, NAME, client).await else {
        return false;
    };
    let sent = tokio::io::AsyncWriteExt::write_all(&mut stream, REQUEST.as_bytes()).await;
    let mut answer = [0; 15];
    sent.is_ok() && stream.read_exact(&mut answer).await.is_ok() && answer == *b"HTTP/1.1 200 OK"
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let (gateway, identity) = start("").await;
    for version in [&TLS12, &TLS13] {
        let config = client(&identity, &[version], None);
        let stream = connect_tls(gateway.address(), NAME, Arc::clone(&config)).await;
        let stream = stream.expect("the handshake succeeds");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert!(is_served(gateway.address(), config).await);
    }
}

/// RFC 8446 section 6.1, RFC 5246 section 7.2.1.
#[tokio::test]
async fn a_connection_that_rests_too_long_is_ended_in_order() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &[NAME]);
    let times = "timeouts: { request_header: 1s, keep_alive: 1s }, tls:";
    let yaml = yaml(&[&identity], "").replace("tls:", times);
    let gateway = Gateway::start_in(directory, &yaml).await;
    for (version, asked) in [(&TLS12, REQUEST), (&TLS13, REQUEST), (&TLS13, "")] {
        let config = client(&identity, &[version], None);
        let stream = connect_tls(gateway.address(), NAME, config).await;
        let mut stream = stream.expect("the handshake succeeds");
        let sent = tokio::io::AsyncWriteExt::write_all(&mut stream, asked.as_bytes()).await;
        sent.expect("the gateway reads");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer).await;
        read.expect("a close_notify");
        assert_eq!(answer.is_empty(), asked.is_empty());
    }
}

#[tokio::test]
async fn an_older_version_than_the_least_is_refused() {
    let (gateway, identity) = start(", min_version: \"1.3\"").await;
    let old = connect_tls(gateway.address(), NAME, client(&identity, &[&TLS12], None)).await;
    assert!(old.is_err());
    assert!(is_served(gateway.address(), client(&identity, &[&TLS13], None)).await);
    let labels = [("listener", "main"), ("result", "failure")];
    let failures = || gateway.count("wsgate_tls_handshakes_total", &labels);
    eventually("the failure is counted", || failures() == 1.0).await;
}

/// RFC 7301 section 3.2.
#[tokio::test]
async fn a_client_whose_protocols_are_all_unknown_is_told() {
    let (gateway, identity) = start("").await;
    for version in [&TLS12, &TLS13] {
        let mut config = ClientConfig::clone(&client(&identity, &[version], None));
        config.alpn_protocols = vec![b"gopher".to_vec()];
        let refused = connect_tls(gateway.address(), NAME, config).await;
        let told = refused.expect_err("there is no such protocol").to_string();
        assert!(
            told.contains("NoApplicationProtocol"),
            "{version:?}: {told}"
        );
    }
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates();
    chain.expect("a certificate is shown")[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn the_name_that_is_asked_for_chooses_the_certificate() {
    let directory = directory();
    let make = |stem, names: &[&str]| Identity::make(directory.path(), stem, names);
    let first = make("first", &["first.test"]);
    let exact = make("exact", &["chat.example.test"]);
    let wide = make("wide", &["*.example.test"]);
    let all = [&first, &wide, &exact];
    let yaml = yaml(&all, "");
    let gateway = Gateway::start_in(directory, &yaml).await;
    let asked = [
        ("first.test", &first),
        ("chat.example.test", &exact),
        ("CHAT.example.test", &exact),
        ("other.example.test", &wide),
    ];
    for (name, identity) in asked {
        let stream = connect_tls(gateway.address(), name, identity.trust()).await;
        let stream = stream.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown(&stream), *identity.der(), "{name}");
    }
    for name in ["deep.other.example.test", "unknown.test"] {
        let error = connect_tls(gateway.address(), name, first.trust())
            .await
            .err();
        let error = error
            .expect("the first certificate is for another name")
            .to_string();
        assert!(error.contains("first.test"), "{name}: {error}");
    }
    let mut config = first.trust();
    config.enable_sni = false;
    let stream = connect_tls(gateway.address(), "first.test", config).await;
    assert_eq!(shown(&stream.expect("the first certificate")), *first.der());
}

#[tokio::test]
async fn a_handshake_that_does_not_end_meets_its_deadline() {
    let (gateway, identity) = start(", handshake_timeout: 300ms").await;
    let mut silent = Wire::connect(gateway.address()).await;
    let mut slow = Wire::connect(gateway.address()).await;
    let labels = [("listener", "main"), ("result", "timeout")];
    let timeouts = || gateway.count("wsgate_tls_handshakes_total", &labels);
    // The head of a record of 16 KiB, then byte after byte: each comes in time, all of them never do.
    slow.send([0x16, 3, 1, 0x40, 0]).await;
    while timeouts() < 2.0 && slow.try_send([0]).await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    silent.gone().await;
    slow.gone().await;
    eventually("both are counted", || timeouts() == 2.0).await;
    let client = client(&identity, &[&TLS13], None);
    let address = gateway.address();
    // Where the machine is slow, its handshake may take as long now and then.
    repeatedly("a client is served", async || {
        is_served(address, Arc::clone(&client)).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn plain_http_at_a_tls_listener_is_a_failed_handshake() {
    let (gateway, identity) = start("").await;
    let mut plain = Wire::connect(gateway.address()).await;
    plain.send(REQUEST).await;
    plain.gone().await;
    let labels = [("listener", "main"), ("result", "failure")];
    let failures = || gateway.count("wsgate_tls_handshakes_total", &labels);
    eventually("the failure is counted", || failures() == 1.0).await;
    assert!(is_served(gateway.address(), client(&identity, &[&TLS13], None)).await);
}

/// A client of TLS 1.3 sends its request behind its certificate; unread it would reset the connection.
#[tokio::test]
async fn the_alert_arrives_though_the_client_is_still_sending() {
    let (gateway, _identity) = start("").await;
    let mut wire = Wire::connect(gateway.address()).await;
    wire.try_send(vec![b'x'; 1024 * 1024]).await;
    assert!(!wire.is_reset().await);
}

#[tokio::test]
async fn junk_is_a_failed_handshake_and_harms_nobody() {
    let (gateway, identity) = start("").await;
    let junk: [&[u8]; 7] = [
        &[0; 64],
        &[0xff; 20_000],
        // A record of application data, an alert, one of no kind, one of more bytes than there may be.
        b"\x17\x03\x03\x00\x05hello",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x63\x03\x01\x00\x01\x00",
        b"\x16\x03\x01\xff\xff\x01\x00",
        // A handshake message that is no ClientHello, then one that says more than it has.
        b"\x16\x03\x01\x00\x04\x14\x00\x00\x00",
    ];
    for bytes in junk {
        let mut wire = Wire::connect(gateway.address()).await;
        wire.try_send(bytes).await;
        wire.gone().await;
    }
    let labels = [("listener", "main"), ("result", "failure")];
    let failures = || gateway.count("wsgate_tls_handshakes_total", &labels);
    eventually("all are counted", || failures() == 7.0).await;
    assert!(is_served(gateway.address(), client(&identity, &[&TLS13], None)).await);
}

/// Clients that say nothing wait for nobody: others are served at once.
#[tokio::test]
async fn a_flood_of_half_open_handshakes_holds_up_nobody() {
    let (gateway, identity) = start("").await;
    let mut flood = Vec::new();
    for _ in 0..500 {
        flood.push(Wire::connect(gateway.address()).await);
    }
    assert!(is_served(gateway.address(), client(&identity, &[&TLS13], None)).await);
    drop(flood);
    let labels = [("listener", "main"), ("result", "client_gone")];
    let gone = || gateway.count("wsgate_tls_handshakes_total", &labels);
    eventually("all that left are counted", || gone() == 500.0).await;
}

/// A client's certificate that vouches for itself, and its file as the authority.
fn client_identity(directory: &Path, is_ca: IsCa) -> Shown {
    let key = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(vec!["device.test".to_owned()]).expect("a sound name");
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).expect("it can sign itself");
    let written = std::fs::write(directory.join("devices.crt"), certificate.pem());
    written.expect("the directory takes files");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    (vec![certificate.der().clone()], key.into())
}

/// Whether clients are served: one that is known, one that shows nothing, one that nobody knows.
async fn served_under(mode: &str, is_ca: IsCa) -> [bool; 3] {
    let (directory, elsewhere) = (directory(), directory());
    let known = client_identity(directory.path(), is_ca);
    let unknown = client_identity(elsewhere.path(), is_ca);
    let identity = Identity::make(directory.path(), "site", &[NAME]);
    let tls = format!(", client_auth: {{ mode: {mode}, ca: devices.crt }}");
    let gateway = Gateway::start_in(directory, &yaml(&[&identity], &tls)).await;
    let mut served = [false; 3];
    for (shown, served) in [Some(known), None, Some(unknown)]
        .into_iter()
        .zip(&mut served)
    {
        let client = client(&identity, &[&TLS13, &TLS12], shown);
        *served = is_served(gateway.address(), client).await;
    }
    served
}

#[tokio::test]
async fn clients_must_show_a_known_certificate_where_it_is_required() {
    let served = served_under("require", IsCa::NoCa).await;
    assert_eq!(served, [true, false, false]);
}

#[tokio::test]
async fn clients_may_show_a_known_certificate_where_it_is_requested() {
    let served = served_under("request", IsCa::NoCa).await;
    assert_eq!(served, [true, true, false]);
}

/// As `openssl req -x509` makes it.
#[tokio::test]
async fn an_authority_that_is_named_may_be_the_client_itself() {
    let served = served_under("require", IsCa::Ca(BasicConstraints::Unconstrained)).await;
    assert_eq!(served, [true, false, false]);
}

#[tokio::test]
async fn who_fails_a_handshake_is_told_with_the_reason() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &[NAME]);
    let process = Process::start(&format!(
        "    tls: {{ certificates: [{}] }}\n\
         routes: {{ fixed: {{ respond: {{ status: 200, body: in }} }} }}\n",
        identity.yaml()
    ))
    .await;
    let mut wire = process.connect().await;
    wire.send("GET / HTTP/1.1\r\n\r\n").await;
    wire.gone().await;
    let is_told = || {
        let log = process.log();
        let line = log
            .lines()
            .find(|line| line.contains("TLS handshake failed"));
        let facts = [
            "\"listener\":\"main\"",
            "\"peer\":\"unix\"",
            "\"INFO\"",
            "corrupt",
        ];
        line.is_some_and(|line| facts.iter().all(|fact| line.contains(fact)))
    };
    eventually("the failure is told", is_told).await;
}
