//! Makes certificates and keys in every form in which they may lie on disk.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

use crate::config::{CertificateFiles, ClientAuth, NamedFile, Tls, TlsVersion};

/// A folder that is gone after the test.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn write(&self, name: &str, content: &str) -> NamedFile {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.into()
    }

    /// Writes a certificate for `names` with its key, and says where they are.
    pub(super) fn identity(&self, names: &[&str]) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let stem = names
            .first()
            .map_or("nobody", |name| name.trim_start_matches("*."));
        CertificateFiles {
            certificate: self.write(&format!("{stem}.crt"), &certificate(names, &key).pem()),
            key: self.write(&format!("{stem}.key"), &key.serialize_pem()),
        }
    }
}

/// A certificate for `names`, signed by its own key.
pub(super) fn certificate(names: &[&str], key: &KeyPair) -> Certificate {
    parameters(names).self_signed(key).unwrap()
}

/// A certificate that ended with the year 2020.
pub(super) fn expired(names: &[&str], key: &KeyPair) -> Certificate {
    in_2020(names).self_signed(key).unwrap()
}

/// An intermediate that ended with the year 2020.
pub(super) fn expired_intermediate(key: &KeyPair) -> Certificate {
    let mut parameters = in_2020(&["intermediate"]);
    let name = &mut parameters.distinguished_name;
    name.push(DnType::CommonName, "intermediate");
    parameters.signed_by(key, &authority()).unwrap()
}

fn in_2020(names: &[&str]) -> CertificateParams {
    let mut parameters = parameters(names);
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2021, 1, 1);
    parameters
}

/// A certificate with an unknown critical extension.
pub(super) fn with_critical_extension(key: &KeyPair) -> Certificate {
    let mut parameters = parameters(&["odd.example"]);
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999], vec![5, 0]);
    extension.set_criticality(true);
    parameters.custom_extensions.push(extension);
    parameters.self_signed(key).unwrap()
}

/// An authority that can sign.
pub(super) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = parameters(&["authority"]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

pub(super) fn parameters(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// The older form of a key as PEM: a PKCS#8 key holds it whole (RFC 5958 section 2, privateKey).
pub(super) fn older_form(key: &KeyPair, label: &str) -> String {
    let mut der = content(key.serialized_der(), 0x30).0;
    let (_version, after_version) = content(der, 0x02);
    let (_algorithm, after_algorithm) = content(after_version, 0x30);
    der = content(after_algorithm, 0x04).0;
    pem(label, der)
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// The content of the DER element at the front, which has this tag, and what follows it.
fn content(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag);
    let (length, start) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        0x81 => (usize::from(der[2]), 3),
        0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        other => panic!("a key of {other:#x} length bytes"),
    };
    (&der[start..start + length], &der[start + length..])
}

/// The settings of a listener with these certificates and defaults for the rest.
pub(super) fn settings(certificates: Vec<CertificateFiles>) -> Tls {
    Tls {
        certificates,
        min_version: TlsVersion::Tls12,
        handshake_timeout: Duration::from_secs(10),
        client_auth: ClientAuth::None,
        http2: true,
    }
}
