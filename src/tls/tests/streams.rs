//! TLS over a stream: what waits behind the handshake, and how long the key of a TLS 1.2 connection lasts.

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

/// Both ends of a TLS connection, and how many bytes waited at the client's behind the handshake.
async fn pair(version: &'static SupportedProtocolVersion) -> ([TlsStream; 2], usize) {
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
    let connecting = async {
        let socket = Socket::Unix(client_socket);
        let stream = TlsStream::connect(socket, Arc::new(client), name).await;
        let mut stream = stream.unwrap();
        let waiting = stream.waiting();
        stream.flush().await.unwrap();
        (stream, waiting)
    };
    let accepting = TlsStream::accept(Socket::Unix(server_socket), Arc::new(server));
    let ((client, waiting), server) = tokio::join!(connecting, accepting);
    ([client, server.unwrap()], waiting)
}

/// In one packet with its request.
#[tokio::test]
async fn the_last_message_of_a_tls_1_3_client_leaves_with_its_first_bytes() {
    let (_, waiting) = pair(&TLS13).await;
    assert!(waiting > 0);
    let (_, waiting) = pair(&TLS12).await;
    assert_eq!(waiting, 0);
}

#[tokio::test]
async fn a_key_of_tls_1_2_counts_as_used_up_before_it_is() {
    let ([mut client, mut server], _) = pair(&TLS12).await;
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
    let ([_client, mut server], _) = pair(&TLS13).await;
    server.skip_records(1 << 24);
    assert!(!server.is_key_used_up());
}
