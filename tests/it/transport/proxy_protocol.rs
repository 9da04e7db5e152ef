//! What a PROXY header tells the backend.

use std::net::SocketAddr;

use tokio::net::{TcpStream, UnixStream};

use crate::backends::Backend;
use crate::harness::{Answer, Gateway, Opening, Wire, directory, pool};

const UNIX: &str = "listeners: { main: { address: \"unix:socket\" } }\n";

fn yaml(version: &str, backend: &Backend) -> String {
    let keys = format!("proxy_protocol: {version},");
    let routes = "routes: { chat: { origins: any, pool: chat } }\n";
    format!("{routes}{}", pool(&keys, &[backend]))
}

/// Opens a session at `listener` and gives the client's address and the header that the backend had.
async fn introduction(address: SocketAddr) -> (SocketAddr, Vec<u8>) {
    let stream = TcpStream::connect(address)
        .await
        .expect("the gateway is there");
    let client = stream.local_addr().expect("a connected socket");
    let header = introduced(Wire::new(stream)).await;
    (client, header)
}

async fn introduced<S>(mut wire: Wire<S>) -> Vec<u8>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    wire.send(Opening::to("/").text()).await;
    introduction_in(&wire.answer().await)
}

/// The header that the backend had, as it tells.
fn introduction_in(answer: &Answer) -> Vec<u8> {
    assert_eq!(answer.status(), 101, "{answer:?}");
    let digits = answer.value("x-introduction").expect("the backend tells");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    (0..digits.len())
        .step_by(2)
        .map(|at| byte(at).expect("hexadecimal digits"))
        .collect()
}

#[tokio::test]
async fn version_1_names_both_ends_of_the_clients_connection() {
    let backend = Backend::introduced().await;
    let gateway = Gateway::start(&yaml("v1", &backend)).await;
    let (client, header) = introduction(gateway.address()).await;
    let ports = format!("{} {}", client.port(), gateway.address().port());
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {ports}\r\n");
    assert_eq!(String::from_utf8_lossy(&header), expected);
}

#[tokio::test]
async fn version_2_names_both_ends_of_the_clients_connection() {
    let backend = Backend::introduced().await;
    let gateway = Gateway::start(&yaml("v2", &backend)).await;
    let (client, header) = introduction(gateway.address()).await;
    let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    expected.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    expected.extend(client.port().to_be_bytes());
    expected.extend(gateway.address().port().to_be_bytes());
    assert_eq!(header, expected);
}

/// What comes over its connection comes of many; each connection to the backend is of one of them.
#[tokio::test]
async fn a_client_behind_a_trusted_proxy_is_named_and_not_the_proxy() {
    let backend = Backend::introduced().await;
    let listeners =
        "listeners: { main: { address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] } }\n";
    let gateway = Gateway::start(&format!("{listeners}{}", yaml("v1", &backend))).await;
    let mut wire = Wire::connect(gateway.address()).await;
    let request = Opening::to("/").with("X-Forwarded-For", "203.0.113.7");
    wire.send(request.text()).await;
    let header = introduction_in(&wire.answer().await);
    let port = gateway.address().port();
    let expected = format!("PROXY TCP4 203.0.113.7 127.0.0.1 0 {port}\r\n");
    assert_eq!(String::from_utf8_lossy(&header), expected);
}

#[tokio::test]
async fn an_ipv6_client_is_named_as_one() {
    let backend = Backend::introduced().await;
    let listeners = "listeners: { main: { address: \"[::1]:0\" } }\n";
    let gateway = Gateway::start(&format!("{listeners}{}", yaml("v2", &backend))).await;
    let (client, header) = introduction(gateway.address()).await;
    assert_eq!(header[12..16], [0x21, 0x21, 0, 36]);
    assert_eq!(header.len(), 16 + 36);
    assert_eq!(header[48..50], client.port().to_be_bytes());
}

#[tokio::test]
async fn a_wildcard_listener_names_the_address_that_the_client_chose() {
    let backend = Backend::introduced().await;
    let listeners = "listeners: { main: { address: \"[::]:0\" } }\n";
    let gateway = Gateway::start(&format!("{listeners}{}", yaml("v1", &backend))).await;
    let address = SocketAddr::from(([127, 0, 0, 1], gateway.address().port()));
    let (_, header) = introduction(address).await;
    let header = String::from_utf8_lossy(&header);
    assert!(
        header.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
        "{header}"
    );
}

#[tokio::test]
async fn a_client_of_a_unix_socket_is_unknown() {
    for (version, expected) in [
        ("v1", &b"PROXY UNKNOWN\r\n"[..]),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ] {
        let backend = Backend::introduced().await;
        let yaml = format!("{UNIX}{}", yaml(version, &backend));
        let gateway = Gateway::start_in(directory(), &yaml).await;
        let path = gateway.directory().join("socket");
        let stream = UnixStream::connect(path)
            .await
            .expect("the gateway is there");
        assert_eq!(introduced(Wire::new(stream)).await, expected);
    }
}
