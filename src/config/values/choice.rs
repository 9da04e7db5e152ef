//! One word of a few.

use std::borrow::Cow;

use serde_json::{Value, json};
use tracing::Level;

use crate::config::model::{
    Family, Forwarded, LogFormat, OnProtocolError, OnUnhealthy, ProxyHeader, ProxyProtocol,
    SameSite, TlsVersion,
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
    ProxyProtocol { "none" => None, "v1" => V1, "v2" => V2 };
    ProxyHeader { "none" => None, "accept" => Accept, "require" => Require };
    OnProtocolError { "pass" => Pass, "close" => Close };
    Forwarded { "x_forwarded" => XForwarded, "forwarded" => Forwarded, "both" => Both, "none" => None };
    OnUnhealthy { "keep" => Keep, "drain" => Drain, "close" => Close };
    SameSite { "lax" => Lax, "strict" => Strict, "none" => None };
    Family { "ipv4" => Ipv4, "ipv6" => Ipv6 };
}

/// As `choices`, for kinds that only the configuration knows: declares them as well.
macro_rules! words {
    ($($(#[doc = $about:literal])* $kind:ident { $($word:literal => $choice:ident),* } $(or $else:literal)?;)*) => {
        $(
            $(#[doc = $about])*
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub(in crate::config) enum $kind { $($choice),* }
        )*

        choices! { $($kind { $($word => $choice),* } $(or $else)?;)* }
    };
}

words! {
    /// How the order of candidates is found.
    StrategyWord { "round_robin" => RoundRobin, "least_sessions" => LeastSessions, "two_choices" => TwoChoices, "hash" => Hash, "random" => Random };
    /// What is hashed where it is named by a word alone.
    HashWord { "client" => Client, "path" => Path } or ", or a map such as `{ cookie: NAME }`, `{ header: NAME }` or `{ query: NAME }`";
    /// What a route takes.
    Protocol { "websocket" => WebSocket, "http" => Http };
    /// What a health check does.
    CheckKind { "websocket" => WebSocket, "http" => Http, "tcp" => Tcp };
    /// The protocol of backends that are found in the DNS.
    Scheme { "ws" => Ws, "wss" => Wss };
    /// Which ends of a session get Pings.
    PingTarget { "client" => Client, "backend" => Backend, "both" => Both, "none" => None };
    /// How a listener asks for the client's certificate.
    ClientAuthMode { "none" => None, "request" => Request, "require" => Require };
    /// Whether requests are allowed whose Origin no pattern can match.
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
            "needs quotes, as YAML reads it as a number: \"{word}\""
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
