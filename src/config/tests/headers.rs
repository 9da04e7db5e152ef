//! What is said of fields: inheritance, and what cannot be said.

use std::sync::Arc;

use super::{SOUND, problems, problems_with, sound};
use crate::config::FieldRules;

/// What the valid text says of fields with these `headers` in `defaults` and in the route.
fn towards_backend(inherited: &str, own: &str) -> FieldRules {
    let text = SOUND.replacen("    pool:", &format!("    headers: {own}\n    pool:"), 1);
    let config = sound(&format!("defaults: {{ headers: {inherited} }}\n{text}"));
    let target = config.routes["chat"].target.pool().expect("a pool");
    target.headers.fields.clone()
}

/// Names and values that are set, and names that are removed.
fn written(rules: &FieldRules) -> (String, String) {
    let set = rules.set.iter().map(|(name, value)| {
        let value = value.to_str().expect("visible ASCII");
        format!("{name}: {value}")
    });
    let removed: Vec<_> = rules.remove.iter().map(|name| name.as_str()).collect();
    (set.collect::<Vec<_>>().join(", "), removed.join(", "))
}

#[test]
fn fields_are_inherited_one_by_one() {
    let inherited = "{ set: { X-A: 1a, X-B: 1b, X-C: 1c }, remove: [X-D] }";
    for (own, set, removed) in [
        ("{}", "x-a: 1a, x-b: 1b, x-c: 1c", "x-d"),
        (
            "{ set: { x-b: 2b, X-D: 2d } }",
            "x-a: 1a, x-c: 1c, x-b: 2b, x-d: 2d",
            "x-d",
        ),
        ("{ remove: [x-b, X-E] }", "x-a: 1a, x-c: 1c", "x-b, x-e"),
        (
            "{ set: { X-B: 2b }, remove: [X-B] }",
            "x-a: 1a, x-c: 1c, x-b: 2b",
            "x-b",
        ),
        ("{ remove: [] }", "x-a: 1a, x-b: 1b, x-c: 1c", ""),
    ] {
        let rules = towards_backend(inherited, own);
        assert_eq!(written(&rules), (set.into(), removed.into()), "{own}");
    }
}

/// Thousands of routes may inherit hundreds of fields.
#[test]
fn routes_share_the_fields_that_they_inherit() {
    let config = sound(
        "listeners: { a: { address: \"127.0.0.1:0\" } }\n\
         defaults: { origins: any, headers: { set: { X-A: 1a }, remove: [X-B] } }\n\
         pools: { p: { backends: [ws://a] } }\n\
         routes:\n  \
           one: { match: { path: /1 }, pool: p }\n  \
           two: { match: { path: /2 }, pool: p, headers: { remove: [X-C] } }\n",
    );
    let rules = |route: &str| {
        let target = config.routes[route].target.pool().expect("a pool");
        target.headers.fields.clone()
    };
    assert!(Arc::ptr_eq(&rules("one").set, &rules("two").set));
    assert_eq!(written(&rules("two")), ("x-a: 1a".into(), "x-c".into()));
}

#[test]
fn every_kind_of_route_may_say_what_its_answers_say() {
    let config = sound(
        "listeners: { a: { address: \"127.0.0.1:0\" } }\n\
         defaults: { origins: any, headers: { answer: { set: { X-A: 1a, X-B: 1b }, remove: [X-C] } } }\n\
         pools: { p: { backends: [ws://a] } }\n\
         routes:\n  \
           bare: { match: { path: /1 }, pool: p }\n  \
           pool: { match: { path: /2 }, pool: p, headers: { answer: { set: { X-B: 2b } } } }\n  \
           fixed: { match: { path: /3 }, respond: { status: 200 }, headers: { answer: { remove: [X-A] } } }\n  \
           moved: { match: { path: /4 }, redirect: { to: /x }, headers: { answer: { set: { X-C: 2c } } } }\n",
    );
    for (route, set, removed) in [
        ("bare", "x-a: 1a, x-b: 1b", "x-c"),
        ("pool", "x-a: 1a, x-b: 2b", "x-c"),
        ("fixed", "x-b: 1b", "x-a"),
        ("moved", "x-a: 1a, x-b: 1b, x-c: 2c", "x-c"),
    ] {
        let answer = written(&config.routes[route].answer);
        assert_eq!(answer, (set.into(), removed.into()), "{route}");
    }
}

#[test]
fn what_of_an_answer_is_not_the_routes_to_say() {
    let with = |key: &str, keys: &str| {
        let keys = format!("    pool: chat\n    headers:\n      answer:\n        {key}\n{keys}");
        problems_with("    pool: chat\n", &keys)
    };
    let carries = "bounds or carries a message: the gateway writes it itself";
    let agreed = "is what the client and the backend agree on: it passes as it is";
    for (field, fault) in [
        ("Connection", carries),
        ("Content-Length", carries),
        ("Keep-Alive", carries),
        ("Trailer", carries),
        ("Transfer-Encoding", carries),
        ("Upgrade", carries),
        ("Sec-WebSocket-Accept", carries),
        ("Sec-WebSocket-Extensions", agreed),
        ("Sec-WebSocket-Protocol", agreed),
        ("Date", "says when an answer was made: it passes as it is"),
    ] {
        let lower = field.to_lowercase();
        let column = "        set: { ".len() + field.len() + ": x".len();
        let key = format!("wsgate.yaml:10:{column}: routes.chat.headers.answer.set");
        assert_eq!(
            with(&format!("set: {{ {field}: x }}"), ""),
            format!("{key}.{field}: `{lower}` {fault}")
        );
        let key = "wsgate.yaml:10:18: routes.chat.headers.answer.remove[0]";
        assert_eq!(
            with(&format!("remove: [{field}]"), ""),
            format!("{key}: `{lower}` {fault}")
        );
    }
    let cors = "    http: { cors: {} }\n";
    assert_eq!(
        with("set: { Access-Control-Max-Age: x, Vary: Accept }", cors),
        "wsgate.yaml:10:40: routes.chat.headers.answer.set.Access-Control-Max-Age: \
         `access-control-max-age` has no effect beside `http.cors`, which says it"
    );
    assert_eq!(
        with("sets: {}", ""),
        "wsgate.yaml:10:9: routes.chat.headers.answer.sets: unknown key; did you mean `set`?"
    );
}

#[test]
fn a_route_without_a_pool_says_nothing_to_backends() {
    let keys = "    redirect: { to: /x }\n    headers: { answer: { set: { X: x } }, set: { X: x }, forwarded: none }\n";
    let bare = SOUND.replacen("    origins: [\"https://app.example.com\"]\n", "", 1);
    assert_eq!(
        problems(&bare.replacen("    pool: chat\n", keys, 1)),
        "wsgate.yaml:7:43: routes.chat.headers.set: has no effect on a route that answers by `redirect`\n\
         wsgate.yaml:7:69: routes.chat.headers.forwarded: has no effect on a route that answers by `redirect`"
    );
}

#[test]
fn variables_of_other_proxies_in_answers_are_warned_of() {
    let keys = "    pool: chat\n    headers: { answer: { set: { X-Request-ID: $request_id } } }\n";
    let config = sound(&SOUND.replacen("    pool: chat\n", keys, 1));
    let told: Vec<_> = config.warnings().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with(
            "routes.chat: clients get the field `x-request-id` as `headers.answer.set`"
        ),
        "{told:?}"
    );
}

/// It is expanded, and may be a secret.
#[test]
fn nothing_is_said_of_a_value_from_the_environment() {
    let keys = "    pool: chat\n    headers: { set: { X-Api-Key: \"${DOLLAR}\" } }\n";
    let config = sound(&SOUND.replacen("    pool: chat\n", keys, 1));
    assert_eq!(config.warnings().next(), None);
    let fields = &config.routes["chat"].target.pool().expect("a pool").headers;
    assert!(!format!("{fields:?}").contains("ecret"), "{fields:?}");
}

#[test]
fn what_cannot_be_the_value_of_a_field() {
    let with = |field: &str| {
        let keys = format!("    pool: chat\n    headers: {{ set: {{ {field} }} }}\n");
        problems(&SOUND.replacen("    pool: chat\n", &keys, 1))
    };
    for (field, message) in [
        ("X: 1.10", "must be text; write it in quotes"),
        (
            "X: \"${LINES}\"",
            "must be one line of visible ASCII; what the environment gives is not",
        ),
        ("Host: \"\"", "must be a host such as `chat.example.com`"),
        ("host: a b", "must be a host such as `chat.example.com`"),
    ] {
        let told = with(field);
        assert!(told.ends_with(message), "{told}");
    }
    let told = with("\":path\": x");
    assert_eq!(told.lines().count(), 1, "{told}");
}
