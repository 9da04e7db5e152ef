//! The room as a whole: texts in, configurations or problems out.

mod balancing;
mod diff;
mod files;
mod headers;
mod health;
mod listeners;
mod pools;
mod problems;
mod process;
mod properties;
mod requests;
mod resolved;
mod routes;
mod transport;
mod websocket;
mod written;
mod yaml;

use std::path::Path;

use super::{Config, Problems};

/// A file that is valid, for tests that break one thing of it.
const SOUND: &str = "\
listeners:
  public:
    address: 127.0.0.1:8080
routes:
  chat:
    origins: [\"https://app.example.com\"]
    pool: chat
pools:
  chat:
    backends: [\"ws://127.0.0.1:9001\"]
";

/// Reads a text as `wsgate.yaml` in `/etc/wsgate`, with a few variables in the environment.
fn parse(text: &str) -> Result<Config, Problems> {
    let environment = |name: &str| match name {
        "PORT" => Some("8443".into()),
        "WEIGHT" => Some("7".into()),
        "ZERO" => Some("0".into()),
        "FLAG" => Some("false".into()),
        "SECRET" => Some("hunter2".into()),
        "DOLLAR" => Some("$ecret".into()),
        "LINES" => Some("one\n".into()),
        _ => None,
    };
    Config::parse(text, "wsgate.yaml", Path::new("/etc/wsgate"), &environment)
}

fn sound(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// The problems of a text, one a line.
fn problems(text: &str) -> String {
    match parse(text) {
        Ok(config) => panic!("no problem was found: {config:?}"),
        Err(problems) => problems.to_string(),
    }
}

/// The problems of the valid text with one part of it replaced.
fn problems_with(part: &str, by: &str) -> String {
    assert!(SOUND.contains(part), "{part}");
    problems(&SOUND.replacen(part, by, 1))
}

/// The problems of the valid text with more lines after it.
fn problems_after(lines: &str) -> String {
    problems(&format!("{SOUND}{lines}"))
}
