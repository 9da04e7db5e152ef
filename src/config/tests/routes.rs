//! Problems reported for routes: what they accept, what answers, and keys that have no effect there.

use super::{parse, problems, problems_with};

#[test]
fn a_route_has_one_answer() {
    assert_eq!(
        problems_with("    pool: chat\n", ""),
        "wsgate.yaml:5:3: routes.chat: needs one of `pool`, `respond` and \
         `redirect`"
    );
    assert_eq!(
        problems_with(
            "    pool: chat\n",
            "    pool: chat\n    respond: { status: 200 }\n"
        ),
        "wsgate.yaml:5:3: routes.chat: has more than one of `pool`, `respond` and `redirect`: \
         only one can answer"
    );
    assert_eq!(
        problems_with("    pool: chat\n", "    respond: { status: 200 }\n"),
        "wsgate.yaml:6:5: routes.chat.origins: has no effect on a route that answers by `respond`"
    );
}

#[test]
fn tokens_are_not_taken_yet() {
    let with = |auth: &str| {
        super::SOUND.replace(
            "    pool: chat\n",
            &format!("    pool: chat\n    auth: {auth}\n"),
        )
    };
    super::sound(&with("null"));
    assert_eq!(
        problems(&with("{ jwt: {} }")),
        "wsgate.yaml:8:5: routes.chat.auth: is not supported yet: let the backend ask for tokens"
    );
}

#[test]
fn some_answers_have_no_body() {
    let keys = "    origins: [\"https://app.example.com\"]\n    pool: chat\n";
    for status in [204, 205, 304] {
        let respond = |body| format!("    respond: {{ status: {status}, body: {body} }}\n");
        assert_eq!(
            problems_with(keys, &respond("gone")),
            format!(
                "wsgate.yaml:6:35: routes.chat.respond.body: an answer with status {status} has \
                 no body"
            )
        );
        super::sound(&super::SOUND.replace(keys, &respond("\"\"")));
    }
}

#[test]
fn origins_are_a_list_a_map_or_any() {
    let with = |origins: &str| problems_with("[\"https://app.example.com\"]", origins);
    let path = "wsgate.yaml:6:5: routes.chat.origins:";
    assert_eq!(
        with("everybody"),
        "wsgate.yaml:6:14: routes.chat.origins: must be `any`, `same`, a list of origins, or a map with `allow`, \
         not the text `everybody`"
    );
    let nobody = format!("{path} allows nobody: name an origin, or write `origins: any`");
    assert_eq!(with("[]"), nobody);
    assert_eq!(with("{}"), nobody);
    assert_eq!(
        with("[\"https://app.example.com/\"]"),
        "wsgate.yaml:6:15: routes.chat.origins[0]: `https://app.example.com/`: an origin ends \
         after host and port, without a slash or a path; did you mean `https://app.example.com`?"
    );
    assert_eq!(
        with("{ allow: [app.example.com], missing: maybe }"),
        "wsgate.yaml:6:24: routes.chat.origins.allow[0]: `app.example.com`: an origin begins with \
         its scheme, such as `https://`; did you mean `https://app.example.com`?\n\
         wsgate.yaml:6:51: routes.chat.origins.missing: must be `deny` or `allow`, not `maybe`"
    );
    assert_eq!(
        with("[\"*\"]"),
        "wsgate.yaml:6:15: routes.chat.origins[0]: every origin is allowed by `origins: any`"
    );
}

#[test]
fn what_routes_inherit_of_origins_is_told_once() {
    let with = |defaults: &str, route: &str| {
        let defaults = format!("defaults: {{ origins: {defaults} }}\nroutes:\n");
        let text = super::SOUND.replacen("routes:\n", &defaults, 1);
        let own = "    origins: [\"https://app.example.com\"]\n";
        super::parse(&text.replacen(own, route, 1)).map_err(|problems| problems.to_string())
    };
    let deny_opaque = "    origins: { opaque: deny }\n";
    let allow = "    origins: { allow: [\"https://app.example.com\"] }\n";

    let told = with("[\"bad origin\"]", deny_opaque).expect_err("a problem");
    assert!(told.contains("defaults.origins[0]"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    let told = with("[]", deny_opaque).expect_err("a problem");
    assert!(told.contains("defaults.origins: allows nobody"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");

    for defaults in ["{ missing: deny }", "{}"] {
        with(defaults, allow).expect("a route that names whom it lets in");
        let told = with(defaults, "").expect_err("nobody is let in");
        assert!(told.contains("routes.chat: a route that takes"), "{told}");
        let told = with(defaults, deny_opaque).expect_err("nobody is let in");
        assert!(
            told.contains("routes.chat.origins: allows nobody"),
            "{told}"
        );
    }
}

#[test]
fn two_routes_share_a_path_only_by_protocols_of_their_own() {
    let routes = |one: &str, other: &str| {
        problems_with(
            "routes:\n",
            &format!(
                "routes:\n  one: {{ match: {{ path: /a }}, origins: any, protocols: {one}, pool: chat }}\n  \
                 other: {{ match: {{ path: /a }}, origins: any, protocols: {other}, pool: chat }}\n"
            ),
        )
    };
    let told = "wsgate.yaml:6:3: routes.other: takes the same requests as routes.one";
    assert_eq!(routes("[websocket, http]", "[http]"), told);
    assert_eq!(routes("[websocket]", "[websocket]"), told);
}

#[test]
fn two_routes_do_not_take_the_same_requests() {
    let told = problems_with(
        "routes:\n",
        "routes:\n  first: { match: { hosts: [A.example.com, b.example.com] }, respond: { status: 200 } }\n  \
         second: { match: { hosts: [c.example.com, a.example.com], listeners: [public] }, respond: { status: 200 } }\n  \
         third: { match: { hosts: [a.example.com], exact: true }, respond: { status: 200 } }\n  \
         fourth: { match: { hosts: [a.example.com] }, respond: { status: 200 } }\n  \
         fifth: { match: { hosts: [a.example.com], listeners: [public] }, respond: { status: 200 } }\n",
    );
    assert_eq!(
        told,
        "wsgate.yaml:8:3: routes.fourth: takes the same requests as routes.first\n\
         wsgate.yaml:9:3: routes.fifth: takes the same requests as routes.second"
    );
}

#[test]
fn a_prefix_ends_on_a_segment_border() {
    let told = problems_with("    pool:", "    match: { path: /chat/ }\n    pool:");
    assert!(
        told.starts_with("wsgate.yaml:7:20: routes.chat.match.path: a prefix ends before"),
        "{told}"
    );
}

#[test]
fn what_may_be_put_before_a_path() {
    let with =
        |prefix: &str| problems_with("    pool:", &format!("    add_prefix: {prefix}\n    pool:"));
    for (prefix, problem) in [
        ("/x/", "ends before the slash of the path: write `/x`"),
        ("/", "adds nothing: leave it out"),
        ("x", "`x` must begin with a slash"),
        ("/x?y", "a path ends before the query"),
        ("/x<y", "no request has `<`, `>` or a backtick in its path"),
        (
            "/x/../y",
            "a path holds no empty segment and no `.` or `..`",
        ),
        (
            "true",
            "must be a path such as `/chat`, not the boolean true",
        ),
    ] {
        let expected = format!("wsgate.yaml:7:17: routes.chat.add_prefix: {problem}");
        assert_eq!(with(prefix), expected);
    }
    let moved = "    redirect: { to: /new }\n    add_prefix: /x\n";
    let told = problems_with("    pool: chat\n", moved);
    let expected = "add_prefix: has no effect on a route that answers by `redirect`";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_path_can_be_read_in_one_way() {
    for path in ["/caf%C3%A9", "/a;b", "/a\\\\b"] {
        let lines = format!("    match: {{ path: \"{path}\" }}\n    pool:");
        let told = problems_with("    pool:", &lines);
        assert!(
            told.starts_with("wsgate.yaml:7:20: routes.chat.match.path: a path with `%`, `;`"),
            "{told}"
        );
    }
}

#[test]
fn what_a_route_says_of_protocols_and_fields() {
    let with = |keys: &str| problems_with("    pool: chat\n", &format!("    pool: chat\n{keys}"));
    let place = "wsgate.yaml:8:";
    for (keys, problem) in [
        (
            "    protocols: []\n",
            "16: routes.chat.protocols: must name `websocket`, `http`, or both",
        ),
        (
            "    protocols: [ws]\n",
            "17: routes.chat.protocols[0]: must be `websocket` or `http`, not `ws`",
        ),
        (
            "    headers: { set: { Connection: close } }\n",
            "35: routes.chat.headers.set.Connection: `connection` bounds or carries a message: the \
             gateway writes it itself",
        ),
        (
            "    headers: { set: { X: \"a\\r\\nb\" } }\n",
            "26: routes.chat.headers.set.X: the value of a header field is one line of visible ASCII",
        ),
        (
            "    headers: { remove: [Host] }\n",
            "25: routes.chat.headers.remove[0]: Host cannot be removed: see `preserve_host`",
        ),
        (
            "    http: { cors: { methods: [put] } }\n",
            "31: routes.chat.http.cors.methods[0]: `put` is not a method: write it in capitals",
        ),
    ] {
        let told = with(keys);
        let (at, message) = problem.split_once(": ").expect("a place");
        assert!(
            told.starts_with(place) && told.contains(message),
            "{at}: {told}"
        );
    }
}

#[test]
fn keys_of_what_a_route_does_not_take() {
    assert_eq!(
        problems_with(
            "    pool: chat\n",
            "    pool: chat\n    protocols: [websocket]\n    http: { max_body: 1MiB }\n"
        ),
        "wsgate.yaml:9:5: routes.chat.http: has no effect on a route without `http` in `protocols`"
    );
    let http_only = problems_with(
        "    pool: chat\n",
        "    pool: chat\n    protocols: [http]\n    timeouts: { connect: 1s, close: 1s }\n",
    );
    for (key, is_refused) in [("origins", true), ("close", true), ("connect", false)] {
        let message = format!("{key}: has no effect on a route without `websocket` in `protocols`");
        assert_eq!(http_only.contains(&message), is_refused, "{http_only}");
    }
    let both = problems_with(
        "    pool: chat\n",
        "    pool: chat\n    redirect: { to: /new }\n",
    );
    assert!(both.contains("only one can answer"), "{both}");
}

#[test]
fn cookies_for_every_page_in_the_world() {
    let any = "    origins: any\n    http: { cors: { credentials: true } }\n";
    let told = problems_with("    origins: [\"https://app.example.com\"]\n", any);
    assert!(told.contains("name the `origins`"), "{told}");
    let opaque = "    origins: { allow: [\"https://app.example.com\"], opaque: allow }\n    \
                  http: { cors: { credentials: true } }\n";
    let told = problems_with("    origins: [\"https://app.example.com\"]\n", opaque);
    assert!(told.contains("without `opaque: allow`"), "{told}");
}

#[test]
fn a_star_is_a_name_beside_credentials() {
    for key in ["headers", "expose"] {
        let with = |credentials: bool| {
            let cors = format!("{{ credentials: {credentials}, {key}: [\"*\"] }}");
            let origins = "    origins: [\"https://app.example.com\"]\n";
            super::SOUND.replacen(
                origins,
                &format!("{origins}    http: {{ cors: {cors} }}\n"),
                1,
            )
        };
        let told = problems(&with(true));
        assert!(told.contains("`*` is not a wildcard"), "{told}");
        assert!(parse(&with(false)).is_ok(), "{key}");
    }
}

#[test]
fn where_a_redirect_may_lead() {
    let with = |redirect: &str| problems_with("    pool: chat\n", redirect);
    for (redirect, problem) in [
        ("    redirect: {}\n", "the key `to` is missing"),
        ("    redirect: { to: \"{path}\" }\n", "must begin with"),
        (
            "    redirect: { to: /x, status: 304 }\n",
            "must be 301, 302, 303, 307 or 308",
        ),
        ("    redirect: { to: /x, status: 200 }\n", "from 301 to 308"),
    ] {
        let told = with(redirect);
        assert!(told.contains(problem), "{told}");
    }
}
