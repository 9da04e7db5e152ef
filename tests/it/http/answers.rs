//! What the gateway answers by itself: redirects, cross-origin permissions, refusals in words.

use super::{Stage, get};
use crate::harness::{Answer, Gateway, Opening, Wire, ask};

async fn redirected(redirect: &str, request: &str) -> Answer {
    let yaml = format!("routes: {{ old: {{ redirect: {redirect} }} }}\n");
    let gateway = Gateway::start(&yaml).await;
    ask(gateway.address(), request).await
}

#[tokio::test]
async fn redirects_name_another_place() {
    let https = "{ to: \"https://{host}{path}{query}\" }";
    let request = "GET /a%20b?c=d HTTP/1.1\r\nHost: a.test:8080\r\n\r\n";
    let answer = redirected(https, request).await;
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.values("location"), ["https://a.test/a%20b?c=d"]);
    let answer = redirected("{ to: \"/new\", status: 302 }", &get("/old?x")).await;
    assert_eq!(
        (answer.status(), answer.value("location")),
        (302, Some("/new"))
    );
    let answer = redirected(https, &Opening::to("/ws").text()).await;
    assert_eq!(answer.values("location"), ["https://gateway.test/ws"]);
    let no_host = "GET /a HTTP/1.0\r\n\r\n";
    assert_eq!(redirected(https, no_host).await.status(), 400);
    let elsewhere = "{ to: \"https://b.test{path}\" }";
    let answer = redirected(elsewhere, no_host).await;
    assert_eq!(answer.values("location"), ["https://b.test/a"]);
}

const CORS: &str = ", origins: [\"https://app.test\"], http: { cors: { methods: [GET, PUT], \
                    headers: [X-Own], expose: [X-Sum], credentials: true, max_age: 59500ms } }";

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
    )
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_backend() {
    let stage = Stage::set_with(CORS).await;
    let answer = ask(stage.gateway.address(), preflight("https://app.test")).await;
    assert_eq!(answer.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.test"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-own"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.values(name), [value], "{name}");
    }
    let answer = ask(stage.gateway.address(), preflight("https://evil.test")).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.value("access-control-allow-origin"), None);
}

#[tokio::test]
async fn what_a_backend_says_of_other_origins_is_replaced() {
    let stage = Stage::set_with(CORS).await;
    for (origin, granted) in [
        ("https://app.test", Some("https://app.test")),
        ("https://evil.test", None),
    ] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n");
        let (mut client, _, mut backend) = stage.ask(&request).await;
        let answer = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: X\r\n\
                      Vary: Accept\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        backend.send(answer).await;
        let answer = client.answer().await;
        assert_eq!(answer.value("access-control-allow-origin"), granted);
        assert_eq!(answer.value("access-control-allow-methods"), None);
        let exposed = granted.map(|_| "x-sum");
        assert_eq!(answer.value("access-control-expose-headers"), exposed);
        assert_eq!(answer.values("vary"), ["Accept", "Origin"]);
    }
}

#[tokio::test]
async fn a_page_may_read_refusals_as_it_may_read_answers() {
    let keys = CORS.replace("cors:", "max_body: 3B, cors:");
    let stage = Stage::set_with(&keys).await;
    for (origin, granted) in [
        ("https://app.test", Some("https://app.test")),
        ("https://evil.test", None),
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nContent-Length: 4\r\n\r\nabcd"
        );
        let answer = ask(stage.gateway.address(), request).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.value("access-control-allow-origin"), granted);
        assert_eq!(answer.values("vary"), ["Origin"]);
    }
}

#[tokio::test]
async fn any_origin_is_told_so_in_one_word() {
    let keys = ", origins: any, http: { cors: {} }";
    let stage = Stage::set_with(keys).await;
    let answer = ask(stage.gateway.address(), preflight("https://page.test")).await;
    assert_eq!(answer.values("access-control-allow-origin"), ["*"]);
    assert_eq!(
        answer.values("access-control-allow-methods"),
        ["GET, HEAD, POST"]
    );
    assert_eq!(answer.value("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn refusals_speak_json_to_those_who_ask_for_it() {
    let yaml = "routes: { a: { match: { path: /a }, respond: { status: 200 } } }\n";
    let gateway = Gateway::start(yaml).await;
    for (accept, is_json) in [
        ("application/json", true),
        ("application/problem+json, */*", true),
        ("*/*", false),
        ("text/html, application/json", false),
        ("application/json;q=0.9, text/plain", true),
    ] {
        let mut wire = Wire::connect(gateway.address()).await;
        wire.send(Opening::to("/").with("Accept", accept).text())
            .await;
        let answer = wire.answer().await;
        assert_eq!(answer.status(), 404);
        if !is_json {
            assert_eq!(
                answer.body, "Nothing is served at this host and path.\n",
                "{accept}"
            );
            continue;
        }
        assert_eq!(answer.values("content-type"), ["application/json"]);
        let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        let message = "Nothing is served at this host and path.";
        let expected =
            serde_json::json!({ "error": "no_route", "status": 404, "message": message });
        assert_eq!(body, expected, "{accept}");
    }
}
