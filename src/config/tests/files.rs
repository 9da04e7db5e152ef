//! The files of `config/`, as an operator finds them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{Config, Written, json_schema};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn load(path: &Path) -> Config {
    let environment = |name: &str| match name {
        "LISTEN_PORT" => Some("8080".into()),
        "ORIGIN" => Some("https://app.example.com".into()),
        "BACKEND_HOST" => Some("chat.internal".into()),
        "BACKEND_WEIGHT" => Some("2".into()),
        "WSGATE_STICKY_SECRET" => Some("0".repeat(32).into()),
        _ => None,
    };
    let written = Written::load(path, &environment);
    written
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config
}

#[test]
fn the_small_file_is_sound() {
    let config = load(&directory().join("wsgate.yaml"));
    assert_eq!(config.pools["chat"].backends.len(), 2);
}

#[test]
fn every_example_is_sound() {
    let examples = fs::read_dir(directory().join("examples")).expect("config/examples");
    let loaded: Vec<Config> = examples
        .map(|entry| load(&entry.expect("entry").path()))
        .collect();
    assert!(loaded.len() >= 5);
}

/// A file of `certs` is made by `certs/make-local`, or by a command that the example itself shows.
#[test]
fn every_example_says_how_its_certificates_are_made() {
    let examples = fs::read_dir(directory().join("examples")).expect("config/examples");
    for example in examples {
        let path = example.expect("entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let (head, keys) = text.split_once("\n\n").expect("a head");
        let files = keys.split("../../certs/").skip(1);
        let names = files.filter_map(|rest| rest.split([' ', '\n', ',', ']']).next());
        for name in names.filter(|name| !name.starts_with("local.")) {
            let is_made = head.contains(&format!("out {name}"));
            assert!(is_made, "{name} in {}", path.display());
        }
    }
}

#[test]
fn the_reference_states_the_defaults() {
    let reference = load(&directory().join("reference.yaml"));
    // What has no default, and the maps of which null is the default.
    let text = "
        listeners:
          public:
            address: '[::]:8443'
            tls: { certificates: [{ certificate: ../certs/local.crt, key: ../certs/local.key }] }
        routes:
          chat:
            match: { hosts: [chat.example.com, '*.chat.example.com'], path: /chat }
            origins: [https://app.example.com, 'https://*.example.com']
            http: { cors: {} }
            pool: chat
          closed: { match: { path: /closed }, respond: { status: 403 } }
          old: { match: { path: /old }, redirect: { to: 'https://{host}/new{query}' } }
        pools:
          chat:
            sticky: {}
            backends: [{ name: a, url: ws://127.0.0.1:9001 }, ws://127.0.0.1:9002]
            health: { active: { host: chat.example.com, headers: { Sec-WebSocket-Protocol: chat } } }
            rebalance: {}
          found: { discovery: { dns: chat.internal, port: 8080 } }
    ";
    let bare = Config::parse(text, "bare.yaml", &directory(), &|_| None).expect("sound");
    assert_eq!(reference.changes_since(&bare), [""; 0]);
    assert_eq!(reference, bare);
}

/// Every key of the schema is in the reference and in the documentation.
#[test]
fn the_reference_and_the_documentation_name_every_key() {
    let reference = fs::read_to_string(directory().join("reference.yaml")).expect("reference");
    let documentation = directory().join("../docs/configuration.md");
    let documentation = fs::read_to_string(documentation).expect("documentation");
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    let definitions = schema["$defs"].as_object().expect("definitions").values();
    for definition in definitions.chain([&schema]) {
        for key in definition["properties"]
            .as_object()
            .into_iter()
            .flat_map(|keys| keys.keys())
        {
            assert!(
                reference.contains(&format!("{key}:")),
                "`{key}` is not in reference.yaml"
            );
            assert!(
                documentation.contains(key.as_str()),
                "`{key}` is not in configuration.md"
            );
        }
    }
}

#[test]
fn the_schema_lets_variables_stand_where_the_documentation_says() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    for (holder, key) in [("BackendKeys", "weight"), ("Listener", "http2")] {
        let taken = &schema["$defs"][holder]["properties"][key];
        let forms = taken["anyOf"].as_array().expect("several forms");
        let variable = json!({ "type": "string", "pattern": r"\$\{" });
        assert!(forms.contains(&variable), "{key}: {taken}");
    }
}

#[test]
fn the_schema_says_what_values_may_be() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    let takes = |holder: &str, key: &str, form: serde_json::Value| {
        let taken = &schema["$defs"][holder]["properties"][key]["anyOf"];
        let forms = taken.as_array().expect("several forms");
        let wanted = form.as_object().expect("a map");
        let fits = |form: &serde_json::Value| {
            wanted
                .iter()
                .all(|(name, value)| form.get(name) == Some(value))
        };
        forms.iter().any(fits)
    };
    let name = json!({ "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$" });
    assert!(takes("BackendKeys", "name", name));
    let above_zero = json!({ "pattern": "^[0-9]*[1-9][0-9]*(ms|s|m|h)$" });
    assert!(takes("SessionTimeouts", "connect", above_zero.clone()));
    assert!(!takes("Drain", "window", above_zero));
    let share = json!({ "pattern": "^0*(100|[0-9]{1,2})%$" });
    assert!(takes("PassiveHealth", "max_ejected", share));
    let code = |least, most| json!({ "minimum": least, "maximum": most });
    assert!(takes("Drain", "close_code", code(1011, 1014)));
    assert!(!takes("Drain", "close_code", code(1000, 4999)));
    let nothing = json!({ "type": "null" });
    assert!(takes("Listener", "limits", nothing.clone()));
    assert!(takes("Health", "passive", nothing.clone()));
    for (holder, key) in [
        ("Listener", "tls"),
        ("Listener", "allow"),
        ("Listener", "deny"),
        ("Tls", "client_auth"),
    ] {
        assert!(!takes(holder, key, nothing.clone()), "{key}");
    }
    assert!(!takes("Tls", "certificates", nothing.clone()));
    assert!(!takes("BackendKeys", "url", nothing));
    let keys =
        ["header", "cookie", "query", "path_segment"].map(|key| json!({ "required": [key] }));
    assert_eq!(schema["$defs"]["HashKeyPart"]["anyOf"], json!(keys));
}

#[test]
fn the_schema_says_which_keys_must_be_there() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    assert_eq!(schema["required"], json!(["listeners", "routes"]));
    let of = |name: &str| schema["$defs"][name].clone();
    for (holder, keys) in [
        ("Listener", &["address"][..]),
        ("CertificateFiles", &["certificate", "key"]),
        ("BackendKeys", &["url"]),
        ("FixedAnswer", &["status"]),
        ("Redirect", &["to"]),
        ("Tls", &["certificates"]),
    ] {
        assert_eq!(of(holder)["required"], json!(keys), "{holder}");
    }
    assert_eq!(of("SessionTimeouts")["required"], json!([]));
    let alternatives = json!([{ "required": ["pool"] }, { "required": ["respond"] }, { "required": ["redirect"] }]);
    assert_eq!(of("Route")["anyOf"], alternatives);
}
