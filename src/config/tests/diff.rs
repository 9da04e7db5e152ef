//! What a diff says about a change.

use super::{SOUND, sound};
fn changes(old: &str, new: &str) -> Vec<String> {
    sound(new).changes_since(&sound(old))
}

#[test]
fn the_same_file_again_changes_nothing() {
    let tls = "    tls: { certificates: [{ certificate: a, key: b }] }\nroutes:\n";
    for text in [SOUND, &SOUND.replacen("routes:\n", tls, 1)] {
        assert_eq!(changes(text, &format!("# a remark\n{text}")), [""; 0]);
    }
}

#[test]
fn what_came_and_went_has_a_name() {
    let new = SOUND
        .replacen("  public:", "  outside:", 1)
        .replacen("origins: [\"https://app.example.com\"]", "origins: any", 1)
        .replacen("pools:\n", "pools:\n  spare: { backends: [ws://c] }\n", 1);
    assert_eq!(
        changes(
            SOUND,
            &format!("{new}log: {{ level: debug }}\ndrain: {{ window: 1s }}\n")
        ),
        [
            "changed log",
            "changed drain",
            "added listener outside",
            "removed listener public",
            "changed route chat",
            "added pool spare",
        ]
    );
}

/// The reload itself says that they wait.
#[test]
fn what_waits_for_a_restart_is_no_change() {
    let waiting = "admin: { address: 127.0.0.1:9902 }\nruntime: { workers: 1, io_uring: false }\n";
    let with = |log: &str| format!("{SOUND}{waiting}log: {{ {log} }}\n");
    assert_eq!(changes(SOUND, &with("format: text")), [""; 0]);
    for log in ["format: text, level: debug", "access: { open: false }"] {
        assert_eq!(changes(SOUND, &with(log)), ["changed log"], "{log}");
    }
}

#[test]
fn a_changed_pool_tells_its_backends() {
    let pool = |keys: &str| SOUND.replacen("backends: [\"ws://127.0.0.1:9001\"]", keys, 1);
    let old = pool("backends: [{ name: a, url: ws://a }, { name: b, url: ws://b }]");
    let new = pool("backends: [{ name: a, url: ws://a, weight: 2 }, { name: c, url: ws://c }]");
    assert_eq!(
        changes(&old, &new),
        ["changed pool chat: added backend c, removed backend b, changed backend a"]
    );
    let new = pool("backends: [{ name: a, url: ws://a }, { name: c, url: ws://b }]");
    assert_eq!(
        changes(&old, &new),
        ["changed pool chat: renamed backend b to c"]
    );
    let new = pool("backends: [{ name: a, url: ws://a }, { name: c, url: ws://b, weight: 2 }]");
    assert_eq!(
        changes(&old, &new),
        ["changed pool chat: renamed backend b to c, changed backend c"]
    );
    let new = pool("backends: [{ name: a, url: ws://c }, { name: b, url: ws://b }]");
    assert_eq!(
        changes(&old, &new),
        ["changed pool chat: added backend a, removed backend a"]
    );
    let new = pool("discovery: { dns: chat, port: 80 }");
    assert_eq!(changes(&old, &new), ["changed pool chat"]);
    assert_eq!(
        changes(
            SOUND,
            &SOUND.replacen("    backends", "    attempts: 1\n    backends", 1)
        ),
        ["changed pool chat"]
    );
}

#[test]
fn a_listener_that_moves_tells_where_it_is() {
    let new = SOUND.replacen("127.0.0.1:8080", "127.0.0.1:8081", 1);
    let told = ["changed listener public: now at 127.0.0.1:8081"];
    assert_eq!(changes(SOUND, &new), told);
    let new = SOUND.replacen("8080\n", "8080\n    limits: { http2_streams: 5 }\n", 1);
    assert_eq!(changes(SOUND, &new), ["changed listener public"]);
}

#[test]
fn what_answers_say_is_part_of_a_route() {
    let rule = "    headers: { answer: { remove: [Server] } }\n    pool:";
    let new = SOUND.replacen("    pool:", rule, 1);
    assert_eq!(changes(SOUND, &new), ["changed route chat"]);
}
