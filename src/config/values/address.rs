//! Places to listen at: `127.0.0.1:8080`, `[::]:8443`, `localhost:8080`, `unix:/run/wsgate.sock`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use crate::config::model::Address;
use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::quote;

/// A place to listen at; the path of a unix socket is still as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::config) enum ListenAddress {
    Tcp(SocketAddr),
    Unix(String),
}

impl FromText for ListenAddress {
    type Value = Self;

    const WANTED: &'static str = "an address such as `127.0.0.1:8080`";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        parse(text).map_err(Complaint::from)
    }
}

/// Without a file beside which a path could lie: relative to the working directory.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match parse(text)? {
            ListenAddress::Tcp(address) => Self::Tcp(address),
            ListenAddress::Unix(path) => Self::Unix(path.into()),
        })
    }
}

fn parse(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let is_sound = !path.is_empty() && !path.contains('\0');
        let sound = is_sound.then(|| ListenAddress::Unix(path.to_owned()));
        return sound.ok_or_else(|| "`unix:` must be followed by a path".to_owned());
    }
    without_name(text).parse().map(canonical).map_err(|_| {
        format!(
            "{} is no address to listen at: write an address (no name but `localhost`) and a port, \
             such as `127.0.0.1:8080`, `[::]:8443` for every address, or `unix:/path`",
            quote(text)
        )
    })
}

/// An IPv4 address that is written as one of IPv6 is taken for what it is: sockets of IPv6 do not take it.
fn canonical(address: SocketAddr) -> ListenAddress {
    let ip = address.ip().to_canonical();
    ListenAddress::Tcp(match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    })
}

/// `localhost` is the one name that is taken, and it is 127.0.0.1 whatever the system says of it: a
/// listener has one address.
fn without_name(text: &str) -> Cow<'_, str> {
    match text.rsplit_once(':') {
        Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
            format!("{}:{port}", Ipv4Addr::LOCALHOST).into()
        }
        _ => text.into(),
    }
}
