//! Local addresses that connections go out from, and names that certificates bear.

use std::net::IpAddr;

use rustls_pki_types::ServerName;

use super::text_schema;
use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::{Scalar, quote};

/// An address of this machine, without a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct LocalAddress(pub(in crate::config) IpAddr);

text_schema!(LocalAddress, "An address of this machine, without a port");

impl FromScalar for LocalAddress {
    const WANTED: &'static str = "an address such as `192.0.2.1`";

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        let text = scalar.as_text()?;
        let address = text.parse::<IpAddr>().ok();
        let address = address.filter(|ip| !ip.is_unspecified() && !ip.is_multicast());
        Some(address.map(Self).ok_or_else(|| {
            let wanted = "write an address of this machine without a port, such as `192.0.2.1`";
            format!("{} is no source address: {wanted}", quote(text)).into()
        }))
    }
}

/// A DNS name or an address, as a certificate bears it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::config) struct CertifiedName(pub(in crate::config) ServerName<'static>);

text_schema!(
    CertifiedName,
    "A name or an address that a certificate bears"
);

impl FromScalar for CertifiedName {
    const WANTED: &'static str = "a name such as `chat.internal`";

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        let text = scalar.as_text()?;
        let name = ServerName::try_from(text.trim_matches(['[', ']']).to_ascii_lowercase());
        Some(name.map(Self).map_err(|_| {
            let wanted = "write a name such as `chat.internal`, or an address";
            format!("{} is borne by no certificate: {wanted}", quote(text)).into()
        }))
    }
}
