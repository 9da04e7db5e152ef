//! What routes say of plain requests, of fields and of other places, written out again.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::written::milliseconds;
use crate::config::{Cors, FieldRules, Forwarded, HeaderRules, Http, Piece, Redirect};

pub(super) fn http(http: &Http) -> Value {
    json!({
        "request_timeout": milliseconds(http.request_timeout),
        "min_upload_rate": format!("{}B", http.min_upload_rate),
        "max_body": http.max_body.map_or(json!(0), |bytes| json!(format!("{bytes}B"))),
        "cors": http.cors.as_ref().map(cors),
    })
}

fn cors(cors: &Cors) -> Value {
    let names = |names: &[HeaderName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "methods": cors.methods.iter().map(Method::as_str).collect::<Vec<_>>(),
        "headers": names(&cors.headers),
        "expose": names(&cors.expose),
        "credentials": cors.credentials,
        "max_age": milliseconds(cors.max_age),
    })
}

pub(super) fn headers(rules: &HeaderRules) -> Value {
    let mut written = fields(&rules.fields);
    written["forwarded"] = json!(match rules.forwarded {
        Forwarded::XForwarded => "x_forwarded",
        Forwarded::Forwarded => "forwarded",
        Forwarded::Both => "both",
        Forwarded::None => "none",
    });
    written["preserve_host"] = json!(rules.preserve_host);
    written
}

pub(super) fn fields(rules: &FieldRules) -> Value {
    let set = rules.set.iter().map(|(name, value)| {
        let value = value.to_str().expect("visible ASCII");
        (name.to_string(), json!(value))
    });
    json!({
        "set": set.collect::<Map<_, _>>(),
        "remove": rules.remove.iter().map(HeaderName::as_str).collect::<Vec<_>>(),
    })
}

pub(super) fn redirect(redirect: &Redirect) -> Value {
    let pieces = redirect.to.iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Host => "{host}",
        Piece::Path => "{path}",
        Piece::Query => "{query}",
    });
    json!({ "to": pieces.collect::<String>(), "status": redirect.status.as_u16() })
}

/// With limits that hang on how the two times compare.
pub(super) fn some_http(request_timeout: Duration, other: Duration) -> Http {
    let cors = Cors {
        methods: vec![Method::PUT],
        headers: vec![HeaderName::from_static("x-a")],
        expose: Vec::new(),
        credentials: false,
        max_age: other,
    };
    Http {
        request_timeout,
        min_upload_rate: 512,
        max_body: (other > request_timeout).then_some(1024),
        cors: (other < request_timeout).then_some(cors),
    }
}

pub(super) fn some_headers(preserve_host: bool) -> HeaderRules {
    HeaderRules {
        forwarded: Forwarded::Both,
        preserve_host,
        fields: some_fields(preserve_host),
    }
}

pub(super) fn some_fields(is_set: bool) -> FieldRules {
    let field = (
        HeaderName::from_static("x-b"),
        HeaderValue::from_static("x: y"),
    );
    FieldRules {
        set: is_set.then_some(field).into_iter().collect(),
        remove: [HeaderName::from_static("x-c")].into(),
    }
}

pub(super) fn some_redirect(is_long: bool) -> Redirect {
    let pieces = [
        Piece::Text("https://a.test".to_owned()),
        Piece::Path,
        Piece::Text("/x".to_owned()),
    ];
    Redirect {
        to: pieces
            .into_iter()
            .take(if is_long { 3 } else { 1 })
            .collect(),
        status: StatusCode::PERMANENT_REDIRECT,
    }
}
