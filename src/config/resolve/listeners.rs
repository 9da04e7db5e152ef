//! Listeners: addresses, TLS, deadlines, bounds.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::model::{
    Address, CertificateFiles, ClientAuth, Listener, ListenerLimits, ListenerTimeouts, NamedFile,
    ProxyHeader, Tls, TlsVersion,
};
use crate::config::networks::{Access, Networks, TrustedProxies};
use crate::config::problems::{Findings, Place};
use crate::config::reading::{Items, Placed, Setting};
use crate::config::schema;
use crate::config::values::TrustedProxy;
use crate::config::values::choice::ClientAuthMode;

pub(super) fn one(
    place: &Place,
    raw: schema::Listener,
    findings: &mut Findings,
) -> Option<Listener> {
    if place.path == "listeners.admin" {
        let message = "`admin` is the admin side in metrics and in the log: give it another name";
        findings.add(place, message);
    }
    let given = raw.proxy_protocol.given();
    let proxy_protocol = given.map_or(ProxyHeader::None, |placed| placed.value);
    check_peers(&raw, proxy_protocol, findings);
    let address = raw.address.require("address", place, findings);
    let is_plain = matches!(raw.tls, Setting::Absent);
    let h2c = h2c(&raw.h2c, is_plain, findings);
    let http2 = raw.http2.or(true);
    let tls = raw
        .tls
        .placed()
        .and_then(|placed| tls(placed, http2, findings));
    let limits = limits(raw.limits.or_default(), is_plain, findings);
    if tls.is_none() && !is_plain {
        return None;
    }
    Some(Listener {
        address: address?.value,
        trusted_proxies: trusted_proxies(raw.trusted_proxies)?,
        proxy_protocol,
        access: Access {
            allow: networks(raw.allow)?,
            deny: networks(raw.deny)?,
        },
        tls,
        h2c,
        timeouts: timeouts(raw.timeouts.or_default()),
        limits,
    })
}

/// Notes rules that have no effect on the peers of this address.
fn check_peers(raw: &schema::Listener, header: ProxyHeader, findings: &mut Findings) {
    match raw.address.given().map(|placed| &placed.value) {
        Some(Address::Unix(_)) if header == ProxyHeader::None => {
            check_socket(raw, findings);
        }
        Some(Address::Tcp(_)) => check_trust(raw, header, findings),
        Some(Address::Unix(_)) | None => {}
    }
}

/// Notes rules about addresses for a unix socket without a PROXY header, whose peers have none.
fn check_socket(raw: &schema::Listener, findings: &mut Findings) {
    let trusted = raw.trusted_proxies.given();
    if let Some(trusted) = trusted
        && !trusted.value.iter().any(is_unix)
    {
        findings.add(
            &trusted.place,
            "has no effect: clients of a unix socket have no address; `unix` trusts all that may connect to it",
        );
    }
    let limits = raw.limits.given().map(|placed| &placed.value);
    let per_client = limits.and_then(|limits| limits.max_connections_per_client.place());
    let places = [raw.allow.place(), raw.deny.place(), per_client];
    for place in places.into_iter().flatten() {
        findings.add(
            place,
            "has no effect: clients of a unix socket have no address",
        );
    }
}

fn is_unix(proxy: &Placed<TrustedProxy>) -> bool {
    proxy.value == TrustedProxy::Unix
}

/// Notes `unix` on a TCP listener, and a PROXY header that no peer is trusted to send.
fn check_trust(raw: &schema::Listener, header: ProxyHeader, findings: &mut Findings) {
    let trusted = raw.trusted_proxies.given();
    let trusted = trusted.iter().flat_map(|trusted| &trusted.value);
    if let Some(unix) = trusted.into_iter().find(|proxy| is_unix(proxy)) {
        let message = "has no effect: no client comes over a unix socket here";
        findings.add(&unix.place, message);
    }
    let trusts_nobody = match &raw.trusted_proxies {
        Setting::Absent => true,
        Setting::Invalid => false,
        Setting::Given(networks) => networks.value.is_empty(),
    };
    if let Some(place) = raw.proxy_protocol.place()
        && header != ProxyHeader::None
        && trusts_nobody
    {
        findings.add(
            place,
            "needs `trusted_proxies`: the header is believed of nobody else",
        );
    }
}

fn trusted_proxies(setting: Setting<Vec<Placed<TrustedProxy>>>) -> Option<TrustedProxies> {
    let list = setting.unless_invalid(Vec::new)?;
    let unix = list.iter().any(is_unix);
    let networks = list.into_iter().filter_map(|placed| match placed.value {
        TrustedProxy::Network(network) => Some(network),
        TrustedProxy::Unix => None,
    });
    Some(TrustedProxies {
        networks: Networks::new(networks.collect()),
        unix,
    })
}

/// `None` if one is invalid: the others alone would mean something else.
fn networks(setting: Setting<Vec<Placed<IpNet>>>) -> Option<Networks> {
    setting
        .unless_invalid(Vec::new)
        .map(Placed::values)
        .map(Networks::new)
}

fn timeouts(raw: schema::ListenerTimeouts) -> ListenerTimeouts {
    ListenerTimeouts {
        request_header: raw.request_header.or_seconds(10),
        keep_alive: raw.keep_alive.or_seconds(75),
    }
}

fn limits(raw: schema::ListenerLimits, is_plain: bool, findings: &mut Findings) -> ListenerLimits {
    if let (true, Some(place)) = (is_plain, raw.concurrent_tls_handshakes.place()) {
        findings.add(place, "has no effect on a listener without `tls`");
    }
    ListenerLimits {
        max_connections: raw.max_connections.or(100_000),
        max_connections_per_client: raw.max_connections_per_client.or(None),
        concurrent_tls_handshakes: raw.concurrent_tls_handshakes.or(None),
        handshakes_per_second: raw.handshakes_per_second.or(None),
        request_head: request_head(&raw.request_head, findings),
        http2_streams: raw.http2_streams.or(512),
    }
}

fn h2c(setting: &Setting<bool>, is_plain: bool, findings: &mut Findings) -> bool {
    let Some(placed) = setting.given() else {
        return false;
    };
    if placed.value && !is_plain {
        findings.add(
            &placed.place,
            "is for listeners without `tls`; under TLS `http2` decides",
        );
    }
    placed.value
}

fn request_head(setting: &Setting<usize>, findings: &mut Findings) -> usize {
    /// Less has no room for the fields that browsers send.
    const LEAST: usize = 1 << 10;
    const MOST: usize = 1 << 20;
    let Some(placed) = setting.given() else {
        return 32 << 10;
    };
    if !(LEAST..=MOST).contains(&placed.value) {
        findings.add(&placed.place, "must be from `1KiB` to `1MiB`");
    }
    placed.value
}

fn tls(
    Placed { value: raw, place }: Placed<schema::Tls>,
    http2: bool,
    findings: &mut Findings,
) -> Option<Tls> {
    let client_auth = client_auth(raw.client_auth.placed(), findings);
    let certificates = certificates(&place, raw.certificates, findings);
    Some(Tls {
        certificates: certificates?,
        min_version: raw.min_version.or(TlsVersion::Tls12),
        handshake_timeout: raw.handshake_timeout.or_seconds(10),
        client_auth: client_auth?,
        http2,
    })
}

fn certificates(
    place: &Place,
    setting: Setting<Items<schema::CertificateFiles>>,
    findings: &mut Findings,
) -> Option<Vec<CertificateFiles>> {
    let list = setting.require("certificates", place, findings)?;
    if list.value.is_empty() {
        findings.add(
            &list.place,
            "must hold at least one certificate and its key",
        );
    }
    let files = list.value.into_iter().map(|item| {
        let Placed {
            value: files,
            place,
        } = item?;
        let certificate = files.certificate.require("certificate", &place, findings);
        let key = files.key.require("key", &place, findings);
        Some(CertificateFiles {
            certificate: certificate?.into(),
            key: key?.into(),
        })
    });
    // Not collected at once: the problems of all of them are noted.
    let files: Vec<Option<CertificateFiles>> = files.collect();
    files.into_iter().collect()
}

fn client_auth(
    raw: Option<Placed<schema::ClientAuth>>,
    findings: &mut Findings,
) -> Option<ClientAuth> {
    let Some(Placed { value: raw, place }) = raw else {
        return Some(ClientAuth::None);
    };
    let with_authorities: fn(NamedFile) -> ClientAuth =
        match raw.mode.unless_invalid(|| ClientAuthMode::None)? {
            ClientAuthMode::None => {
                refuse_unasked(&raw.ca, findings);
                return Some(ClientAuth::None);
            }
            ClientAuthMode::Request => ClientAuth::Request,
            ClientAuthMode::Require => ClientAuth::Require,
        };
    let authorities = raw.ca.require("ca", &place, findings)?;
    Some(with_authorities(authorities.into()))
}

/// Notes authorities that are not used: an operator who names them wants to restrict access.
fn refuse_unasked(authorities: &Setting<PathBuf>, findings: &mut Findings) {
    if let Some(place) = authorities.place() {
        let message = "has no effect without `mode: request` or `mode: require`";
        findings.add(place, message);
    }
}
