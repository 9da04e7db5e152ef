//! Whole handshakes, in memory: which certificate answers, what is agreed, what is refused.

use std::sync::Arc;

use rcgen::{CertifiedIssuer, KeyPair};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::server::ServerConnection;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, Error, HandshakeKind, ProtocolVersion, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::workshop::{Folder, authority, certificate, parameters, settings};
use crate::config::{CertificateFiles, ClientAuth, Tls, TlsVersion};
use crate::tls::{ServerTls, Tickets, provider, server};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Two ends after a handshake.
struct Agreed {
    client: ClientConnection,
    server: ServerConnection,
}

impl Agreed {
    fn leaf(&self) -> &CertificateDer<'static> {
        &self.client.peer_certificates().unwrap()[0]
    }
}

fn build(tls: &Tls) -> ServerTls {
    server(tls, &Tickets::default()).unwrap()
}

/// A client that trusts exactly these certificates.
fn trusting(certificates: &[&CertificateFiles]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for files in certificates {
        roots.add(read(files)).unwrap();
    }
    roots
}

fn read(files: &CertificateFiles) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&*files.certificate).unwrap()
}

fn client(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client that shows a certificate signed by `authority`.
fn known_client(roots: RootCertStore, authority: &Authority) -> ClientConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters(&["client"]).signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// Carries bytes to and fro until both are content or one refuses.
fn shake_hands(tls: &ServerTls, client: &ClientConfig, name: &str) -> Result<Agreed, Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(&tls.config)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        receive(&mut wire.as_slice(), |wire| server.read_tls(wire));
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        receive(&mut wire.as_slice(), |wire| client.read_tls(wire));
        client.process_new_packets()?;
    }
    Ok(Agreed { client, server })
}

fn receive<'a>(wire: &mut &'a [u8], mut read: impl FnMut(&mut &'a [u8]) -> std::io::Result<usize>) {
    while !wire.is_empty() {
        read(wire).unwrap();
    }
}

#[test]
fn the_name_chooses_the_certificate() {
    let folder = Folder::new();
    let first = folder.identity(&["first.example"]);
    let wild = folder.identity(&["*.apps.example"]);
    let exact = folder.identity(&["Chat.Apps.Example"]);
    let tls = build(&settings(vec![first.clone(), wild.clone(), exact.clone()]));
    let client = client(trusting(&[&first, &wild, &exact]));
    let cases = [
        ("first.example", &first),
        ("news.apps.example", &wild),
        ("NEWS.APPS.EXAMPLE", &wild),
        ("chat.apps.example", &exact),
        ("cHaT.apps.example", &exact),
    ];
    for (name, files) in cases {
        let agreed = shake_hands(&tls, &client, name).unwrap();
        assert_eq!(*agreed.leaf(), read(files), "{name}");
    }
}

#[test]
fn the_first_certificate_answers_when_none_fits() {
    let folder = Folder::new();
    let first = folder.identity(&["first.example", "127.0.0.1"]);
    let wild = folder.identity(&["*.apps.example"]);
    let tls = build(&settings(vec![first.clone(), wild]));
    let client = client(trusting(&[&first]));
    let by_address = shake_hands(&tls, &client, "127.0.0.1").unwrap();
    assert_eq!(*by_address.leaf(), read(&first));
    // A wildcard covers one label, and never the apex.
    for name in ["stranger.example", "apps.example", "a.b.apps.example"] {
        let error = shake_hands(&tls, &client, name).err().unwrap();
        let Error::InvalidCertificate(reason) = error else {
            panic!("{name}: {error}")
        };
        assert!(
            format!("{reason:?}").contains("NotValidForName"),
            "{name}: {reason:?}"
        );
    }
}

#[test]
fn of_two_certificates_for_a_name_the_first_answers_that_the_client_can_verify() {
    let folder = Folder::new();
    let new = ed25519(&folder, &["dual.example"]);
    let old = folder.identity(&["dual.example"]);
    let tls = build(&settings(vec![new.clone(), old.clone()]));
    for (client, files) in [
        (client(trusting(&[&new, &old])), &new),
        (without_ed25519(trusting(&[&new, &old]), &TLS13), &old),
        (without_ed25519(trusting(&[&new, &old]), &TLS12), &old),
    ] {
        let agreed = shake_hands(&tls, &client, "dual.example").unwrap();
        assert_eq!(*agreed.leaf(), read(files));
    }
    let only = build(&settings(vec![new.clone()]));
    let client = without_ed25519(trusting(&[&new]), &TLS13);
    assert!(shake_hands(&only, &client, "dual.example").is_err());
}

#[test]
fn who_asks_for_no_name_that_is_covered_is_answered_by_what_it_can_verify() {
    let folder = Folder::new();
    let new = ed25519(&folder, &["first.example", "127.0.0.1"]);
    let old = folder.identity(&["127.0.0.1"]);
    let tls = build(&settings(vec![new.clone(), old.clone()]));
    for version in [&TLS13, &TLS12] {
        let client = without_ed25519(trusting(&[&new, &old]), version);
        // A client names no address (RFC 6066 section 3).
        let agreed = shake_hands(&tls, &client, "127.0.0.1").unwrap();
        assert_eq!(*agreed.leaf(), read(&old));
        let error = shake_hands(&tls, &client, "stranger.example").err();
        let is_clients_own = matches!(error, Some(Error::InvalidCertificate(_)));
        assert!(is_clients_own, "{error:?}");
    }
}

/// A certificate for `names` that only clients can verify which know Ed25519.
fn ed25519(folder: &Folder, names: &[&str]) -> CertificateFiles {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    CertificateFiles {
        certificate: folder.write("ed25519.crt", &certificate(names, &key).pem()),
        key: folder.write("ed25519.key", &key.serialize_pem()),
    }
}

/// A client that cannot verify signatures by Ed25519.
fn without_ed25519(
    roots: RootCertStore,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let mut provider = CryptoProvider::clone(&provider());
    let all = provider.signature_verification_algorithms;
    let mapping = all.mapping.iter().copied();
    let mapping: Vec<_> = mapping
        .filter(|it| it.0 != SignatureScheme::ED25519)
        .collect();
    provider.signature_verification_algorithms.mapping = mapping.leak();
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[test]
fn http2_is_agreed_on_where_it_is_offered() {
    let folder = Folder::new();
    let files = folder.identity(&["localhost"]);
    let mut tls = settings(vec![files.clone()]);
    let mut client = client(trusting(&[&files]));
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    for (http2, expected) in [(true, &b"h2"[..]), (false, b"http/1.1")] {
        tls.http2 = http2;
        let agreed = shake_hands(&build(&tls), &client, "localhost").unwrap();
        assert_eq!(agreed.server.alpn_protocol(), Some(expected));
    }
    client.alpn_protocols = vec![b"h2".to_vec()];
    assert!(shake_hands(&build(&tls), &client, "localhost").is_err());
}

#[test]
fn versions_below_the_least_are_refused() {
    let folder = Folder::new();
    let files = folder.identity(&["localhost"]);
    let mut tls = settings(vec![files.clone()]);
    let old = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(trusting(&[&files]))
        .with_no_client_auth();
    let agreed = shake_hands(&build(&tls), &old, "localhost").unwrap();
    assert_eq!(
        agreed.server.protocol_version(),
        Some(ProtocolVersion::TLSv1_2)
    );
    tls.min_version = TlsVersion::Tls13;
    assert!(shake_hands(&build(&tls), &old, "localhost").is_err());
    let new = client(trusting(&[&files]));
    let agreed = shake_hands(&build(&tls), &new, "localhost").unwrap();
    assert_eq!(
        agreed.server.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
}

#[test]
fn a_ticket_survives_the_settings_that_gave_it() {
    let folder = Folder::new();
    let files = folder.identity(&["localhost"]);
    let tickets = Tickets::default();
    let tls = || server(&settings(vec![files.clone()]), &tickets).unwrap();
    let mut client = client(trusting(&[&files]));
    client.resumption = Resumption::in_memory_sessions(8);
    let (before, after) = (tls(), tls());
    let agreed = shake_hands(&before, &client, "localhost").unwrap();
    assert_eq!(agreed.client.tls13_tickets_received(), 1);
    let agreed = shake_hands(&after, &client, "localhost").unwrap();
    assert_eq!(agreed.server.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn clients_are_asked_as_configured() {
    let folder = Folder::new();
    let (ours, foreign) = (authority(), authority());
    let files = folder.identity(&["localhost"]);
    let authorities = folder.write("ca.crt", &ours.pem());
    let mut tls = settings(vec![files.clone()]);
    let roots = trusting(&[&files]);
    let unknown = client(roots.clone());
    let known = known_client(roots.clone(), &ours);
    let stranger = known_client(roots, &foreign);

    tls.client_auth = ClientAuth::Require(authorities.clone());
    let required = build(&tls);
    let agreed = shake_hands(&required, &known, "localhost").unwrap();
    assert!(agreed.server.peer_certificates().is_some());
    assert!(shake_hands(&required, &unknown, "localhost").is_err());
    assert!(shake_hands(&required, &stranger, "localhost").is_err());

    tls.client_auth = ClientAuth::Request(authorities);
    let requested = build(&tls);
    let agreed = shake_hands(&requested, &unknown, "localhost").unwrap();
    assert!(agreed.server.peer_certificates().is_none());
    assert!(shake_hands(&requested, &stranger, "localhost").is_err());
}

#[test]
fn a_ticket_of_an_open_listener_does_not_replace_a_certificate() {
    let folder = Folder::new();
    let files = folder.identity(&["localhost"]);
    let tickets = Tickets::default();
    let mut tls = settings(vec![files.clone()]);
    let open = server(&tls, &tickets).unwrap();
    tls.client_auth = ClientAuth::Require(folder.write("ca.crt", &authority().pem()));
    let closed = server(&tls, &tickets).unwrap();
    let client = client(trusting(&[&files]));
    let agreed = shake_hands(&open, &client, "localhost").unwrap();
    assert_eq!(agreed.client.tls13_tickets_received(), 1);
    assert!(shake_hands(&closed, &client, "localhost").is_err());
}
