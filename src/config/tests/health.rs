//! The health of backends: defaults, and what is wrong with it.

use std::time::Duration;

use super::{SOUND, problems_with, sound};
use crate::config::{
    ActiveHealth, Check, CheckRequest, Health, OnUnhealthy, PassiveHealth, Rebalance,
};

const BACKENDS: &str = "    backends: [\"ws://127.0.0.1:9001\"]\n";

fn with(health: &str) -> String {
    format!("{BACKENDS}    health: {{ {health} }}\n")
}

fn health(keys: &str) -> Health {
    let config = sound(&SOUND.replacen(BACKENDS, &with(keys), 1));
    config.pools["chat"].health.clone()
}

fn problems(keys: &str) -> String {
    problems_with(BACKENDS, &with(keys))
}

#[test]
fn what_is_left_out_has_its_default() {
    let passive = PassiveHealth {
        failures: 5,
        window: Duration::from_secs(30),
        eject: Duration::from_secs(30),
        max_ejected: 0.5,
    };
    let expected = Health {
        active: None,
        passive: Some(passive),
        on_unhealthy: OnUnhealthy::Keep,
    };
    assert_eq!(sound(SOUND).pools["chat"].health, expected);
    assert_eq!(health("active: null, passive: {}"), expected);
    let request = CheckRequest {
        path: "/".to_owned(),
        host: None,
    };
    let active = ActiveHealth {
        check: Check::WebSocket(request.clone()),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    };
    assert_eq!(health("active: {}").active, Some(active));
    let http = health("active: { type: http }").active.expect("checks");
    assert_eq!(http.check, Check::Http(request, vec![200..=399]));
}

/// Elsewhere null is as good as nothing; here it is the way to turn something off.
#[test]
fn passive_is_turned_off_by_null() {
    assert_eq!(health("passive: null").passive, None);
    assert_eq!(health("passive: ~").passive, None);
}

#[test]
fn statuses_are_numbers_and_ranges() {
    let http = health("active: { type: http, statuses: [204, \"300-399\"] }").active;
    let Some(Check::Http(_, statuses)) = http.map(|active| active.check) else {
        panic!("no check of type http");
    };
    assert_eq!(statuses, [204..=204, 300..=399]);
}

#[test]
fn what_is_wrong_or_has_no_effect_is_told() {
    for (keys, problem) in [
        (
            "active: { type: ping }",
            "must be `websocket`, `http` or `tcp`, not `ping`",
        ),
        (
            "active: { type: tcp, path: /health }",
            "has no effect on checks of this `type`",
        ),
        (
            "active: { type: tcp, host: a }",
            "has no effect on checks of this `type`",
        ),
        (
            "active: { statuses: [200] }",
            "has no effect on checks of this `type`",
        ),
        (
            "active: { type: http, statuses: [] }",
            "must name at least one",
        ),
        (
            "active: { type: http, statuses: [700] }",
            "must be a status such as `200`",
        ),
        ("active: { path: health }", "is no path"),
        ("active: { host: \"a b\" }", "is no host"),
        ("active: { interval: 0s }", "must be more than 0"),
        ("active: { timeout: 2 }", "a duration has a unit"),
        (
            "active: { healthy_threshold: 0 }",
            "must be a whole number from 1 to 100",
        ),
        ("active: { treshold: 1 }", "unknown key"),
        (
            "passive: { max_ejected: 101% }",
            "must be from `0%` to `100%`",
        ),
        (
            "passive: { failures: 0 }",
            "must be a whole number from 1 to 1000",
        ),
        ("passive: none", "must be a map"),
        ("on_unhealthy: drain", "has no effect without `active`"),
        ("on_unhealthy: stop", "must be `keep`, `drain` or `close`"),
    ] {
        let told = problems(keys);
        assert!(told.contains(problem), "{keys}: {told}");
    }
}

#[test]
fn rebalancing_is_off_unless_it_is_asked_for() {
    let rebalance = |keys: &str| {
        let written = format!("{BACKENDS}    rebalance: {keys}\n");
        sound(&SOUND.replacen(BACKENDS, &written, 1)).pools["chat"].rebalance
    };
    assert_eq!(sound(SOUND).pools["chat"].rebalance, None);
    assert_eq!(rebalance("null"), None);
    let default = Rebalance {
        threshold: 1.2,
        rate: 0.01,
    };
    assert_eq!(rebalance("{}"), Some(default));
    for (keys, problem) in [
        ("{ threshold: 100% }", "must be from `101%` to `1000%`"),
        ("{ rate: 1% }", "must be a rate from `0.01%/s` to `100%/s`"),
        ("{ rate: 1 }", "a rate is written with its unit"),
    ] {
        let written = format!("{BACKENDS}    rebalance: {keys}\n");
        let told = problems_with(BACKENDS, &written);
        assert!(told.contains(problem), "{keys}: {told}");
    }
}
