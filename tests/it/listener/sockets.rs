//! The kinds of addresses.

use tokio::net::UnixStream;

use super::{REQUEST, ROUTE};
use crate::harness::{Gateway, Identity, Wire, ask, directory, repeatedly, soon, speak_tls};

async fn start(address: &str) -> Gateway {
    Gateway::start(&format!(
        "listeners: {{ main: {{ address: \"{address}\" }} }}\n{ROUTE}"
    ))
    .await
}

#[tokio::test]
async fn ipv4() {
    let gateway = start("127.0.0.1:0").await;
    assert_eq!(ask(gateway.address(), REQUEST).await.body, "in");
    assert_eq!(client_of(&gateway).await, "127.0.0.1");
}

#[tokio::test]
async fn ipv6() {
    let gateway = start("[::1]:0").await;
    assert_eq!(ask(gateway.address(), REQUEST).await.body, "in");
    assert_eq!(client_of(&gateway).await, "[::1]");
}

#[tokio::test]
async fn the_ipv6_wildcard_takes_both() {
    let gateway = start("[::]:0").await;
    let port = gateway.address().port();
    assert_eq!(
        ask(([0, 0, 0, 0, 0, 0, 0, 1], port).into(), REQUEST)
            .await
            .body,
        "in"
    );
    let gateway = start("[::]:0").await;
    let port = gateway.address().port();
    assert_eq!(ask(([127, 0, 0, 1], port).into(), REQUEST).await.body, "in");
    assert_eq!(client_of(&gateway).await, "127.0.0.1");
}

/// The address in the access log, without its port.
async fn client_of(gateway: &Gateway) -> String {
    let line = gateway.line("request").await;
    let client = line["client"].as_str().expect("a client");
    let (address, _) = client.rsplit_once(':').expect("a port");
    address.to_owned()
}

#[tokio::test]
async fn a_unix_socket_and_its_file() {
    let directory = directory();
    let path = directory.path().join("socket");
    let mut gateway = start(&format!("unix:{}", path.display())).await;
    let stream = soon("a connection", UnixStream::connect(&path)).await;
    let mut wire = Wire::new(stream.expect("the socket takes connections"));
    wire.send(REQUEST).await;
    assert_eq!(wire.answer().await.body, "in");
    assert_eq!(gateway.line("request").await["client"], "unix");
    gateway.stop().await;
    gateway.outcome().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let directory = directory();
    let path = directory.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
    let refused = async || UnixStream::connect(&path).await.err();
    repeatedly("nobody listens", refused).await;
    let address = format!("unix:{}", path.display());
    let gateway = start(&address).await;
    let yaml = format!("listeners: {{ main: {{ address: \"{address}\" }} }}\n{ROUTE}");
    let problems = Gateway::try_start_in(crate::harness::directory(), &yaml)
        .await
        .err();
    let problems = problems.expect("the address is taken");
    assert!(problems[0].contains("in use"), "{problems:?}");
    drop(gateway);
}

/// It ends with its connection, and without its close_notify it would look truncated. The socket is full of it, so that there is
/// no room for that at first.
#[tokio::test]
async fn an_answer_that_just_fits_into_the_socket_is_whole_under_tls() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
    let path = directory.path().join("socket");
    let mut yaml = format!(
        "runtime: {{ workers: 1 }}\n\
         listeners:\n  main: {{ address: \"127.0.0.1:0\" }}\n  tls: {{ address: \"unix:{}\", \
         tls: {{ certificates: [{}] }} }}\nroutes:\n",
        path.display(),
        identity.yaml()
    );
    // The system gives a socket 208 KiB; some of these fill it.
    let lengths: Vec<usize> = (202..212).map(|part| part * 1000).collect();
    for length in &lengths {
        let body = "x".repeat(*length);
        yaml += &format!(
            "  r{length}: {{ match: {{ path: /{length} }}, \
             respond: {{ status: 200, body: {body} }} }}\n"
        );
    }
    yaml += "  rest: { match: { path: / }, respond: { status: 200, body: in } }\n";
    let gateway = Gateway::start_in(directory, &yaml).await;
    for length in lengths {
        let stream = soon("a connection", UnixStream::connect(&path)).await;
        let stream = stream.expect("the socket takes connections");
        let stream = speak_tls(stream, "gateway.test", identity.trust()).await;
        let mut wire = Wire::new(stream.expect("TLS"));
        wire.send(format!(
            "GET /{length} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"
        ))
        .await;
        // The only worker has written all it could when it has answered these.
        for _ in 0..3 {
            assert_eq!(ask(gateway.address(), REQUEST).await.body, "in");
        }
        assert_eq!(wire.answer().await.body.len(), length);
        assert_eq!(wire.rest().await, b"");
    }
}
