//! What routes say of the fields of their answers, whoever gives them.

use http::{Request, Response};

use crate::backends::Backend;
use crate::harness::{
    Answer, Gateway, Http2, Opening, Wire, ask, close, echo, http2_connect, open, pool,
};
use crate::venue::Arrivals;

const RULES: &str = "{ set: { X-Frame-Options: DENY, Strict-Transport-Security: max-age=60 }, \
                     remove: [Server, X-Powered-By] }";

/// Fields of a backend that wants none of the rules.
const STUBBORN: &str = "Server: old/1\r\nX-Powered-By: PHP\r\nX-Frame-Options: ALLOW\r\nX-Frame-Options: ALLOW\r\n\
                        X-Own: 1\r\nConnection: X-Frame-Options, Strict-Transport-Security\r\n";

fn expect_rules(answer: &Answer) {
    assert_eq!(answer.values("x-frame-options"), ["DENY"], "{answer:?}");
    assert_eq!(answer.values("strict-transport-security"), ["max-age=60"]);
    assert_eq!(answer.value("server"), None);
    assert_eq!(answer.value("x-powered-by"), None);
}

/// A listener that takes HTTP/2, too, and a route with these keys to a pool with those.
fn configuration(route: &str, of_pool: &str, backend: &Backend) -> String {
    format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", h2c: true }} }}\n\
         routes: {{ chat: {{ origins: any, pool: chat, {route} }} }}\n{}",
        pool(of_pool, &[backend])
    )
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
}

/// What a backend answers to plain requests, and what a client gets of it, under a route with these rules.
async fn plain(rules: &str, answer: &str) -> Answer {
    let arrivals = Arrivals::listen().await;
    let yaml = format!(
        "routes: {{ app: {{ protocols: [http], pool: app, headers: {{ answer: {rules} }} }} }}\n\
         pools: {{ app: {{ sticky: {{}}, backends: [\"{}\"] }} }}\n",
        arrivals.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(get("/")).await;
    let (_, mut backend) = arrivals.met().await;
    backend.send(answer).await;
    client.answer().await
}

#[tokio::test]
async fn a_backends_answer_says_what_the_route_says() {
    let answer = format!("HTTP/1.1 404 Not Found\r\n{STUBBORN}Content-Length: 2\r\n\r\nno");
    let answer = plain(RULES, &answer).await;
    assert_eq!((answer.status(), &*answer.body), (404, "no"));
    expect_rules(&answer);
    assert_eq!(answer.values("x-own"), ["1"]);
}

#[tokio::test]
async fn the_answer_to_a_handshake_says_it_too() {
    let backend = Backend::agreeing(&format!("Sec-WebSocket-Protocol: x\r\n{STUBBORN}")).await;
    let route = format!("headers: {{ answer: {RULES} }}");
    let gateway = Gateway::start(&configuration(&route, "", &backend)).await;
    let opening = Opening::to("/").with("Sec-WebSocket-Protocol", "x");
    let answer = ask(gateway.address(), opening.text()).await;
    assert_eq!(answer.status(), 101);
    expect_rules(&answer);
    assert!(answer.head.spells("Sec-WebSocket-Protocol"), "{answer:?}");
    let mut client = Http2::connect(gateway.address()).await;
    let (_session, answer) = client.open(http2_connect("/")).await;
    expect_rules_over_http2(&answer);
}

fn expect_rules_over_http2(answer: &Response<()>) {
    let fields = answer.headers();
    let values: Vec<_> = fields.get_all("x-frame-options").iter().collect();
    assert_eq!(values, ["DENY"], "{fields:?}");
    assert_eq!(fields["strict-transport-security"], "max-age=60");
    assert!(!fields.contains_key("server"), "{fields:?}");
}

#[tokio::test]
async fn what_is_no_101_says_it_as_well() {
    let arrivals = Arrivals::listen().await;
    let yaml = format!(
        "defaults: {{ headers: {{ answer: {RULES} }} }}\n{}",
        arrivals.route()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Wire::connect(gateway.address()).await;
    client.send(Opening::to("/").text()).await;
    let (_, mut backend) = arrivals.met().await;
    let answer = format!("HTTP/1.1 403 Forbidden\r\n{STUBBORN}Content-Length: 0\r\n\r\n");
    backend.send(answer).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 403);
    expect_rules(&answer);
}

#[tokio::test]
async fn answers_of_the_gateway_say_it() {
    let backend = Backend::echo().await;
    let yaml = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", h2c: true }} }}\n\
         defaults: {{ origins: [\"https://app.test\"], headers: {{ answer: {RULES} }} }}\n\
         routes:\n  chat: {{ pool: chat }}\n  \
         json: {{ match: {{ path: /json }}, respond: {{ status: 200, body: \"{{}}\" }}, \
                  headers: {{ answer: {{ set: {{ Content-Type: application/json }} }} }} }}\n  \
         old: {{ match: {{ path: /old }}, redirect: {{ to: /new }} }}\n{}",
        pool("", &[&backend])
    );
    let gateway = Gateway::start(&yaml).await;
    let json = ask(gateway.address(), get("/json")).await;
    assert_eq!(json.values("content-type"), ["application/json"]);
    let old = ask(gateway.address(), get("/old")).await;
    assert_eq!((old.status(), old.value("location")), (308, Some("/new")));
    let refused = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(refused.status(), 403);
    for answer in [json, old, refused] {
        expect_rules(&answer);
    }
    let mut client = Http2::connect(gateway.address()).await;
    let request = Request::get("https://gateway.test/json");
    expect_rules_over_http2(&client.ask(request).await.0);
}

/// It is true of this moment, which a cache is not to keep, and of its own body.
#[tokio::test]
async fn what_a_refusal_says_itself_stays() {
    let backend = Backend::absent();
    let rules = "{ set: { Cache-Control: max-age=60, Content-Type: text/html, X-Own: one }, remove: [Retry-After] }";
    let route = format!("headers: {{ answer: {rules} }}");
    let gateway = Gateway::start(&configuration(&route, "", &backend)).await;
    let refused = ask(gateway.address(), get("/")).await;
    assert_eq!(refused.status(), 502);
    assert_eq!(refused.values("cache-control"), ["no-store"]);
    assert_eq!(
        refused.values("content-type"),
        ["text/plain; charset=utf-8"]
    );
    assert_eq!(refused.values("x-own"), ["one"]);
}

#[tokio::test]
async fn a_request_without_a_route_is_told_nothing_of_one() {
    let yaml = format!(
        "defaults: {{ headers: {{ answer: {RULES} }} }}\n\
         routes: {{ a: {{ match: {{ path: /a }}, respond: {{ status: 200 }} }} }}\n"
    );
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(gateway.address(), get("/")).await;
    assert_eq!(
        (answer.status(), answer.value("x-frame-options")),
        (404, None)
    );
}

/// The cookie is no word of the backend, and whether caches may keep it hangs on what they are told in the end.
#[tokio::test]
async fn the_sticky_cookie_comes_after_the_rules() {
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let cookies = |answer: &Answer| -> Vec<String> {
        let set = answer.values("set-cookie").into_iter();
        set.map(|cookie| cookie.split('=').next().unwrap_or_default().to_owned())
            .collect()
    };
    let of_the_backend = ok("Set-Cookie: app=1\r\n");
    let public = ok("Cache-Control: public\r\n");
    for (rules, answer, expected) in [
        ("{ remove: [Set-Cookie] }", &of_the_backend, &["wsgate"][..]),
        (
            "{ set: { Set-Cookie: own=1 } }",
            &of_the_backend,
            &["own", "wsgate"],
        ),
        (
            "{ set: { Cache-Control: public } }",
            &of_the_backend,
            &["app"],
        ),
        ("{ remove: [Cache-Control] }", &public, &["wsgate"]),
    ] {
        assert_eq!(cookies(&plain(rules, answer).await), expected, "{rules}");
    }
    let backend = Backend::agreeing("Set-Cookie: app=1\r\n").await;
    let route = "headers: { answer: { remove: [Set-Cookie] } }";
    let gateway = Gateway::start(&configuration(route, "sticky: {},", &backend)).await;
    let opened = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(
        (opened.status(), cookies(&opened)),
        (101, vec!["wsgate".to_owned()])
    );
}

/// `http.cors` of a route goes before what all routes say.
#[tokio::test]
async fn permissions_for_scripts_come_after_the_rules() {
    let backend = Backend::echo().await;
    let yaml = format!(
        "defaults: {{ headers: {{ answer: {{ set: {{ Access-Control-Allow-Origin: \"*\", Vary: Accept }} }} }} }}\n{}",
        configuration("http: { max_body: 1B, cors: {} }", "", &backend)
            .replace("origins: any", "origins: [\"https://app.test\"]")
    );
    let gateway = Gateway::start(&yaml).await;
    let asked = |origin: &str, more: &str, body: &str| {
        let fields = format!("Host: a\r\nOrigin: {origin}\r\nConnection: close\r\n{more}");
        format!("OPTIONS / HTTP/1.1\r\n{fields}\r\n{body}")
    };
    let preflight = "Access-Control-Request-Method: GET\r\n";
    for (origin, more, body, status, granted) in [
        (
            "https://app.test",
            preflight,
            "",
            204,
            Some("https://app.test"),
        ),
        ("https://evil.test", preflight, "", 403, None),
        (
            "https://evil.test",
            "Content-Length: 2\r\n",
            "ab",
            413,
            None,
        ),
    ] {
        let answer = ask(gateway.address(), asked(origin, more, body)).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.value("access-control-allow-origin"), granted);
        assert_eq!(answer.values("vary"), ["Accept", "Origin"], "{answer:?}");
    }
}

#[tokio::test]
async fn trailers_are_no_way_around_the_rules() {
    let arrivals = Arrivals::listen().await;
    let yaml = format!(
        "defaults: {{ headers: {{ answer: {{ set: {{ X-Set: one }}, remove: [X-Gone] }} }} }}\n{}",
        arrivals.route()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut client = Wire::connect(gateway.address()).await;
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n")
        .await;
    let (_, mut backend) = arrivals.met().await;
    let head =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Set, X-Gone, X-Sum\r\n\r\n";
    let body = "2\r\nok\r\n0\r\nX-Set: 2\r\nX-Gone: 1\r\nX-Sum: 3\r\n\r\n";
    backend.send(format!("{head}{body}")).await;
    assert_eq!(client.head().await.values("x-set"), ["one"]);
    let sent = b"2\r\nok\r\n0\r\nX-Sum: 3\r\n\r\n";
    assert_eq!(client.take(sent.len()).await, sent);
}

#[tokio::test]
async fn a_reload_changes_what_is_said_and_no_session() {
    let backend = Backend::echo().await;
    let yaml = |value: &str| {
        let route = format!("headers: {{ answer: {{ set: {{ X-Own: {value} }} }} }}");
        configuration(&route, "", &backend)
    };
    let gateway = Gateway::start(&yaml("a")).await;
    let mut socket = open(gateway.address(), "/").await;
    gateway.change(&yaml("b")).await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.values("x-own"), ["b"]);
    echo(&mut socket, "still here").await;
    close(socket).await;
}
