//! What holds for open sessions: defaults, inheritance key by key, and what is wrong with it.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{SOUND, problems_with, sound};
use crate::config::{OnProtocolError, Ping, WebSocket};

/// What holds for sessions of the valid text's route, with those lines as its `websocket` and as that of `defaults`.
fn websocket(route: &str, defaults: &str) -> WebSocket {
    let text = with(route);
    let config = sound(&format!(
        "{text}defaults: {{ websocket: {{ {defaults} }} }}\n"
    ));
    config.routes["chat"]
        .target
        .pool()
        .expect("a pool")
        .websocket
}

fn with(route: &str) -> String {
    SOUND.replacen(
        "    pool: chat\n",
        &format!("    websocket: {{ {route} }}\n    pool: chat\n"),
        1,
    )
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn what_is_left_out_has_its_default() {
    let expected = WebSocket {
        idle: None,
        ping: Some(Ping {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(20),
            client: true,
            backend: false,
        }),
        max_message_size: Some(16 << 20),
        max_messages_per_second: None,
        max_age: None,
        max_age_jitter: 0.1,
        stall: seconds(30),
        on_protocol_error: OnProtocolError::Pass,
        backend_lost_code: Some(1014),
    };
    assert_eq!(websocket("", ""), expected);
}

#[test]
fn every_key_is_read() {
    let keys = "idle: 1m, ping: { interval: 5s, timeout: 2s, target: both }, max_message_size: 1KiB, \
                max_messages_per_second: 50, max_age: 24h, max_age_jitter: 25%, \
                slow_consumer: { stall: 7s }, on_protocol_error: close, backend_lost_code: 1011";
    let expected = WebSocket {
        idle: seconds(60),
        ping: Some(Ping {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            client: true,
            backend: true,
        }),
        max_message_size: Some(1024),
        max_messages_per_second: NonZeroU32::new(50),
        max_age: seconds(86_400),
        max_age_jitter: 0.25,
        stall: seconds(7),
        on_protocol_error: OnProtocolError::Close,
        backend_lost_code: Some(1011),
    };
    assert_eq!(websocket(keys, ""), expected);
    assert_eq!(websocket("", keys), expected);
}

#[test]
fn a_zero_is_no_limit_with_and_without_a_unit() {
    for (span, size) in [
        ("0", "0"),
        ("0s", "0B"),
        ("0ms", "0MiB"),
        ("\"${ZERO}\"", "0"),
    ] {
        let keys = format!(
            "idle: {span}, max_age: {span}, slow_consumer: {{ stall: {span} }}, \
             max_message_size: {size}, max_messages_per_second: 0, max_age_jitter: 0%"
        );
        let read = websocket(&keys, "idle: 1s, max_age: 1s, max_messages_per_second: 1");
        assert_eq!((read.idle, read.max_age, read.stall), (None, None, None));
        assert_eq!(
            (read.max_message_size, read.max_messages_per_second),
            (None, None)
        );
        assert_eq!(read.max_age_jitter, 0.0);
    }
}

#[test]
fn the_code_of_a_loss_may_be_none() {
    assert_eq!(
        websocket("backend_lost_code: 0", "").backend_lost_code,
        None
    );
    for wrong in ["1006", "1", "70000"] {
        let keys = format!("defaults: {{ websocket: {{ backend_lost_code: {wrong} }} }}\n");
        let told = super::problems_after(&keys);
        let key = "wsgate.yaml:11:45: defaults.websocket.backend_lost_code";
        assert!(
            told.starts_with(&format!("{key}: the code {wrong} is never sent")),
            "{told}"
        );
    }
}

#[test]
fn each_key_is_inherited_alone() {
    let defaults = "idle: 1m, max_age: 1h, ping: { interval: 9s, target: none }, \
                    slow_consumer: { stall: 0 }, on_protocol_error: close";
    let read = websocket(
        "idle: 2m, ping: { target: backend }, slow_consumer: {}",
        defaults,
    );
    assert_eq!(
        (read.idle, read.max_age, read.stall),
        (seconds(120), seconds(3600), None)
    );
    assert_eq!(read.on_protocol_error, OnProtocolError::Close);
    let expected = Ping {
        interval: Duration::from_secs(9),
        timeout: Duration::from_secs(20),
        client: false,
        backend: true,
    };
    assert_eq!(read.ping, Some(expected));
    assert_eq!(websocket("idle: 2m", defaults).ping, None);
    assert_eq!(websocket("ping: null", defaults).ping, None);
}

#[test]
fn nobody_gets_pings_where_the_target_is_none() {
    assert_eq!(
        websocket("ping: { target: none, interval: 1s }", "").ping,
        None
    );
}

#[test]
fn a_change_is_a_change_of_the_route() {
    let (old, new) = (sound(SOUND), sound(&with("max_age: 1h")));
    assert_eq!(new.changes_since(&old), ["changed route chat"]);
    assert_eq!(sound(&with("max_age: 0")).changes_since(&old), [""; 0]);
}

#[test]
fn every_wrong_value_is_told() {
    let told = problems_with(
        "    pool: chat\n",
        "    pool: chat\n    websocket:\n      idle: 5\n      ping:\n        interval: 0s\n        \
         timeout: 0ms\n        target: server\n      max_message_size: 16MB\n      \
         max_messages_per_second: -1\n      max_age: [1h]\n      max_age_jitter: 101%\n      \
         slow_consumer: { stal: 1s }\n      on_protocol_error: pas\n",
    );
    let key = "routes.chat.websocket";
    let expected = [
        format!("9:13: {key}.idle: a duration has a unit: `5ms`, `5s`, `5m` or `5h`"),
        format!("11:19: {key}.ping.interval: must be more than 0"),
        format!("12:18: {key}.ping.timeout: must be more than 0"),
        format!(
            "13:17: {key}.ping.target: must be `client`, `backend`, `both` or `none`, not `server`"
        ),
        format!(
            "14:25: {key}.max_message_size: `16MB` is not a size: write `512B`, `64KiB` or `1MiB`"
        ),
        format!("15:32: {key}.max_messages_per_second: must be a whole number from 0 to 1000000"),
        format!("16:7: {key}.max_age: must be a duration such as `5s`, or 0 for none, not a list"),
        format!("17:23: {key}.max_age_jitter: must be from `0%` to `100%`"),
        format!("18:24: {key}.slow_consumer.stal: unknown key; did you mean `stall`?"),
        format!(
            "19:26: {key}.on_protocol_error: must be `pass` or `close`, not `pas`; did you mean \
             `pass`?"
        ),
    ];
    let told: Vec<&str> = told.lines().collect();
    let expected = expected.map(|line| format!("wsgate.yaml:{line}"));
    assert_eq!(told, expected);
}

#[test]
fn a_share_has_its_sign() {
    let with = |share: &str| {
        let line = format!("    pool: chat\n    websocket: {{ max_age_jitter: {share} }}\n");
        problems_with("    pool: chat\n", &line)
    };
    let place = "wsgate.yaml:8:34: routes.chat.websocket.max_age_jitter:";
    assert_eq!(
        with("10"),
        format!("{place} a share is written with its sign: `10%`")
    );
    assert_eq!(
        with("0.5%"),
        format!("{place} `0.5%` is not a share: write a whole number and `%`")
    );
}

#[test]
fn it_means_nothing_where_no_session_opens() {
    let told = problems_with(
        "    origins: [\"https://app.example.com\"]\n    pool: chat\n",
        "    websocket: { idle: 1s }\n    respond: { status: 200 }\n",
    );
    assert_eq!(
        told,
        "wsgate.yaml:6:5: routes.chat.websocket: has no effect on a route that answers by `respond`"
    );
}
