//! What backends are reached by: source addresses, name servers, names in the DNS and in certificates.

use std::net::{IpAddr, SocketAddr};

use rustls_pki_types::ServerName;

use crate::config::host::spell;
use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::quote;

/// An address of this machine, without a port. An IPv4 address mapped into IPv6 is read as IPv4, as it is used.
pub(in crate::config) enum LocalAddress {}

impl FromText for LocalAddress {
    type Value = IpAddr;

    const WANTED: &'static str = "an address such as `192.0.2.1`";

    fn from_text(text: &str) -> Result<IpAddr, Complaint> {
        let address = text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let address = address.filter(|ip| !ip.is_unspecified() && !ip.is_multicast());
        address.ok_or_else(|| {
            let wanted = "write an address of this machine without a port, such as `192.0.2.1`";
            format!("{} is not a source address: {wanted}", quote(text)).into()
        })
    }
}

/// A DNS name or an address, as it is in a certificate.
impl FromText for ServerName<'static> {
    type Value = Self;

    const WANTED: &'static str = "a name such as `chat.internal`";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let within = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let name = Self::try_from(within.unwrap_or(text).to_ascii_lowercase());
        name.map_err(|_| {
            let wanted = "write a name such as `chat.internal`, or an address";
            format!("{} cannot be in a certificate: {wanted}", quote(text)).into()
        })
    }
}

/// A name to look up in the DNS, in lower case; with a dot at its end it is fully qualified.
pub(in crate::config) enum DnsName {}

impl FromText for DnsName {
    type Value = String;

    const WANTED: &'static str = "a name such as `chat.internal`";

    fn from_text(text: &str) -> Result<String, Complaint> {
        let (bare, dot) = match text.strip_suffix('.') {
            Some(bare) => (bare, "."),
            None => (text, ""),
        };
        let name = match spell(bare) {
            Ok(name) if name.parse::<IpAddr>().is_ok() || name.starts_with('[') => {
                Err("is an address, not a name: put it into `backends`".to_owned())
            }
            Ok(name) => Ok(format!("{name}{dot}")),
            Err(fault) => Err(fault.to_string()),
        };
        name.map_err(Complaint::from)
    }
}

/// The address and the port of a name server; the port is 53 where none is given.
pub(in crate::config) enum NameServer {}

impl FromText for NameServer {
    type Value = SocketAddr;

    const WANTED: &'static str = "an address such as `192.0.2.53`";

    fn from_text(text: &str) -> Result<SocketAddr, Complaint> {
        /// The port of the DNS (RFC 1035 section 4.2).
        const PORT: u16 = 53;
        let without_port = || Some(SocketAddr::new(text.parse().ok()?, PORT));
        let server: Option<SocketAddr> = text.parse().ok().or_else(without_port);
        let server = server.filter(|it| it.port() != 0 && !it.ip().is_multicast());
        server.ok_or_else(|| {
            let wanted = "write an address, such as `192.0.2.53` or `127.0.0.1:5353`";
            format!("{} is not a name server: {wanted}", quote(text)).into()
        })
    }
}
