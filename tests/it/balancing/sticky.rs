//! The sticky cookie: back to the same backend, opaque, the gateway's own business.

use super::{home, name, named, yaml};
use crate::backends::Backend;
use crate::harness::{Answer, Gateway, Identity, Opening, Wire, ask, connect_tls, directory};
use crate::venue::Arrivals;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What Set-Cookie says of the gateway's cookie, if it is set.
pub(super) fn set(answer: &Answer) -> Option<String> {
    let fields = answer.values("set-cookie").into_iter();
    let mut own = fields.filter(|field| field.starts_with("wsgate="));
    own.next().map(str::to_owned)
}

/// The cookie as a browser sends it.
pub(super) fn pair(set: &str) -> &str {
    set.split(';').next().unwrap_or_default()
}

/// An opening handshake with this cookie.
pub(super) fn with(cookie: &str) -> Opening {
    Opening::to("/").with("Cookie", cookie)
}

#[tokio::test]
async fn a_client_comes_back_to_its_backend() {
    let backends = named(3).await;
    let gateway = Gateway::start(&yaml("sticky: {},", &backends, "")).await;
    let first = ask(gateway.address(), Opening::to("/").text()).await;
    let cookie = set(&first).expect("a cookie");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    let address = backends[0].address().to_string();
    assert!(!cookie.contains(&address) && pair(&cookie).len() == "wsgate=".len() + 22);
    for _ in 0..4 {
        let again = ask(gateway.address(), with(pair(&cookie)).text()).await;
        assert_eq!(name(&again), name(&first));
        assert_eq!(set(&again), None, "it has the cookie already");
    }
    let kept = [("pool", "chat"), ("result", "kept")];
    assert_eq!(gateway.count("wsgate_pool_sticky_total", &kept), 4.0);
}

/// The backend sees all other cookies and not this one; the client gets the application's own beside it.
#[tokio::test]
async fn other_cookies_pass_both_ways() {
    let backends = [Backend::agreeing("Set-Cookie: app=1\r\nSet-Cookie: more=2\r\n").await];
    let yaml = yaml("sticky: { ttl: 1h },", &backends, "");
    let gateway = Gateway::start(&yaml).await;
    let first = ask(gateway.address(), with("a=b").text()).await;
    let fields = first.values("set-cookie");
    assert_eq!(fields.len(), 3, "{fields:?}");
    let cookie = set(&first).expect("a cookie");
    assert!(cookie.ends_with("; Max-Age=3600"), "{cookie}");
    let both = format!("a=b; {}; c=\"d\"", pair(&cookie));
    let again = ask(gateway.address(), with(&both).text()).await;
    assert!(
        set(&again).is_some(),
        "its time counts from the last answer"
    );
}

/// All to whom they give it would come to the backend of the first one.
#[tokio::test]
async fn no_cookie_is_set_where_caches_may_keep_the_answer_for_all() {
    for (says, is_set) in [
        ("", true),
        ("Cache-Control: no-cache\r\n", true),
        ("Cache-Control: private, max-age=60\r\n", true),
        (
            "Cache-Control: max-age=0\r\nCache-Control: no-store\r\n",
            true,
        ),
        ("Cache-Control: public, immutable\r\n", false),
        ("Cache-Control: Max-Age=60\r\n", false),
        ("Cache-Control: must-revalidate, s-maxage=60\r\n", false),
    ] {
        let arrivals = Arrivals::listen().await;
        let route = "routes: { chat: { protocols: [http], pool: chat } }\n";
        let pool = format!(
            "pools: {{ chat: {{ sticky: {{}}, backends: [\"{}\"] }} }}\n",
            arrivals.url()
        );
        let gateway = Gateway::start(&format!("{route}{pool}")).await;
        let mut client = Wire::connect(gateway.address()).await;
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let mut backend = arrivals.asked().await;
        let answer = format!("HTTP/1.1 200 OK\r\n{says}Content-Length: 0\r\n\r\n");
        backend.send(answer).await;
        assert_eq!(set(&client.answer().await).is_some(), is_set, "{says}");
    }
}

#[tokio::test]
async fn the_cookie_is_not_shown_to_backends() {
    let backends = named(1).await;
    let gateway = Gateway::start(&yaml("sticky: {},", &backends, "")).await;
    for (sent, seen) in [
        ("wsgate=x", None),
        ("a=b; wsgate=x; c=\"d\"", Some("a=b; c=\"d\"")),
        ("a=b", Some("a=b")),
    ] {
        ask(gateway.address(), with(sent).text()).await;
        let head = backends[0].heads().pop().expect("a head");
        assert_eq!(head.value("cookie"), seen, "{sent}");
    }
}

#[tokio::test]
async fn the_key_survives_a_reload_and_is_shared_by_configuration() {
    let backends = named(4).await;
    for sticky in [
        "sticky: {},".to_owned(),
        format!("sticky: {{ secret: {SECRET} }},"),
    ] {
        let text = yaml(&sticky, &backends, "");
        let gateway = Gateway::start(&text).await;
        let first = ask(gateway.address(), Opening::to("/").text()).await;
        let cookie = set(&first).expect("a cookie");
        gateway
            .change(&text.replace("backends:", "attempts: 2, backends:"))
            .await;
        let again = ask(gateway.address(), with(pair(&cookie)).text()).await;
        assert_eq!(
            (name(&again), set(&again)),
            (name(&first), None),
            "{sticky}"
        );
        let other = Gateway::start(&text).await;
        let elsewhere = ask(other.address(), with(pair(&cookie)).text()).await;
        let is_shared = sticky.contains("secret");
        assert_eq!(set(&elsewhere).is_none(), is_shared, "{sticky}");
    }
}

#[tokio::test]
async fn forged_cookies_are_ignored() {
    let backends = named(2).await;
    let gateway = Gateway::start(&yaml("sticky: {},", &backends, "")).await;
    let forged = [
        "wsgate=",
        "wsgate=a",
        "wsgate=AAAAAAAAAAAAAAAAAAAAAA",
        "wsgate=%00; wsgate",
    ];
    expect_ignored(&gateway, forged.map(str::to_owned)).await;
}

/// Whatever is changed of a token, and wherever, it is nobody's.
#[tokio::test]
async fn tampered_cookies_are_ignored() {
    let backends = named(2).await;
    let gateway = Gateway::start(&yaml("sticky: {},", &backends, "")).await;
    let first = ask(gateway.address(), Opening::to("/").text()).await;
    let cookie = set(&first).expect("a cookie");
    let cookie = pair(&cookie);
    let changed = ("wsgate=".len()..cookie.len()).map(|index| {
        let other = if &cookie[index..=index] == "x" {
            "y"
        } else {
            "x"
        };
        format!("{}{other}{}", &cookie[..index], &cookie[index + 1..])
    });
    let mut tampered: Vec<String> = changed.collect();
    tampered.push(cookie[..cookie.len() - 1].to_owned());
    tampered.push(format!("{cookie}{}", &cookie["wsgate=".len()..]));
    expect_ignored(&gateway, tampered).await;
    assert_eq!(
        name(&ask(gateway.address(), with(cookie).text()).await),
        name(&first)
    );
}

/// Each is answered as if there were no cookie, in turn, and set anew.
async fn expect_ignored(gateway: &Gateway, cookies: impl IntoIterator<Item = String>) {
    let mut last = String::new();
    for cookie in cookies {
        let answer = ask(gateway.address(), with(&cookie).text()).await;
        assert_eq!(answer.status(), 101, "{cookie}");
        assert!(set(&answer).is_some(), "{cookie}");
        assert_ne!(name(&answer), last, "{cookie}");
        name(&answer).clone_into(&mut last);
    }
    let kept = [("pool", "chat"), ("result", "kept")];
    assert_eq!(gateway.count("wsgate_pool_sticky_total", &kept), 0.0);
}

/// What was set over TLS is not to be sent in the clear.
#[tokio::test]
async fn the_cookie_is_secure_where_the_client_spoke_tls() {
    let backends = named(1).await;
    let directory = directory();
    let identity = Identity::make(directory.path(), "site", &["gateway.test"]);
    let listeners = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{identity}] }} }}, \
         behind: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{identity}] }}, \
           trusted_proxies: [127.0.0.1] }}, \
         plain: {{ address: \"127.0.0.1:0\" }} }}\n",
        identity = identity.yaml()
    );
    let yaml = listeners + &yaml("sticky: {},", &backends, "");
    let gateway = Gateway::start_in(directory, &yaml).await;
    // A proxy that the gateway trusts may speak TLS for a client that did not.
    for (listener, is_secure) in [("main", true), ("behind", false)] {
        let address = gateway.address_of(listener);
        let stream = connect_tls(address, "gateway.test", identity.trust()).await;
        let mut wire = Wire::new(stream.expect("the handshake succeeds"));
        let opening = Opening::to("/").with("X-Forwarded-Proto", "http");
        wire.send(opening.text()).await;
        let cookie = set(&wire.answer().await).expect("a cookie");
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{cookie}");
    }
    let plain = ask(gateway.address_of("plain"), Opening::to("/").text()).await;
    let cookie = set(&plain).expect("a cookie");
    assert!(!cookie.contains("Secure"), "{cookie}");
}

/// Browsers take None only with Secure, and many only with Partitioned.
#[tokio::test]
async fn the_cookie_says_which_pages_may_send_it() {
    let backends = named(1).await;
    for (word, attributes) in [
        ("lax", "SameSite=Lax"),
        ("strict", "SameSite=Strict"),
        ("none", "SameSite=None; Partitioned; Secure"),
    ] {
        let keys = format!("sticky: {{ same_site: {word} }},");
        let gateway = Gateway::start(&yaml(&keys, &backends, "")).await;
        let answer = ask(gateway.address(), Opening::to("/").text()).await;
        let cookie = set(&answer).expect("a cookie");
        assert!(
            cookie.ends_with(&format!("; HttpOnly; {attributes}")),
            "{cookie}"
        );
    }
}

/// Where TLS ends in front of the gateway, a proxy that it trusts says so.
#[tokio::test]
async fn the_cookie_is_secure_where_a_trusted_proxy_says_https() {
    let backends = named(1).await;
    let yaml = yaml("sticky: {},", &backends, "");
    for (keys, is_believed) in [("", false), (", trusted_proxies: [127.0.0.1]", true)] {
        let listener = format!("listeners: {{ main: {{ address: \"127.0.0.1:0\"{keys} }} }}\n");
        let gateway = Gateway::start(&format!("{listener}{yaml}")).await;
        let opening = Opening::to("/").with("X-Forwarded-For", "192.0.2.1");
        let opening = opening.with("X-Forwarded-Proto", "https");
        let answer = ask(gateway.address(), opening.text()).await;
        let cookie = set(&answer).expect("a cookie");
        assert_eq!(cookie.ends_with("; Secure"), is_believed, "{cookie}");
    }
}

/// A backend that has died unnoticed is tried, and followed by another one.
#[tokio::test]
async fn a_backend_that_cannot_be_had_is_replaced() {
    let mut backends = named(2).await;
    let text = yaml("sticky: {},", &backends, "");
    let gateway = Gateway::start(&text).await;
    let first = ask(gateway.address(), Opening::to("/").text()).await;
    let cookie = set(&first).expect("a cookie");
    assert_eq!(name(&first), "a");
    backends.remove(0).end().await;
    let moved = ask(gateway.address(), with(pair(&cookie)).text()).await;
    assert_eq!(name(&moved), "b");
    let new = set(&moved).expect("a new cookie");
    assert_ne!(pair(&new), pair(&cookie));
    let opening = with(pair(&new));
    assert_eq!(home(&gateway, &opening).await, "b");
    for result in ["new", "kept", "moved"] {
        let labels = [("pool", "chat"), ("result", result)];
        let count = gateway.count("wsgate_pool_sticky_total", &labels);
        assert_eq!(count, 1.0, "{result}");
    }
}

/// An answer that opens nothing sets it as well.
#[tokio::test]
async fn plain_answers_set_it_too() {
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let backends = [Backend::answering(refusal).await];
    let gateway = Gateway::start(&yaml("sticky: {},", &backends, "")).await;
    let answer = ask(gateway.address(), Opening::to("/").text()).await;
    assert_eq!(answer.status(), 403);
    assert!(set(&answer).is_some());
}
