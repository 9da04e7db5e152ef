//! One word of a few.

use std::borrow::Cow;

use serde_json::{Value, json};
use tracing::Level;

use crate::config::model::{
    Forwarded, LogFormat, OnProtocolError, OnUnhealthy, ProxyHeader, ProxyProtocol, TlsVersion,
};
use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::{Kind, Scalar};

/// What is chosen by a word.
pub(in crate::config) trait Choice: Copy + 'static {
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];
    /// What may stand there instead of a word, in words that follow those.
    const OR_ELSE: &'static str = "";
}

/// One of the words of a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct OneOf<T>(pub(in crate::config) T);

impl<T: Choice> FromScalar for OneOf<T> {
    const WANTED: &'static str = "a word";

    fn wanted() -> Cow<'static, str> {
        let words: Vec<_> = T::WORDS
            .iter()
            .map(|(word, _)| format!("`{word}`"))
            .collect();
        let listed = match words.split_last() {
            Some((last, others)) if !others.is_empty() => {
                format!("{} or {last}", others.join(", "))
            }
            _ => words.concat(),
        };
        (listed + T::OR_ELSE).into()
    }

    fn written() -> Vec<Value> {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        vec![json!({ "enum": words })]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        let found = T::WORDS.iter().find(|(word, _)| *word == scalar.text);
        match (found, scalar.as_text()) {
            (Some((_, value)), Some(_)) => Some(Ok(Self(*value))),
            (Some((word, _)), None) => Some(Err(format!(
                "must stand in quotes, as YAML takes it for a number: \"{word}\""
            )
            .into())),
            (None, _) if scalar.kind == Kind::Null => None,
            (None, _) => {
                let what = format!("must be {}, not", Self::wanted());
                let words = T::WORDS.iter().map(|(word, _)| *word);
                Some(Err(Complaint::unknown(&what, &scalar.text, words)))
            }
        }
    }
}

impl Choice for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("json", Self::Json), ("text", Self::Text)];
}

impl Choice for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}

impl Choice for TlsVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

/// How the order of candidates is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum StrategyWord {
    RoundRobin,
    LeastSessions,
    TwoChoices,
    Hash,
    Random,
}

impl Choice for StrategyWord {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("round_robin", Self::RoundRobin),
        ("least_sessions", Self::LeastSessions),
        ("two_choices", Self::TwoChoices),
        ("hash", Self::Hash),
        ("random", Self::Random),
    ];
}

/// What is hashed where it is named by a word alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum HashWord {
    Client,
}

impl Choice for HashWord {
    const WORDS: &'static [(&'static str, Self)] = &[("client", Self::Client)];
    const OR_ELSE: &'static str =
        ", or a map such as `{ cookie: NAME }`, `{ header: NAME }` or `{ query: NAME }`";
}

impl Choice for ProxyProtocol {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("v1", Self::V1), ("v2", Self::V2)];
}

impl Choice for ProxyHeader {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("accept", Self::Accept),
        ("require", Self::Require),
    ];
}

impl Choice for OnProtocolError {
    const WORDS: &'static [(&'static str, Self)] = &[("pass", Self::Pass), ("close", Self::Close)];
}

impl Choice for Forwarded {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("x_forwarded", Self::XForwarded),
        ("forwarded", Self::Forwarded),
        ("both", Self::Both),
        ("none", Self::None),
    ];
}

/// What a route takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Protocol {
    WebSocket,
    Http,
}

impl Choice for Protocol {
    const WORDS: &'static [(&'static str, Self)] =
        &[("websocket", Self::WebSocket), ("http", Self::Http)];
}

impl Choice for OnUnhealthy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("keep", Self::Keep),
        ("drain", Self::Drain),
        ("close", Self::Close),
    ];
}

/// What a health check does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum CheckKind {
    WebSocket,
    Http,
    Tcp,
}

impl Choice for CheckKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("websocket", Self::WebSocket),
        ("http", Self::Http),
        ("tcp", Self::Tcp),
    ];
}

/// How backends are spoken to that are found in the DNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Scheme {
    Ws,
    Wss,
}

impl Choice for Scheme {
    const WORDS: &'static [(&'static str, Self)] = &[("ws", Self::Ws), ("wss", Self::Wss)];
}

/// Which ends of a session get Pings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum PingTarget {
    Client,
    Backend,
    Both,
    None,
}

impl Choice for PingTarget {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("client", Self::Client),
        ("backend", Self::Backend),
        ("both", Self::Both),
        ("none", Self::None),
    ];
}

/// How a listener asks for the client's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum ClientAuthMode {
    None,
    Request,
    Require,
}

impl Choice for ClientAuthMode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("request", Self::Request),
        ("require", Self::Require),
    ];
}

/// What becomes of a request whose Origin says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Verdict {
    Deny,
    Allow,
}

impl Choice for Verdict {
    const WORDS: &'static [(&'static str, Self)] = &[("deny", Self::Deny), ("allow", Self::Allow)];
}
