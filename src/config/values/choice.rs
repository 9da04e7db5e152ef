//! One word of a few.

use std::borrow::Cow;

use serde_json::{Value, json};
use tracing::Level;

use crate::config::model::{
    Family, Forwarded, LogFormat, OnProtocolError, OnUnhealthy, ProxyHeader, ProxyProtocol,
    TlsVersion,
};
use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::{Kind, Scalar};

/// Kinds of which one of a few words is written; `or` says in messages what else may be written there.
macro_rules! choices {
    ($($kind:ident { $($word:literal => $choice:ident),* } $(or $else:literal)?;)*) => {$(
        impl FromScalar for $kind {
            type Value = Self;

            const WANTED: &'static str = "a word";

            fn wanted() -> Cow<'static, str> {
                (listed(&[$($word),*]) $(+ $else)?).into()
            }

            fn written() -> Vec<Value> {
                vec![json!({ "enum": [$($word),*] })]
            }

            fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
                choose(scalar, &[$(($word, Self::$choice)),*], &Self::wanted())
            }
        }
    )*};
}

choices! {
    LogFormat { "json" => Json, "text" => Text };
    Level { "error" => ERROR, "warn" => WARN, "info" => INFO, "debug" => DEBUG, "trace" => TRACE };
    TlsVersion { "1.2" => Tls12, "1.3" => Tls13 };
    StrategyWord { "round_robin" => RoundRobin, "least_sessions" => LeastSessions, "two_choices" => TwoChoices, "hash" => Hash, "random" => Random };
    HashWord { "client" => Client } or ", or a map such as `{ cookie: NAME }`, `{ header: NAME }` or `{ query: NAME }`";
    ProxyProtocol { "none" => None, "v1" => V1, "v2" => V2 };
    ProxyHeader { "none" => None, "accept" => Accept, "require" => Require };
    OnProtocolError { "pass" => Pass, "close" => Close };
    Forwarded { "x_forwarded" => XForwarded, "forwarded" => Forwarded, "both" => Both, "none" => None };
    Protocol { "websocket" => WebSocket, "http" => Http };
    OnUnhealthy { "keep" => Keep, "drain" => Drain, "close" => Close };
    CheckKind { "websocket" => WebSocket, "http" => Http, "tcp" => Tcp };
    Family { "ipv4" => Ipv4, "ipv6" => Ipv6 };
    Scheme { "ws" => Ws, "wss" => Wss };
    PingTarget { "client" => Client, "backend" => Backend, "both" => Both, "none" => None };
    ClientAuthMode { "none" => None, "request" => Request, "require" => Require };
    Verdict { "deny" => Deny, "allow" => Allow };
}

/// Lists words as `a`, `b` or `c`.
fn listed(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

fn choose<T: Copy>(
    scalar: &Scalar,
    words: &[(&str, T)],
    wanted: &str,
) -> Option<Result<T, Complaint>> {
    let found = words.iter().find(|(word, _)| *word == scalar.text);
    match (found, scalar.as_text()) {
        (Some((_, choice)), Some(_)) => Some(Ok(*choice)),
        (Some((word, _)), None) => Some(Err(format!(
            "must stand in quotes, as YAML takes it for a number: \"{word}\""
        )
        .into())),
        (None, _) if scalar.kind == Kind::Null => None,
        (None, _) => {
            let known = words.iter().map(|(word, _)| *word);
            let what = format!("must be {wanted}, not");
            Some(Err(Complaint::unknown(&what, &scalar.text, known)))
        }
    }
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

/// What is hashed where it is named by a word alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum HashWord {
    Client,
}

/// What a route takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Protocol {
    WebSocket,
    Http,
}

/// What a health check does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum CheckKind {
    WebSocket,
    Http,
    Tcp,
}

/// The protocol of backends that are found in the DNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Scheme {
    Ws,
    Wss,
}

/// Which ends of a session get Pings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum PingTarget {
    Client,
    Backend,
    Both,
    None,
}

/// How a listener asks for the client's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum ClientAuthMode {
    None,
    Request,
    Require,
}

/// Whether requests are allowed whose Origin no pattern can match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Verdict {
    Deny,
    Allow,
}
