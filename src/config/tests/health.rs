//! The health of backends: defaults, and what is wrong with it.

use std::time::Duration;

use super::balancing::expect;
use super::{SOUND, sound};
use crate::config::{ActiveHealth, Check, CheckRequest, Health, OnUnhealthy, PassiveHealth};

const BACKENDS: &str = "    backends: [\"ws://127.0.0.1:9001\"]\n";

fn with(health: &str) -> String {
    format!("{BACKENDS}    health: {{ {health} }}\n")
}

fn health(keys: &str) -> Health {
    let config = sound(&SOUND.replacen(BACKENDS, &with(keys), 1));
    config.pools["chat"].health.clone()
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
        headers: Vec::new(),
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
    let tcp = health("active: { type: tcp, path: / }").active;
    assert_eq!(tcp.map(|active| active.check), Some(Check::Tcp));
    let http = health("active: { type: http, statuses: [204, \"300-399\"] }").active;
    let Some(Check::Http(_, statuses)) = http.map(|active| active.check) else {
        panic!("no check of type http");
    };
    assert_eq!(statuses, [204..=204, 300..=399]);
}

#[test]
fn a_check_has_a_type_and_what_goes_with_it() {
    expect(&[
        (
            "health: { active: { type: ping } }",
            "11:31: health.active.type: must be `websocket`, `http` or `tcp`, not `ping`",
        ),
        (
            "health: { active: { type: http, statuses: [] } }",
            "11:37: health.active.statuses: must name at least one, or no check passes",
        ),
        (
            "health: { active: { type: http, statuses: [700] } }",
            "11:48: health.active.statuses[0]: must be a status such as `200` or a range such as `200-399`, of 100 to 599",
        ),
        (
            "health: { active: { statuses: [200] } }",
            "11:25: health.active.statuses: has no effect on checks of this `type`",
        ),
        (
            "health: { active: { type: tcp, path: /up } }",
            "11:42: health.active.path: has no effect on checks of this `type`",
        ),
        (
            "health: { active: { type: tcp, host: a } }",
            "11:42: health.active.host: has no effect on checks of this `type`",
        ),
        (
            "health: { active: { type: tcp, headers: { X-Key: a } } }",
            "11:36: health.active.headers: has no effect on checks of this `type`",
        ),
        (
            "health: { active: { headers: { Host: a } } }",
            "11:42: health.active.headers.Host: `host` has a key of its own, `host`",
        ),
        (
            "health: { active: { headers: { Upgrade: a } } }",
            "11:45: health.active.headers.Upgrade: `upgrade` bounds or carries a message: the gateway writes it itself",
        ),
    ]);
}

#[test]
fn checks_are_bounded_and_have_a_use() {
    expect(&[
        (
            "health: { active: { path: health } }",
            "11:31: health.active.path: `health` is not a path: a path is visible ASCII, begins with a slash and has no `#`",
        ),
        (
            "health: { active: { host: \"a b\" } }",
            "11:31: health.active.host: `a b` is not a host",
        ),
        (
            "health: { active: { host: bücher.test } }",
            "11:31: health.active.host: `bücher.test` is not a host",
        ),
        (
            "health: { active: { interval: 0s } }",
            "11:35: health.active.interval: must be more than 0",
        ),
        (
            "health: { active: { timeout: 2 } }",
            "11:34: health.active.timeout: a duration has a unit: `2ms`, `2s`, `2m` or `2h`",
        ),
        (
            "health: { active: { healthy_threshold: 0 } }",
            "11:44: health.active.healthy_threshold: must be a whole number from 1 to 100",
        ),
        (
            "health: { active: { unhealthy_threshold: 101 } }",
            "11:46: health.active.unhealthy_threshold: must be a whole number from 1 to 100",
        ),
        (
            "health: { active: { treshold: 1 } }",
            "11:25: health.active.treshold: unknown key",
        ),
        (
            "health: { active: { intervall: 1s } }",
            "11:25: health.active.intervall: unknown key; did you mean `interval`?",
        ),
        (
            "health: { active: none }",
            "11:23: health.active: must be a map, not the text `none`",
        ),
        (
            "health: { on_unhealthy: drain }",
            "11:29: health.on_unhealthy: has no effect without `active`: only checks mark a backend unhealthy",
        ),
        (
            "health: { active: {}, on_unhealthy: stop }",
            "11:41: health.on_unhealthy: must be `keep`, `drain` or `close`, not `stop`",
        ),
        (
            "health: { activ: {} }",
            "11:15: health.activ: unknown key; did you mean `active`?",
        ),
    ]);
}

#[test]
fn ejection_is_bounded() {
    expect(&[
        (
            "health: { passive: { failures: 0 } }",
            "11:36: health.passive.failures: must be a whole number from 1 to 1000",
        ),
        (
            "health: { passive: { failures: many } }",
            "11:36: health.passive.failures: must be a whole number from 1 to 1000, not the text `many`",
        ),
        (
            "health: { passive: { window: 0s } }",
            "11:34: health.passive.window: must be more than 0",
        ),
        (
            "health: { passive: { eject: 30 } }",
            "11:33: health.passive.eject: a duration has a unit: `30ms`, `30s`, `30m` or `30h`",
        ),
        (
            "health: { passive: { max_ejected: 101% } }",
            "11:39: health.passive.max_ejected: must be from `0%` to `100%`",
        ),
        (
            "health: { passive: { max_ejected: 0.5 } }",
            "11:39: health.passive.max_ejected: must be a share such as `10%`, not the number 0.5",
        ),
        (
            "health: { passive: { fails: 5 } }",
            "11:26: health.passive.fails: unknown key",
        ),
        (
            "health: { passive: { max_eject: 5% } }",
            "11:26: health.passive.max_eject: unknown key; did you mean `max_ejected`?",
        ),
        (
            "health: { passive: none }",
            "11:24: health.passive: must be a map, not the text `none`",
        ),
    ]);
}

#[test]
fn checks_that_open_sessions_where_no_route_does_are_warned_of() {
    let told = |protocols: &str, active: &str| {
        let route = format!("    pool: chat\n    protocols: {protocols}\n");
        let text = SOUND.replace("    pool: chat\n", &route);
        let text = match protocols {
            "[http]" => text.replace("    origins: [\"https://app.example.com\"]\n", ""),
            _ => text,
        };
        let pool = with(&format!("active: {active}"));
        let config = sound(&text.replacen(BACKENDS, &pool, 1));
        config.warnings().collect::<Vec<_>>()
    };
    assert_eq!(
        told("[http]", "{ interval: 1s }"),
        [
            "pools.chat.health.active: checks open WebSocket sessions, which no route to the pool takes: backends that \
             have none are down; `type: http` and `type: tcp` do without"
        ]
    );
    for (protocols, quiet) in [
        ("[http]", "{ type: http }"),
        ("[http]", "{ type: tcp }"),
        ("[http]", "null"),
        ("[websocket, http]", "{}"),
    ] {
        assert!(told(protocols, quiet).is_empty(), "{protocols} {quiet}");
    }
}
