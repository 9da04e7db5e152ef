//! What YAML may say: every key, what it takes, and what is said of it in the JSON Schema.
//!
//! A new key is one line here and one line in `resolve`, where its default stands.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::reading::{At, FromNode, Named, Placed, Reader, keys};
use super::tree::Value;
use super::values::choice::{ClientAuthMode, Verdict};
use super::values::{
    BackendUrl, Duration, FilePath, Host, ListenAddress, OneOf, OriginText, PathText, Size, Text,
    Timeout, Whole, Workers,
};
use crate::config::model::{LogFormat, Strategy, TlsVersion};

keys! {
    /// The configuration of wsgate.
    File {
        /// The admin side: metrics, health, status, reload.
        admin: Admin,
        /// What is logged and how.
        log: Log,
        /// Threads.
        runtime: Runtime,
        /// Inherited by every route; a route overrides single keys.
        defaults: Defaults,
        /// Required. Where clients connect, by name.
        listeners: Named<Listener>,
        /// Required. What answers, by name; the most specific match wins.
        routes: Named<Route>,
        /// Backends, by name.
        pools: Named<Pool>,
        /// How sessions are ended when something stops.
        drain: Drain,
    }

    /// The admin side: metrics, health, status, reload.
    Admin {
        /// Where it listens; 127.0.0.1:9901 by default.
        address: ListenAddress,
    }

    /// What is logged and how.
    Log {
        /// The form of a line; json by default.
        format: OneOf<LogFormat>,
        /// The least level that is written; info by default.
        level: OneOf<tracing::Level>,
        /// Access-log lines.
        access: AccessLog,
    }

    /// Access-log lines.
    AccessLog {
        /// A line when a session opens; true by default.
        open: bool,
        /// A line when a session ends; true by default.
        close: bool,
        /// Whether values in query strings are replaced; true by default.
        redact_query: bool,
    }

    /// Threads.
    Runtime {
        /// The number of workers; auto, one per core, by default.
        workers: Workers,
    }

    /// Inherited by every route; a route overrides single keys.
    Defaults {
        /// Which origins may open sessions.
        origins: Origins,
        /// Deadlines of a session.
        timeouts: SessionTimeouts,
    }

    /// Deadlines of a session.
    SessionTimeouts {
        /// To connect to one backend; 3s by default.
        connect: Timeout,
        /// To the backend's 101, all attempts together; 10s by default.
        handshake: Timeout,
        /// For the peer's Close before its connection is cut; 5s by default.
        close: Timeout,
        /// After one side ended its sending half; 10s by default.
        half_close: Timeout,
    }

    /// A place where clients connect.
    Listener {
        /// Required. An address and a port, or unix: and a path.
        address: ListenAddress,
        /// TLS settings; a listener without them is plain.
        tls: Tls,
        /// Deadlines before and between requests.
        timeouts: ListenerTimeouts,
        /// Bounds on connections.
        limits: ListenerLimits,
    }

    /// TLS settings of a listener.
    Tls {
        /// Required. Chosen by SNI; the first answers when none fits.
        certificates: Vec<Placed<CertificateFiles>>,
        /// The oldest version spoken; 1.2 by default.
        min_version: OneOf<TlsVersion>,
        /// From the first byte to the end of the TLS handshake; 10s by default.
        handshake_timeout: Timeout,
        /// Whether clients show certificates.
        client_auth: ClientAuth,
    }

    /// A certificate chain and its key, as PEM files.
    CertificateFiles {
        /// Required. The chain, leaf first.
        certificate: FilePath,
        /// Required. The key: PKCS#8, PKCS#1 or SEC1.
        key: FilePath,
    }

    /// Whether clients show certificates.
    ClientAuth {
        /// Whether they are asked, or must; none by default.
        mode: OneOf<ClientAuthMode>,
        /// Authorities in PEM; required unless the mode is none.
        ca: FilePath,
    }

    /// Deadlines of a connection before and between requests.
    ListenerTimeouts {
        /// For a whole request head; 10s by default.
        request_header: Timeout,
        /// Between an answer and the next request; 75s by default.
        keep_alive: Timeout,
    }

    /// Bounds on a listener.
    ListenerLimits {
        /// Connections open at once; 100000 by default.
        max_connections: Whole<1, 10_000_000>,
        /// Bytes of a request head, 8KiB to 1MiB; 32KiB by default.
        request_head: Size,
    }

    /// Which requests are taken and what becomes of them.
    Route {
        /// Which requests are taken.
        r#match: RouteMatch,
        /// Which origins may open sessions; required here or in defaults.
        origins: Origins,
        /// Deadlines of a session.
        timeouts: SessionTimeouts,
        /// The pool that sessions go to; required, or respond.
        pool: Text,
        /// A fixed answer; required, or pool.
        respond: FixedAnswer,
    }

    /// Which requests are taken; all that is given must fit.
    RouteMatch {
        /// Host patterns; any host by default.
        hosts: Vec<Placed<Host>>,
        /// A prefix on segment borders; / by default.
        path: PathText,
        /// Whether the path must be equal; false by default.
        exact: bool,
        /// Names of listeners; all by default.
        listeners: Vec<Placed<Text>>,
    }

    /// A fixed answer.
    FixedAnswer {
        /// Required. 200 to 599.
        status: Whole<200, 599>,
        /// The body, as plain text; empty by default.
        body: Text,
    }

    /// Which origins may open sessions.
    OriginRules {
        /// Patterns; one that matches suffices.
        allow: Vec<Placed<OriginText>>,
        /// A request without Origin; deny by default.
        missing: OneOf<Verdict>,
        /// A request with Origin: null; deny by default.
        opaque: OneOf<Verdict>,
    }

    /// Backends and how sessions are spread over them.
    Pool {
        /// How the order of candidates is found; round_robin by default.
        strategy: OneOf<Strategy>,
        /// Backends tried before the client is refused; 3 by default.
        attempts: Whole<1, 100>,
        /// Required. Addresses such as ws://127.0.0.1:9001, or maps.
        backends: Vec<Placed<Backend>>,
    }

    /// One backend of a pool.
    BackendKeys {
        /// Its name, a metric label; the address by default.
        name: Text,
        /// Required. ws://host:port
        url: BackendUrl,
        /// Its share of the sessions; 1 by default.
        weight: Whole<1, 1000>,
    }

    /// How sessions are ended when something stops.
    Drain {
        /// Not ready, still accepting; 0s by default.
        grace: Duration,
        /// The time over which the ends are spread; 30s by default.
        window: Duration,
        /// The code of the Close frame; 1012 by default.
        close_code: Whole<1000, 4999>,
        /// The reason in the Close frame, at most 123 bytes; "service restart" by default.
        reason: Text,
        /// When whatever is left is cut; 60s by default.
        deadline: Duration,
    }
}

/// Which origins may open sessions: the word `any`, a list of patterns, or a map.
#[derive(Debug)]
pub(super) enum Origins {
    Any,
    List(Vec<Placed<OriginText>>),
    Rules(OriginRules),
}

impl FromNode for Origins {
    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match &at.node.value {
            Value::Scalar(scalar) if scalar.text == "any" => Some(Self::Any),
            Value::Scalar(_) => reader.refuse_kind(at, "a list of origins, or the word `any`"),
            Value::List(_) => FromNode::read(at, reader).map(Self::List),
            Value::Map(_) => FromNode::read(at, reader).map(Self::Rules),
        }
    }
}

impl JsonSchema for Origins {
    fn schema_name() -> Cow<'static, str> {
        "Origins".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "const": "any" },
            generator.subschema_for::<Vec<OriginText>>(),
            generator.subschema_for::<OriginRules>(),
        ]})
    }
}

/// A backend: its address alone, or a map.
#[derive(Debug)]
pub(super) enum Backend {
    Url(BackendUrl),
    Keys(BackendKeys),
}

impl FromNode for Backend {
    fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match &at.node.value {
            Value::Map(_) => FromNode::read(at, reader).map(Self::Keys),
            Value::Scalar(_) | Value::List(_) => FromNode::read(at, reader).map(Self::Url),
        }
    }
}

impl JsonSchema for Backend {
    fn schema_name() -> Cow<'static, str> {
        "Backend".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            generator.subschema_for::<BackendUrl>(),
            generator.subschema_for::<BackendKeys>(),
        ]})
    }
}
