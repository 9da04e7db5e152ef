//! The strategy `hash`: the same key finds the same backend, at every gateway.

use super::{home, name, named, session, yaml};
use crate::harness::{Gateway, Opening, Wire, ask};

#[tokio::test]
async fn the_same_key_finds_the_same_backend_at_every_gateway() {
    let backends = named(4).await;
    let keys = [
        ("{ header: X-Room }", Where::Header),
        ("{ cookie: room }", Where::Cookie),
        ("{ query: room }", Where::Query),
        ("path", Where::Path),
        ("{ path_segment: 2 }", Where::Path),
    ];
    for (key, place) in keys {
        let yaml = yaml(
            &format!("strategy: hash, hash: {{ key: {key} }},"),
            &backends,
            "",
        );
        let gateways = [Gateway::start(&yaml).await, Gateway::start(&yaml).await];
        let mut homes = Vec::new();
        for room in 0..24 {
            let opening = place.opening(&format!("room-{room}"));
            let first = home(&gateways[0], &opening).await;
            assert_eq!(first, home(&gateways[1], &opening).await, "{key} {room}");
            homes.push(first);
        }
        homes.sort();
        homes.dedup();
        assert_eq!(homes.len(), 4, "{key}: every backend has some rooms");
    }
}

#[derive(Clone, Copy)]
enum Where {
    Header,
    Cookie,
    Query,
    Path,
}

impl Where {
    fn opening(self, room: &str) -> Opening {
        match self {
            Self::Header => Opening::to("/").with("X-Room", room),
            Self::Cookie => Opening::to("/").with("Cookie", &format!("a=b; room={room}")),
            Self::Query => Opening::to(&format!("/?a=b&room={room}")),
            Self::Path => Opening::to(&format!("/rooms/{room}?random={}", fastrand::u64(..))),
        }
    }
}

/// Without the key, and with `client`, it is the address that counts.
#[tokio::test]
async fn a_request_without_the_key_is_hashed_by_its_address() {
    let backends = named(4).await;
    for key in ["client", "{ header: X-Room }"] {
        let keys = format!("strategy: hash, hash: {{ key: {key} }},");
        let gateway = Gateway::start(&yaml(&keys, &backends, "")).await;
        let mut homes = Vec::new();
        for client in 2..26 {
            let address = format!("127.0.0.{client}");
            let first = home_of(&gateway, &address).await;
            assert_eq!(home_of(&gateway, &address).await, first, "{key} {address}");
            homes.push(first);
        }
        homes.sort();
        homes.dedup();
        assert_eq!(homes.len(), 4, "{key}: every backend has some clients");
    }
}

/// The backend of a client with this address.
async fn home_of(gateway: &Gateway, address: &str) -> String {
    let mut wire = Wire::connect_from(address, gateway.address()).await;
    wire.send(Opening::to("/").text()).await;
    name(&wire.answer().await).to_owned()
}

/// In front of the gateway, a proxy that it trusts says who the client is.
#[tokio::test]
async fn behind_a_proxy_it_is_the_client_that_counts() {
    let backends = named(4).await;
    let yaml = yaml("strategy: hash,", &backends, "");
    for (keys, is_believed) in [("", false), (", trusted_proxies: [127.0.0.1]", true)] {
        let listener = format!("listeners: {{ main: {{ address: \"127.0.0.1:0\"{keys} }} }}\n");
        let gateway = Gateway::start(&format!("{listener}{yaml}")).await;
        let mut homes = Vec::new();
        for client in 0..24 {
            let opening = Opening::to("/").with("X-Forwarded-For", &format!("192.0.2.{client}"));
            homes.push(home(&gateway, &opening).await);
        }
        homes.sort();
        homes.dedup();
        assert_eq!(homes.len(), if is_believed { 4 } else { 1 }, "{keys}");
    }
}

/// The same by the PROXY header of a connection.
#[tokio::test]
async fn a_proxy_header_says_whose_backend_it_is() {
    let backends = named(4).await;
    let listener = "listeners: { main: { address: \"127.0.0.1:0\", proxy_protocol: require, \
                    trusted_proxies: [127.0.0.1] } }\n";
    let yaml = yaml("strategy: hash,", &backends, "");
    let gateway = Gateway::start(&format!("{listener}{yaml}")).await;
    let mut homes = Vec::new();
    for client in 0..24 {
        let header = format!("PROXY TCP4 192.0.2.{client} 127.0.0.1 4711 80\r\n");
        let answer = ask(gateway.address(), header + &Opening::to("/").text()).await;
        homes.push(name(&answer).to_owned());
    }
    homes.sort();
    homes.dedup();
    assert_eq!(homes.len(), 4, "every backend has some clients");
}

/// A backend that goes takes only its own keys with it; when it is back they are back.
#[tokio::test]
async fn other_keys_stay_when_one_backend_goes() {
    let backends = named(4).await;
    let keys = "strategy: hash, hash: { key: { query: room } },";
    let gateway = Gateway::start(&yaml(keys, &backends, "")).await;
    let homes = async || {
        let mut homes = Vec::new();
        for room in 0..40 {
            let target = format!("/?room={room}");
            homes.push(session(gateway.address(), &target, &[]).await.1);
        }
        homes
    };
    let before = homes().await;
    gateway.change(&yaml(keys, &backends[..3], "")).await;
    let during = homes().await;
    let stayed = before.iter().zip(&during).filter(|(old, new)| old == new);
    let others = before.iter().filter(|home| *home != "d").count();
    assert!(stayed.count() >= others - 2, "{before:?} {during:?}");
    assert!(!during.contains(&"d".to_owned()));
    gateway.change(&yaml(keys, &backends, "")).await;
    assert_eq!(homes().await, before);
}
