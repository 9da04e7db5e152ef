//! Addresses to listen at: `127.0.0.1:8080`, `[::]:8443`, `localhost:8080`, `unix:/run/wsgate.sock`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use super::path::socket_path;
use crate::config::model::Address;
use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::quote;

impl FromText for Address {
    type Value = Self;

    const WANTED: &'static str = "an address such as `127.0.0.1:8080`";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(Complaint::from)
    }

    fn below(directory: &Path, address: Self) -> Result<Self, Complaint> {
        match address {
            Self::Tcp(_) => Ok(address),
            Self::Unix(path) => socket_path(directory, &path).map(Self::Unix),
        }
    }
}

/// A relative path stays as it is written.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_sound = !path.is_empty() && !path.contains('\0');
            let sound = is_sound.then(|| Self::Unix(path.into()));
            return sound.ok_or_else(|| "`unix:` must be followed by a path".to_owned());
        }
        let address = without_name(text).parse();
        let wanted = if text.contains('%') {
            "give the interface by its number, such as `[fe80::1%2]:8080`"
        } else {
            "write an address (no name but `localhost`) and a port, such as `127.0.0.1:8080`, `[::]:8443` for every \
             address, or `unix:/path`"
        };
        address
            .map(|address| Self::Tcp(canonical(address)))
            .map_err(|_| format!("{} is not an address to listen at: {wanted}", quote(text)))
    }
}

/// An IPv4 address that is written as one of IPv6 becomes one of IPv4: an IPv6 socket cannot be bound to it.
fn canonical(address: SocketAddr) -> SocketAddr {
    let ip = address.ip().to_canonical();
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// `localhost` is the only name that is accepted. It always means 127.0.0.1, whatever the system resolves it to, because
/// a listener has one address.
fn without_name(text: &str) -> Cow<'_, str> {
    match text.rsplit_once(':') {
        Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
            format!("{}:{port}", Ipv4Addr::LOCALHOST).into()
        }
        _ => text.into(),
    }
}
