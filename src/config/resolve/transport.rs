//! How the backends of a pool are reached: PROXY header, source addresses, TLS.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::model::{BackendTls, CertificateFiles, NamedFile, ProxyProtocol, Transport};
use crate::config::problems::Findings;
use crate::config::reading::{Items, Placed, Setting};
use crate::config::schema;

/// `is_secure` tells whether a backend of the pool uses TLS.
pub(super) fn resolve(
    proxy_protocol: Setting<ProxyProtocol>,
    source_addresses: Setting<Items<IpAddr>>,
    tls: Setting<schema::BackendTls>,
    is_secure: bool,
    findings: &mut Findings,
) -> Option<Transport> {
    let tls = self::tls(tls, is_secure, findings);
    Some(Transport {
        proxy_protocol: proxy_protocol.or(ProxyProtocol::None),
        source_addresses: sources(source_addresses.or_default(), findings)?,
        tls: tls?,
    })
}

/// `None` if one is invalid.
fn sources(list: Items<IpAddr>, findings: &mut Findings) -> Option<Vec<IpAddr>> {
    let mut seen = BTreeSet::new();
    for Placed { value, place } in list.iter().flatten() {
        if !seen.insert(*value) {
            findings.add(place, "is in the list already");
        }
    }
    list.into_iter().map(|item| Some(item?.value)).collect()
}

/// `None` if invalid, `Some(None)` if no backend uses TLS.
fn tls(
    setting: Setting<schema::BackendTls>,
    is_secure: bool,
    findings: &mut Findings,
) -> Option<Option<BackendTls>> {
    let Some(Placed { value: raw, place }) = setting.placed() else {
        return Some(is_secure.then(BackendTls::default));
    };
    let mut is_sound = true;
    let mut complain = |message: &str| {
        findings.add(&place, message.to_owned());
        is_sound = false;
    };
    match (&raw.certificate, &raw.key) {
        (Setting::Given(_), Setting::Absent) => {
            complain("the key `key` is missing: a certificate is shown with its key");
        }
        (Setting::Absent, Setting::Given(_)) => {
            complain("the key `certificate` is missing: a key belongs to a certificate");
        }
        _ => {}
    }
    let identity = raw.certificate.placed().zip(raw.key.placed());
    let ca = raw.ca.placed();
    let server_name = raw.server_name.value();
    let is_empty = identity.is_none() && ca.is_none() && server_name.is_none();
    if !is_secure && !is_empty {
        complain("has no effect: no backend of the pool is reached by `wss://`");
    }
    let tls = BackendTls {
        ca: ca.map(NamedFile::from),
        server_name,
        identity: identity.map(|(certificate, key)| CertificateFiles {
            certificate: certificate.into(),
            key: key.into(),
        }),
    };
    is_sound.then(|| is_secure.then_some(tls))
}
