//! Addresses of backends: `ws://127.0.0.1:9001`, `wss://chat.internal`, `unix:/run/chat.sock`.

use std::net::IpAddr;
use std::path::Path;

use super::path::socket_path;
use crate::config::host::{spell, split_port};
use crate::config::model::{BackendAddress, BackendHost};
use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::quote;

/// The address of a backend, as parsed and as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::config) struct BackendUrl {
    pub(in crate::config) address: BackendAddress,
    /// Without the scheme: the name of a backend that has no other.
    pub(in crate::config) written: String,
}

/// Before the path of a unix socket.
const UNIX: &str = "unix:";

impl FromText for BackendUrl {
    type Value = Self;

    const WANTED: &'static str = "an address such as `ws://127.0.0.1:9001`";
    const PATTERN: &'static str = "^([wW][sS]|[hH][tT][tT][pP])[sS]?://[^/?#@]+$|^unix:.";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        parse(text).map_err(|message| Complaint {
            message,
            suggestion: nearest(text),
        })
    }

    fn below(directory: &Path, mut url: Self) -> Result<Self, Complaint> {
        if let BackendAddress::Unix(path) = &mut url.address {
            *path = socket_path(directory, path)?;
        }
        Ok(url)
    }
}

/// What was probably meant: the same without a path, or with a scheme.
fn nearest(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("ws", text));
    let authority = rest.split(['/', '?', '#']).next()?;
    let meant = format!("{scheme}://{authority}");
    (meant != text && parse(&meant).is_ok()).then_some(meant)
}

fn parse(text: &str) -> Result<BackendUrl, String> {
    if let Some(path) = text.strip_prefix(UNIX) {
        return unix(path, text);
    }
    let (tls, authority) = authority(text)?;
    let path = authority.strip_prefix(UNIX);
    if let Some(path) = path.filter(|path| path.starts_with('/')) {
        let path = path.trim_end_matches(":/");
        return Err(format!(
            "a unix socket is written without a scheme: `{UNIX}{path}`"
        ));
    }
    if authority.contains('*') {
        return Err("a backend is one host: `*` is allowed in `match.hosts` only".to_owned());
    }
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
    let address = BackendAddress::Tcp {
        tls,
        host: host_of(host),
        port: port.unwrap_or(if tls { 443 } else { 80 }),
    };
    Ok(BackendUrl {
        address,
        written: authority.to_owned(),
    })
}

fn unix(path: &str, text: &str) -> Result<BackendUrl, String> {
    if path.is_empty() || path.contains('\0') {
        return Err("`unix:` must be followed by a path".to_owned());
    }
    if path.starts_with("//") {
        return Err(format!(
            "a unix socket is written without slashes of a scheme: `{UNIX}{}`",
            path.trim_start_matches("//")
        ));
    }
    Ok(BackendUrl {
        address: BackendAddress::Unix(path.into()),
        written: text.to_owned(),
    })
}

/// Whether TLS is used, and what follows the scheme. `http` and `https` are synonyms of `ws` and `wss`: a backend takes
/// both kinds of requests.
fn authority(text: &str) -> Result<(bool, &str), String> {
    let example = "write `ws://host:port`, `wss://host:port` or `unix:/path`";
    let Some((scheme, authority)) = text.split_once("://") else {
        return Err(format!(
            "{} is not an address of a backend: {example}",
            quote(text)
        ));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => Ok((false, authority)),
        "wss" | "https" => Ok((true, authority)),
        _ => Err(format!(
            "{} is not a scheme of a backend: {example}",
            quote(scheme)
        )),
    }
}

/// A canonical host, parsed if it is an address. An IPv4 address mapped into IPv6 is one of IPv4.
pub(in crate::config) fn host_of(host: String) -> BackendHost {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => BackendHost::Ip(ip.to_canonical()),
        Err(_) => BackendHost::Name(host),
    }
}
