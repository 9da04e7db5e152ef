//! How long the key of a TLS 1.2 connection lasts.

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::workshop::certificate;
use crate::stream::{SPARE_RECORDS, Socket, TlsStream};
use crate::tls::provider;

/// Both ends of a TLS connection.
async fn pair(version: &'static SupportedProtocolVersion) -> [TlsStream; 2] {
    let key = KeyPair::generate().unwrap();
    let certificate = certificate(&["localhost"], &key).der().clone();
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
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
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let (client_socket, server_socket) = UnixStream::pair().unwrap();
    let (client, server) = tokio::join!(
        TlsStream::connect(Socket::Unix(client_socket), Arc::new(client), name),
        TlsStream::accept(Socket::Unix(server_socket), Arc::new(server)),
    );
    [client.unwrap(), server.unwrap()]
}

#[tokio::test]
async fn a_key_of_tls_1_2_counts_as_used_up_before_it_is() {
    let [mut client, mut server] = pair(&TLS12).await;
    server.skip_records((1 << 24) - SPARE_RECORDS - 3);
    for _ in 0..3 {
        assert!(!server.is_key_used_up());
        server.write_all(b"message").await.unwrap();
        client.read_exact(&mut [0; 7]).await.unwrap();
    }
    assert!(server.is_key_used_up());
    assert!(!client.is_key_used_up(), "it has sent nothing");
}

#[tokio::test]
async fn tls_1_3_replaces_its_keys() {
    let [_client, mut server] = pair(&TLS13).await;
    server.skip_records(1 << 24);
    assert!(!server.is_key_used_up());
}
