//! Which route answers: host, path, listener, the most specific first. Every route here answers with its name.

use std::net::SocketAddr;

use crate::backends::Backend;
use crate::harness::{Gateway, Opening, Refusal, Wire, ask, repeatedly, routed};

/// Routes by what they match, each answering with its name.
async fn gateway(routes: &[(&str, &str)]) -> Gateway {
    Gateway::start(&yaml(routes)).await
}

fn yaml(routes: &[(&str, &str)]) -> String {
    let route = |(name, matching): &(&str, &str)| {
        format!(
            "  {name}: {{ match: {{ {matching} }}, respond: {{ status: 200, body: {name} }} }}\n"
        )
    };
    let routes: String = routes.iter().map(route).collect();
    format!("routes:\n{routes}")
}

/// The name of the route that answered; empty where none did.
async fn answered(address: SocketAddr, host: &str, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let answer = ask(address, request).await;
    match answer.status() {
        200 => answer.body,
        404 => String::new(),
        other => format!("{other}"),
    }
}

#[tokio::test]
async fn an_exact_host_goes_before_a_wildcard_before_any() {
    let routes = [
        ("any", ""),
        ("wide", "hosts: [\"*.example.com\"]"),
        ("narrow", "hosts: [\"*.chat.example.com\"]"),
        ("exact", "hosts: [\"chat.example.com\", \"192.0.2.1\"]"),
    ];
    let gateway = gateway(&routes).await;
    for (host, name) in [
        ("chat.example.com", "exact"),
        ("CHAT.Example.Com", "exact"),
        ("chat.example.com:8443", "exact"),
        ("chat.example.com.", "exact"),
        ("192.0.2.1", "exact"),
        ("a.chat.example.com", "narrow"),
        ("a.b.chat.example.com", "narrow"),
        ("other.example.com", "wide"),
        ("example.com", "any"),
        ("xexample.com", "any"),
        ("elsewhere.test", "any"),
    ] {
        assert_eq!(answered(gateway.address(), host, "/").await, name, "{host}");
    }
}

#[tokio::test]
async fn a_prefix_ends_at_the_border_of_a_segment() {
    let gateway = gateway(&[("chat", "path: /chat"), ("deep", "path: /chat/deep")]).await;
    for (path, name) in [
        ("/chat", "chat"),
        ("/chat/", "chat"),
        ("/chat/room", "chat"),
        ("/chat?room=1", "chat"),
        ("/chat/deep", "deep"),
        ("/chat/deep/er", "deep"),
        ("/chat/deeper", "chat"),
        ("/chats", ""),
        ("/Chat", ""),
        ("/", ""),
        ("/a/chat", ""),
    ] {
        assert_eq!(
            answered(gateway.address(), "a.test", path).await,
            name,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_exact_path_takes_itself_alone_and_goes_first() {
    let routes = [
        ("prefix", "path: /chat"),
        ("exact", "path: /chat, exact: true"),
    ];
    let gateway = gateway(&routes).await;
    for (path, name) in [
        ("/chat", "exact"),
        ("/chat?x", "exact"),
        ("/chat/", "prefix"),
        ("/chat/room", "prefix"),
    ] {
        assert_eq!(
            answered(gateway.address(), "a.test", path).await,
            name,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_order_of_the_file_does_not_matter() {
    let mut routes = [
        ("any", ""),
        ("host", "hosts: [\"a.test\"]"),
        ("path", "path: /chat"),
        ("both", "hosts: [\"a.test\"], path: /chat"),
    ];
    for _ in 0..2 {
        let gateway = gateway(&routes).await;
        for (host, path, name) in [
            ("a.test", "/chat", "both"),
            ("a.test", "/other", "host"),
            ("b.test", "/chat", "path"),
            ("b.test", "/other", "any"),
        ] {
            let found = answered(gateway.address(), host, path).await;
            assert_eq!(found, name, "{host}{path}");
        }
        routes.reverse();
    }
}

#[tokio::test]
async fn a_route_may_be_for_some_listeners_only() {
    let listeners = "listeners:\n  main: { address: \"127.0.0.1:0\" }\n  \
         second: { address: \"127.0.0.1:0\" }\n  third: { address: \"127.0.0.1:0\" }\n";
    let routes = yaml(&[
        ("all", ""),
        ("some", "listeners: [second, third], path: /chat"),
        ("every", "path: /only"),
        ("one", "listeners: [main], path: /only"),
    ]);
    let gateway = Gateway::start(&(listeners.to_owned() + &routes)).await;
    for (listener, path, name) in [
        ("main", "/chat", "all"),
        ("second", "/chat", "some"),
        ("third", "/chat", "some"),
        ("main", "/only", "one"),
        ("second", "/only", "every"),
    ] {
        let address = gateway.address_of(listener);
        let found = answered(address, "a.test", path).await;
        assert_eq!(found, name, "{listener} {path}");
    }
}

#[tokio::test]
async fn a_target_in_absolute_form_names_the_host() {
    let gateway = gateway(&[("any", ""), ("a", "hosts: [\"a.test\"]")]).await;
    let found = answered(gateway.address(), "b.test", "http://a.test/chat").await;
    assert_eq!(found, "a");
}

/// What could be read in two ways is refused, or routed by what the backend will see.
#[tokio::test]
async fn a_path_reaches_no_other_route_than_the_backend_sees() {
    let routes = [
        ("chat", "path: /chat"),
        ("admin", "path: /admin"),
        ("exact", "path: /exact, exact: true"),
    ];
    let gateway = gateway(&routes).await;
    for (path, name) in [
        ("/chat/../admin", "400"),
        ("/chat/..%2fadmin", "400"),
        ("/chat/..%2Fadmin", "400"),
        ("/chat/%2e%2e/admin", "400"),
        ("/chat/.%2e/admin", "400"),
        ("/chat/..%5cadmin", "400"),
        ("/chat/..;/admin", "400"),
        ("/chat/%2e%2e%3bx=1/admin", "400"),
        ("/./chat", ""),
        ("//chat", ""),
        ("///chat", ""),
        ("/chat;x", ""),
        ("/%63hat", ""),
        ("/chat%2fadmin", ""),
        ("/exact/", ""),
        ("/chat//admin", "chat"),
        ("/chat/./admin", "chat"),
    ] {
        assert_eq!(
            answered(gateway.address(), "a.test", path).await,
            name,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_target_reaches_the_backend_unchanged() {
    let backend = Backend::echo().await;
    let yaml = routed("match: { path: /chat }, origins: any", &[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let targets = [
        "/chat//a%2Fb;x=1/./%7Euser?q=%20&r=a/../b",
        "/chat?",
        "/chat/",
    ];
    for target in targets {
        let answer = ask(gateway.address(), Opening::to(target).text()).await;
        assert_eq!(answer.status(), 101, "{target}");
    }
    let lines: Vec<String> = backend.heads().into_iter().map(|head| head.line).collect();
    assert_eq!(
        lines,
        targets.map(|target| format!("GET {target} HTTP/1.1"))
    );
}

/// What only looks like the host of a route could be that to the backend (RFC 9112 section 3.2).
#[tokio::test]
async fn a_host_that_is_none_is_refused() {
    let gateway = gateway(&[("any", ""), ("a", "hosts: [\"a.test\"]")]).await;
    for host in [
        "a.test:x",
        "a.test:80:80",
        "user@a.test",
        "a.test/",
        "a.test?x",
        "a%2etest",
        "a.test b.test",
        "http://a.test/",
        "[::1",
    ] {
        let found = answered(gateway.address(), host, "/chat").await;
        assert_eq!(found, "400", "{host}");
    }
    let found = answered(gateway.address(), "b.test", "http://user@a.test/chat").await;
    assert_eq!(found, "400", "a target with user information");
}

#[tokio::test]
async fn a_dot_segment_is_refused_in_words() {
    let backend = Backend::echo().await;
    let yaml = routed("match: { path: /chat }, origins: any", &[&backend]);
    let gateway = Gateway::start(&yaml).await;
    let bad_request = Refusal {
        status: 400,
        result: "bad_request",
        route: "",
    };
    let request = Opening::to("/chat/..%2fadmin");
    gateway.expect_refusal(request, bad_request).await;
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_drained_route_answers_by_itself_no_more() {
    let gateway = gateway(&[("hello", "path: /hello"), ("other", "path: /other")]).await;
    let drained = gateway.admin("POST", "/drain?route=hello").await;
    assert_eq!(drained.status(), 202);
    let status = gateway.status().await;
    let shown = |index: usize| {
        (
            &status["routes"][index]["name"],
            &status["routes"][index]["draining"],
        )
    };
    assert_eq!(shown(0), (&"hello".into(), &true.into()));
    assert_eq!(shown(1), (&"other".into(), &false.into()));
    eventually_answers(&gateway, "/hello", 503).await;
    eventually_answers(&gateway, "/other", 200).await;
}

async fn eventually_answers(gateway: &Gateway, path: &str, status: u16) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answers =
        async || (ask(gateway.address(), &request).await.status() == status).then_some(());
    repeatedly(&format!("{path} answers {status}"), answers).await;
}

#[tokio::test]
async fn a_route_may_answer_by_itself() {
    let gateway = gateway(&[("hello", "path: /hello")]).await;
    let mut wire = Wire::connect(gateway.address()).await;
    for _ in 0..2 {
        wire.send("GET /hello HTTP/1.1\r\nHost: a.test\r\n\r\n")
            .await;
        let answer = wire.answer().await;
        assert_eq!((answer.status(), answer.body.as_str()), (200, "hello"));
    }
    let line = gateway.line("request").await;
    assert_eq!(line["route"], "hello");
    assert_eq!(line["status"], 200);
    assert_eq!(line["result"], "answered");
    let labels = [("route", "hello"), ("code", "200")];
    assert_eq!(gateway.count("wsgate_http_requests_total", &labels), 2.0);
}

#[tokio::test]
async fn sessions_and_pages_of_one_path_may_have_two_pools() {
    let (sockets, pages) = (
        Backend::named("sockets").await,
        Backend::named("pages").await,
    );
    let gateway = Gateway::start(&format!(
        "routes:\n  sockets: {{ protocols: [websocket], origins: any, pool: sockets }}\n  \
         pages: {{ protocols: [http], pool: pages }}\n\
         pools:\n  sockets: {{ backends: [\"{}\"] }}\n  pages: {{ backends: [\"{}\"] }}\n",
        sockets.url(),
        pages.url()
    ))
    .await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(
        (answer.status(), answer.value("x-backend")),
        (101, Some("sockets"))
    );
    let connections = pages.connections();
    let request = "GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";
    let _ = ask(gateway.address(), request.to_owned()).await;
    assert_eq!(pages.connections(), connections + 1);
    assert_eq!(sockets.connections(), 1);
}
