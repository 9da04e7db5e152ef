//! Addresses of backends: `ws://127.0.0.1:9001`, `ws://chat.internal:8080`.

use super::text_schema;
use crate::config::host::{spell, split_port};
use crate::config::model::BackendAddress;
use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::{Scalar, quote};

/// The address of a backend, as parsed and as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::config) struct BackendUrl {
    pub(in crate::config) address: BackendAddress,
    /// Without the scheme: the name of a backend that has no other.
    pub(in crate::config) written: String,
}

text_schema!(
    BackendUrl,
    "The address of a backend: ws://host:port",
    "^[wW][sS]://[^/?#@]+$"
);

impl FromScalar for BackendUrl {
    const WANTED: &'static str = "an address such as `ws://127.0.0.1:9001`";

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        scalar
            .as_text()
            .map(|text| parse(text).map_err(Complaint::from))
    }
}

fn parse(text: &str) -> Result<BackendUrl, String> {
    let authority = authority(text)?;
    if authority.contains(['/', '?', '#']) {
        return Err(
            "a backend has no path and no query: those of the client's request are passed on"
                .to_owned(),
        );
    }
    if authority.contains('@') {
        return Err("a backend's address holds no user name and no password".to_owned());
    }
    let (host, port) = split_port(authority).map_err(|fault| fault.to_string())?;
    let host = spell(host).map_err(|fault| fault.to_string())?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let address = BackendAddress {
        host,
        port: port.unwrap_or(80),
    };
    Ok(BackendUrl {
        address,
        written: authority.to_owned(),
    })
}

/// What stands between the scheme and the end.
fn authority(text: &str) -> Result<&str, String> {
    let example = "write `ws://host:port`";
    if text.starts_with("unix:") {
        return Err(format!(
            "backends behind unix sockets are not supported yet: {example}"
        ));
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return Err(format!(
            "{} is no address of a backend: {example}",
            quote(text)
        ));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => Ok(authority),
        "wss" => Err(format!(
            "backends behind TLS (wss) are not supported yet: {example}"
        )),
        "http" => Err(format!("the scheme of a backend is ws: {example}")),
        _ => Err(format!(
            "{} is no scheme of a backend: {example}",
            quote(scheme)
        )),
    }
}
