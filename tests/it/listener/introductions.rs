//! PROXY headers: which peers are believed, what they say, and what comes behind them.

use http::Request;
use tokio::net::{TcpStream, UnixStream};
use wsgate::proxy_protocol::{Ends, Version, encode};

use super::{REQUEST, ROUTE, listening, rejects};
use crate::backends::Backend;
use crate::harness::{
    Answer, Gateway, Http2, Identity, Opening, Wire, before, directory, echo, eventually,
    eventually_some, http2_connect, open_by, pool, soon, speak_tls,
};

const REQUIRE: &str = ", trusted_proxies: [127.0.0.1], proxy_protocol: require";
const ACCEPT: &str = ", trusted_proxies: [127.0.0.1], proxy_protocol: accept";
/// What a proxy says of most clients here.
const LINE: &str = "PROXY TCP4 203.0.113.7 198.51.100.2 4711 443\r\n";

fn header(version: Version, source: &str, destination: &str) -> Vec<u8> {
    let end = |text: &str| text.parse().expect("an address and a port");
    encode(version, Some(Ends::new(end(source), end(destination))))
}

/// A connection that begins with this.
async fn introduced(gateway: &Gateway, header: impl AsRef<[u8]>) -> Wire {
    let mut wire = Wire::connect(gateway.address()).await;
    wire.send(header).await;
    wire
}

/// The answer to a request behind the header, in one segment.
async fn ask_behind(gateway: &Gateway, header: impl AsRef<[u8]>) -> Answer {
    let bytes = [header.as_ref(), REQUEST.as_bytes()].concat();
    introduced(gateway, bytes).await.answer().await
}

async fn counted(gateway: &Gateway, reason: &str, count: f64) {
    eventually(reason, || rejects(gateway, reason) == count).await;
}

#[tokio::test]
async fn both_versions_name_the_client() {
    let v6 = header(Version::V2, "[2001:db8::7]:4711", "[2001:db8::2]:443");
    // Extensions: what is not known, and a checksum that is not looked at.
    let mut extended = header(Version::V2, "203.0.113.7:4711", "198.51.100.2:443");
    extended.extend(b"\xe0\0\x02hi\x03\0\x04\0\0\0\0");
    extended[15] = 12 + 12;
    for (header, client) in [
        (LINE.as_bytes().to_vec(), "203.0.113.7:4711"),
        (
            header(Version::V2, "203.0.113.7:4711", "198.51.100.2:443"),
            "203.0.113.7:4711",
        ),
        (
            header(Version::V1, "[2001:db8::7]:1", "[2001:db8::2]:2"),
            "[2001:db8::7]:1",
        ),
        (v6, "[2001:db8::7]:4711"),
        (extended, "203.0.113.7:4711"),
    ] {
        let gateway = Gateway::start(&listening(REQUIRE)).await;
        assert_eq!(ask_behind(&gateway, header).await.status(), 200);
        assert_eq!(gateway.line("request").await["client"], client);
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_the_client() {
    for header in [
        encode(Version::V1, None),
        encode(Version::V2, None),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        // A unix socket, which has no address.
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8", &[0; 216][..]].concat(),
    ] {
        let gateway = Gateway::start(&listening(REQUIRE)).await;
        assert_eq!(ask_behind(&gateway, header).await.status(), 200);
        let line = gateway.line("request").await;
        let client = line["client"].as_str().expect("an address");
        assert!(client.starts_with("127.0.0.1:"), "{client}");
    }
}

#[tokio::test]
async fn the_backend_is_told_of_the_client_behind_the_proxy() {
    let backend = Backend::introduced().await;
    let routes = "routes: { chat: { origins: any, headers: { forwarded: both }, pool: chat } }\n";
    let pool = pool("proxy_protocol: v1,", &[&backend]);
    let listener = format!("listeners: {{ main: {{ address: \"127.0.0.1:0\"{REQUIRE} }} }}\n");
    let gateway = Gateway::start(&format!("{listener}{routes}{pool}")).await;
    let opening = Opening::to("/").with("X-Forwarded-For", "192.0.2.99");
    let mut wire = introduced(&gateway, format!("{LINE}{}", opening.text())).await;
    let answer = wire.answer().await;
    assert_eq!(answer.status(), 101);
    let digits: String = LINE.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer.value("x-introduction"), Some(&*digits));
    let head = backend.head();
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("x-forwarded-port", "80"),
        ("forwarded", "for=203.0.113.7;host=gateway.test;proto=http"),
    ] {
        assert_eq!(head.value(name), Some(value), "{head:?}");
    }
    assert_eq!(gateway.line("open").await["client"], "203.0.113.7:4711");
}

/// A TCP balancer before an HTTP proxy: each is believed of the one before it.
#[tokio::test]
async fn a_trusted_client_behind_the_proxy_speaks_for_others() {
    let backend = Backend::echo().await;
    let keys = ", trusted_proxies: [127.0.0.1, 10.0.0.0/8], proxy_protocol: require";
    let listener = format!("listeners: {{ main: {{ address: \"127.0.0.1:0\"{keys} }} }}\n");
    let gateway = Gateway::start(&format!("{listener}{}", before(&[&backend]))).await;
    let opening = Opening::to("/").with("X-Forwarded-For", "203.0.113.7");
    let line = "PROXY TCP4 10.1.2.3 198.51.100.2 4711 443\r\n";
    let mut wire = introduced(&gateway, format!("{line}{}", opening.text())).await;
    assert_eq!(wire.answer().await.status(), 101);
    let head = backend.head();
    assert_eq!(head.value("x-forwarded-for"), Some("203.0.113.7, 10.1.2.3"));
    assert_eq!(gateway.line("open").await["client"], "203.0.113.7");
}

#[tokio::test]
async fn a_session_passes_behind_a_header_that_comes_byte_by_byte() {
    let backend = Backend::echo().await;
    let listener = format!("listeners: {{ main: {{ address: \"127.0.0.1:0\"{REQUIRE} }} }}\n");
    let gateway = Gateway::start(&format!("{listener}{}", before(&[&backend]))).await;
    for version in [Version::V1, Version::V2] {
        let mut wire = Wire::connect(gateway.address()).await;
        for byte in header(version, "203.0.113.7:4711", "198.51.100.2:443") {
            wire.send([byte]).await;
            tokio::task::yield_now().await;
        }
        let (mut socket, _) = open_by(wire.into_stream(), "/", &[]).await;
        echo(&mut socket, "through").await;
    }
}

#[tokio::test]
async fn tls_and_both_versions_of_http_stand_behind_the_header() {
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
    let tls = format!("{REQUIRE}, tls: {{ certificates: [{}] }}", identity.yaml());
    let gateway = Gateway::start_in(directory, &listening(&tls)).await;
    for protocol in ["http/1.1", "h2"] {
        let stream = introduced(&gateway, LINE).await.into_stream();
        let mut trust = identity.trust();
        trust.alpn_protocols = vec![protocol.into()];
        let stream = speak_tls(stream, "gateway.test", trust).await;
        let stream = stream.expect("TLS behind the header");
        if protocol == "h2" {
            let mut client = Http2::over(stream).await;
            let get = Request::get("https://gateway.test/");
            assert_eq!(client.ask(get).await.0.status(), 200);
        } else {
            let mut wire = Wire::new(stream);
            wire.send(REQUEST).await;
            assert_eq!(wire.answer().await.status(), 200);
        }
    }
    let clients = || {
        let lines = gateway.log().lines();
        let named = |line: &&serde_json::Value| line["client"] == "203.0.113.7:4711";
        lines.iter().filter(named).count()
    };
    eventually("both lines name the client", || clients() == 2).await;
}

#[tokio::test]
async fn http2_by_prior_knowledge_stands_behind_the_header() {
    let backend = Backend::echo().await;
    let keys = format!("{REQUIRE}, h2c: true");
    let listener = format!("listeners: {{ main: {{ address: \"127.0.0.1:0\"{keys} }} }}\n");
    let gateway = Gateway::start(&format!("{listener}{}", before(&[&backend]))).await;
    let stream = introduced(&gateway, LINE).await.into_stream();
    let mut client = Http2::over(stream).await;
    let (stream, _) = client.open(http2_connect("/")).await;
    drop(stream);
    let line = gateway.line("open").await;
    assert_eq!(
        (&line["protocol"], &line["client"]),
        (&"h2".into(), &"203.0.113.7:4711".into())
    );
}

#[tokio::test]
async fn accepting_takes_connections_with_and_without_a_header() {
    let gateway = Gateway::start(&listening(ACCEPT)).await;
    assert_eq!(ask_behind(&gateway, LINE).await.status(), 200);
    assert_eq!(gateway.line("request").await["client"], "203.0.113.7:4711");
    assert_eq!(ask_behind(&gateway, "").await.status(), 200);
    // It begins as a header does.
    let propfind = "PROPFIND / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    assert_eq!(
        introduced(&gateway, propfind).await.answer().await.status(),
        200
    );
}

#[tokio::test]
async fn a_second_header_is_named() {
    for keys in [ACCEPT, REQUIRE] {
        let gateway = Gateway::start(&listening(keys)).await;
        let answer = ask_behind(&gateway, [LINE, LINE].concat()).await;
        assert_eq!(answer.status(), 400);
        assert!(answer.body.contains("second"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_stranger_is_believed_nothing() {
    let keys = ", trusted_proxies: [203.0.113.0/24], proxy_protocol: accept";
    let gateway = Gateway::start(&listening(keys)).await;
    let answer = ask_behind(&gateway, LINE).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.body.contains("`trusted_proxies`"), "{answer:?}");
    assert_eq!(ask_behind(&gateway, "").await.status(), 200);
    gateway
        .change(&listening(&keys.replace("accept", "require")))
        .await;
    let mut wire = introduced(&gateway, LINE).await;
    wire.gone().await;
    counted(&gateway, "proxy_untrusted", 1.0).await;
}

#[tokio::test]
async fn where_a_header_is_required_nothing_else_is_taken() {
    let gateway = Gateway::start(&listening(REQUIRE)).await;
    for (begins, reason) in [
        (REQUEST, "proxy_missing"),
        ("\u{16}\u{3}\u{1}", "proxy_missing"),
        (
            "PROXY TCP4 203.0.113.7 198.51.100.2 4711\r\n",
            "proxy_malformed",
        ),
        ("PROXY TCP4 ::1 ::2 4711 443\r\n", "proxy_malformed"),
        ("\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c", "proxy_malformed"),
    ] {
        let before = rejects(&gateway, reason);
        introduced(&gateway, begins).await.gone().await;
        counted(&gateway, reason, before + 1.0).await;
    }
    let endless = format!("PROXY TCP4 {}", "1".repeat(4096));
    introduced(&gateway, endless).await.gone().await;
    counted(&gateway, "proxy_malformed", 4.0).await;
    let sound = format!("PROXY TCP4 203.0.113.7 198.51.100.2 4711 443\r\n{REQUEST}");
    introduced(&gateway, sound).await.answer().await;
    let first = eventually_some("a line", || gateway.log().lines().into_iter().next()).await;
    assert_eq!(first["status"], 200, "none of those before has a line");
}

#[tokio::test]
async fn a_header_that_stops_half_way_is_given_up() {
    let keys = format!("{REQUIRE}, timeouts: {{ request_header: 1s }}");
    let gateway = Gateway::start(&listening(&keys)).await;
    introduced(&gateway, "PROXY TCP4 203.").await.gone().await;
    introduced(&gateway, "").await.gone().await;
    counted(&gateway, "head_too_slow", 2.0).await;
    let mut wire = introduced(&gateway, format!("{LINE}GET / HT")).await;
    assert_eq!(wire.answer().await.status(), 408);
}

#[tokio::test]
async fn who_may_connect_is_judged_by_the_client() {
    let keys =
        format!("{REQUIRE}, deny: [203.0.113.9], limits: {{ max_connections_per_client: 1 }}");
    let gateway = Gateway::start(&listening(&keys)).await;
    let denied = LINE.replace("203.0.113.7", "203.0.113.9");
    introduced(&gateway, denied).await.gone().await;
    counted(&gateway, "denied", 1.0).await;
    let mut held = introduced(&gateway, format!("{LINE}{REQUEST}")).await;
    assert_eq!(held.answer().await.status(), 200);
    assert_eq!(ask_behind(&gateway, LINE).await.status(), 429);
    let other = LINE.replace("203.0.113.7", "203.0.113.8");
    assert_eq!(ask_behind(&gateway, other).await.status(), 200);
}

#[tokio::test]
async fn whoever_reaches_a_unix_socket_is_believed() {
    let yaml = format!(
        "listeners: {{ main: {{ address: \"unix:socket\", proxy_protocol: require, \
         deny: [203.0.113.9] }} }}\n{ROUTE}"
    );
    let gateway = Gateway::start_in(directory(), &yaml).await;
    let connect = async || {
        let path = gateway.directory().join("socket");
        Wire::new(
            soon("a connection", UnixStream::connect(path))
                .await
                .expect("it listens"),
        )
    };
    let mut wire = connect().await;
    wire.send(format!("{LINE}{REQUEST}")).await;
    assert_eq!(wire.answer().await.status(), 200);
    assert_eq!(gateway.line("request").await["client"], "203.0.113.7:4711");
    let mut denied = connect().await;
    denied
        .send(LINE.replace("203.0.113.7", "203.0.113.9"))
        .await;
    denied.gone().await;
    counted(&gateway, "denied", 1.0).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_header() {
    let mut gateway = Gateway::start(&listening(REQUIRE)).await;
    let stream = soon("a connection", TcpStream::connect(gateway.address())).await;
    let mut wire = Wire::new(stream.expect("the gateway listens"));
    wire.send("PROXY ").await;
    gateway.stop().await;
    wire.gone().await;
    gateway.outcome().await;
}
