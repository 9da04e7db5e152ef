//! Networks: `10.0.0.0/8`, `2001:db8::/32`, or a single address.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::quote;

impl FromText for IpNet {
    type Value = Self;

    const WANTED: &'static str = "a network such as `10.0.0.0/8`";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        parse(text)
    }
}

/// A peer in front of the gateway: one of a network, or on the listener's unix socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum TrustedProxy {
    Network(IpNet),
    Unix,
}

impl FromText for TrustedProxy {
    type Value = Self;

    const WANTED: &'static str = "a network such as `10.0.0.0/8`, or `unix`";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        match text {
            "unix" => Ok(Self::Unix),
            network => parse(network).map(Self::Network),
        }
    }
}

fn parse(text: &str) -> Result<IpNet, Complaint> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        format!(
            "{} is not a network: write an address, or one with the length of its prefix, \
             such as `10.0.0.0/8`",
            quote(text)
        )
    })?;
    if network.trunc() != network {
        return Err(Complaint {
            message: format!("{} names a host within its network", quote(text)),
            suggestion: Some(network.trunc().to_string()),
        });
    }
    if let Some(plain) = without_mapping(network) {
        return Err(Complaint {
            message: format!("{} is a network of IPv4 addresses", quote(text)),
            suggestion: Some(plain.to_string()),
        });
    }
    Ok(network)
}

/// The IPv4 form of a network within `::ffff:0:0/96`, as mapped addresses are compared as IPv4.
fn without_mapping(network: IpNet) -> Option<IpNet> {
    let length = network.prefix_len().checked_sub(96)?;
    match (network.addr(), network.addr().to_canonical()) {
        (IpAddr::V6(_), plain @ IpAddr::V4(_)) => IpNet::new(plain, length).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_single_addresses() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("::1", "::1/128"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            let parsed = parse(text).map(|network| network.to_string());
            assert_eq!(parsed, Ok(network.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "10.0.0.0/33",
            "10/8",
            "a.test",
            "10.0.0.1:80",
            "10.0.0.0/",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let complaint = parse("10.1.2.3/8").expect_err("host bits");
        assert_eq!(complaint.suggestion.as_deref(), Some("10.0.0.0/8"));
        let complaint = parse("::ffff:10.0.0.0/104").expect_err("a network of IPv4");
        assert_eq!(complaint.suggestion.as_deref(), Some("10.0.0.0/8"));
    }
}
