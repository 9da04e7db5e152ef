//! The key of a TLS 1.2 connection is used up while a session is open.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::TLS12;
use rustls::{
    CipherSuiteCommon, ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite,
    Tls12CipherSuite,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::super::{Account, Agreed, End, Tunnel};
use super::{record, terms};
use crate::drain::Drain;
use crate::stream::{SPARE_RECORDS, Socket, Stream, TlsStream};
use crate::tls::provider;
use crate::websocket::Extensions;

/// As the gateway's own, with TLS 1.2 suites whose keys last for `records`.
fn provider_with_keys_for(records: u64) -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&provider());
    for suite in &mut provider.cipher_suites {
        if let SupportedCipherSuite::Tls12(before) = *suite {
            let limited = Tls12CipherSuite {
                common: CipherSuiteCommon {
                    confidentiality_limit: records,
                    ..before.common
                },
                ..*before
            };
            *suite = SupportedCipherSuite::Tls12(Box::leak(Box::new(limited)));
        }
    }
    Arc::new(provider)
}

/// Both ends of a TLS 1.2 connection: the peer's, and ours, whose key lasts for `records`.
async fn tls_pair(records: u64) -> [TlsStream; 2] {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    let server = ServerConfig::builder_with_provider(provider_with_keys_for(records))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let (peer, ours) = UnixStream::pair().unwrap();
    let (peer, ours) = tokio::join!(
        TlsStream::connect(Socket::Unix(peer), Arc::new(client), name),
        TlsStream::accept(Socket::Unix(ours), Arc::new(server)),
    );
    [peer.unwrap(), ours.unwrap()]
}

#[tokio::test]
async fn a_session_ends_in_order_before_its_key_does() {
    let [mut client, to_client] = tls_pair(SPARE_RECORDS + 3).await;
    assert!(!to_client.is_key_used_up());
    let (mut backend, to_backend) = UnixStream::pair().unwrap();
    let ends = [
        Stream::Tls(Box::new(to_client)),
        Stream::Plain(Socket::Unix(to_backend)),
    ]
    .map(|stream| End { stream, early: &[] });
    let drain = Drain::default();
    let agreed = Agreed {
        terms: Arc::new(terms()),
        extensions: Extensions::None,
    };
    let account = Account {
        watches: [drain.watch(), drain.watch(), drain.watch()],
        record: record(std::io::sink()).0,
        lease: (),
    };
    tokio::spawn(Tunnel::new(ends, agreed, account, ()));
    let message = [0x82, 1, b'x'];
    for _ in 0..3 {
        backend.write_all(&message).await.unwrap();
        let mut got = [0; 3];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, message);
    }
    let mut close = [0; 19];
    let closing = timeout(Duration::from_secs(30), client.read_exact(&mut close));
    closing.await.expect("the session ends").unwrap();
    assert_eq!(close[..4], [0x88, 17, 0x03, 0xF4], "1012");
    assert_eq!(&close[4..], b"session too old");
}
