//! The strategy `hash`: the same key finds the same backend, at every gateway.

use super::{home, named, session, yaml};
use crate::harness::{Gateway, Opening};

#[tokio::test]
async fn the_same_key_finds_the_same_backend_at_every_gateway() {
    let backends = named(4).await;
    let keys = [
        ("header: X-Room", Where::Header),
        ("cookie: room", Where::Cookie),
        ("query: room", Where::Query),
    ];
    for (key, place) in keys {
        let yaml = yaml(
            &format!("strategy: hash, hash: {{ key: {{ {key} }} }},"),
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
}

impl Where {
    fn opening(self, room: &str) -> Opening {
        match self {
            Self::Header => Opening::to("/").with("X-Room", room),
            Self::Cookie => Opening::to("/").with("Cookie", &format!("a=b; room={room}")),
            Self::Query => Opening::to(&format!("/?a=b&room={room}")),
        }
    }
}

/// Without the key, and with `client`, it is the address that counts: all clients here have the same.
#[tokio::test]
async fn a_request_without_the_key_is_hashed_by_its_address() {
    let backends = named(4).await;
    for key in ["client", "{ header: X-Room }"] {
        let keys = format!("strategy: hash, hash: {{ key: {key} }},");
        let gateway = Gateway::start(&yaml(&keys, &backends, "")).await;
        let first = home(&gateway, &Opening::to("/")).await;
        for _ in 0..5 {
            assert_eq!(home(&gateway, &Opening::to("/")).await, first, "{key}");
        }
    }
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
