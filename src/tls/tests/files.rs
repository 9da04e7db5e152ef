//! Files that are read, and files that are refused with the reason.

use std::time::{Duration, SystemTime};

use rcgen::KeyPair;

use super::workshop::{
    Folder, authority, certificate, expired, expired_intermediate, older_form, pem, settings,
    with_critical_extension,
};
use crate::config::{CertificateFiles, ClientAuth, NamedFile};
use crate::tls::{Problem, Tickets, TlsError, self_signed, server, server_in_memory};

fn problems(certificates: Vec<CertificateFiles>) -> Vec<TlsError> {
    server(&settings(certificates), &Tickets::default()).unwrap_err()
}

#[test]
fn reads_pkcs8_and_sec1_keys() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let certificate = folder.write("local.crt", &certificate(&["localhost"], &key).pem());
    for text in [key.serialize_pem(), older_form(&key, "EC PRIVATE KEY")] {
        let key = folder.write("local.key", &text);
        let files = CertificateFiles {
            certificate: certificate.clone(),
            key,
        };
        server(&settings(vec![files]), &Tickets::default()).unwrap();
    }
}

#[test]
fn passes_over_a_byte_order_mark() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let certificate = certificate(&["localhost"], &key);
    let marked = |text: String| format!("\u{feff}{text}");
    let files = CertificateFiles {
        certificate: folder.write("local.crt", &marked(certificate.pem())),
        key: folder.write("local.key", &marked(key.serialize_pem())),
    };
    server(&settings(vec![files]), &Tickets::default()).unwrap();
}

// ring makes no RSA keys, and none is committed.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn reads_pkcs1_keys() {
    let folder = Folder::new();
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let files = CertificateFiles {
        certificate: folder.write("local.crt", &certificate(&["localhost"], &key).pem()),
        key: folder.write("local.key", &older_form(&key, "RSA PRIVATE KEY")),
    };
    server(&settings(vec![files]), &Tickets::default()).unwrap();
}

#[test]
fn tells_every_problem_of_every_file_at_once() {
    let folder = Folder::new();
    let nowhere: NamedFile = folder.write("none", "").with_file_name("nowhere").into();
    let good = folder.identity(&["good.example"]);
    let empty = folder.write("empty.pem", "no section\n");
    let errors = problems(vec![
        CertificateFiles {
            certificate: nowhere.clone(),
            key: empty.clone(),
        },
        good.clone(),
        CertificateFiles {
            certificate: empty.clone(),
            key: good.key,
        },
    ]);
    let files: Vec<_> = errors.iter().map(|error| &error.file).collect();
    assert_eq!(files, [&nowhere, &empty, &empty]);
    assert!(matches!(errors[0].problem, Problem::Unreadable(_)));
    assert!(matches!(errors[1].problem, Problem::NoKey));
    assert!(matches!(errors[2].problem, Problem::NoCertificate));
}

#[test]
fn refuses_the_key_of_another_certificate() {
    let folder = Folder::new();
    let (one, other) = (
        folder.identity(&["one.example"]),
        folder.identity(&["other.example"]),
    );
    let crossed = CertificateFiles {
        certificate: one.certificate,
        key: other.key.clone(),
    };
    let errors = problems(vec![crossed]);
    assert_eq!(errors[0].file, other.key);
    assert!(matches!(errors[0].problem, Problem::KeyMismatch));
}

#[test]
fn refuses_what_is_no_certificate_or_no_key_inside() {
    let folder = Folder::new();
    let good = folder.identity(&["good.example"]);
    let junk = folder.write("junk.crt", &pem("CERTIFICATE", b"junk"));
    let errors = problems(vec![CertificateFiles {
        certificate: junk,
        key: good.key,
    }]);
    assert!(matches!(errors[0].problem, Problem::BadCertificate(_)));
    let junk = folder.write("junk.key", &pem("PRIVATE KEY", b"junk"));
    let errors = problems(vec![CertificateFiles {
        certificate: good.certificate,
        key: junk,
    }]);
    assert!(matches!(errors[0].problem, Problem::UnusableKey));
}

#[test]
fn says_that_a_critical_extension_is_not_supported() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let files = CertificateFiles {
        certificate: folder.write("odd.crt", &with_critical_extension(&key).pem()),
        key: folder.write("odd.key", &key.serialize_pem()),
    };
    let error = &problems(vec![files])[0];
    assert!(error.to_string().contains("marked critical"), "{error}");
}

#[test]
fn names_the_file_of_authorities() {
    let folder = Folder::new();
    let mut tls = settings(vec![folder.identity(&["good.example"])]);
    let empty = folder.write("authorities.pem", "");
    tls.client_auth = ClientAuth::Require(empty.clone());
    let errors = server(&tls, &Tickets::default()).unwrap_err();
    assert_eq!(errors[0].file, empty);
    let junk = folder.write("junk.pem", &pem("CERTIFICATE", b"junk"));
    tls.client_auth = ClientAuth::Request(junk.clone());
    let errors = server(&tls, &Tickets::default()).unwrap_err();
    assert_eq!(errors[0].file, junk);
}

#[test]
fn serves_an_expired_certificate_and_tells_when_it_was_valid() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let files = CertificateFiles {
        certificate: folder.write("old.crt", &expired(&["Old.Example"], &key).pem()),
        key: folder.write("old.key", &key.serialize_pem()),
    };
    let tls = server(&settings(vec![files]), &Tickets::default()).unwrap();
    let info = &tls.certificates[0];
    assert_eq!(info.name, "old.example");
    let new_year_2021 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_609_459_200);
    let new_year_2020 = new_year_2021 - Duration::from_secs(366 * 24 * 60 * 60);
    assert_eq!(info.validity, new_year_2020..=new_year_2021);
    let second = Duration::from_secs(1);
    for (now, fault) in [
        (new_year_2020 - second, Some("is not valid yet")),
        (new_year_2020, None),
        (new_year_2021, None),
        (new_year_2021 + second, Some("has expired")),
    ] {
        let expected = fault.map(|fault| format!("the certificate old.example {fault}"));
        assert_eq!(info.warning(now), expected);
    }
}

#[test]
fn tells_of_an_intermediate_that_has_expired() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let leaf = certificate(&["new.example"], &key).pem();
    let chain_of = |issuer: &str| CertificateFiles {
        certificate: folder.write("chain.crt", &format!("{leaf}{issuer}")),
        key: folder.write("chain.key", &key.serialize_pem()),
    };
    let files = chain_of(&expired_intermediate(&key).pem());
    let tls = server(&settings(vec![files]), &Tickets::default()).unwrap();
    let info = &tls.certificates[0];
    let expected = "a certificate in the chain of new.example has expired";
    assert_eq!(info.warning(SystemTime::now()).as_deref(), Some(expected));
    assert!(info.validity.end() > info.chain_validity.end());
    let files = chain_of(&pem("CERTIFICATE", b"junk"));
    let error = &problems(vec![files])[0];
    assert!(matches!(error.problem, Problem::BadCertificate(_)));
}

#[test]
fn tells_nothing_of_an_issuer_that_is_not_supported_and_of_a_root() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let leaf = certificate(&["new.example"], &key).pem();
    let root = expired(&["root"], &key).pem();
    for issuer in [with_critical_extension(&key).pem(), root] {
        let files = CertificateFiles {
            certificate: folder.write("chain.crt", &format!("{leaf}{issuer}")),
            key: folder.write("chain.key", &key.serialize_pem()),
        };
        let tls = server(&settings(vec![files]), &Tickets::default()).unwrap();
        let info = &tls.certificates[0];
        assert_eq!(info.warning(SystemTime::now()), None);
        assert_eq!(info.validity, info.chain_validity);
    }
}

#[test]
fn a_certificate_for_addresses_only_goes_by_its_path() {
    let folder = Folder::new();
    let files = folder.identity(&["127.0.0.1", "::1"]);
    let path = files.certificate.display().to_string();
    let tls = server(&settings(vec![files]), &Tickets::default()).unwrap();
    assert_eq!(tls.certificates[0].name, path);
}

#[test]
fn the_fingerprint_follows_the_content_of_the_files() {
    let folder = Folder::new();
    let tickets = Tickets::default();
    let mut tls = settings(vec![folder.identity(&["localhost"])]);
    let before = server(&tls, &tickets).unwrap().fingerprint;
    assert_eq!(server(&tls, &tickets).unwrap().fingerprint, before);
    folder.identity(&["localhost"]);
    let renewed = server(&tls, &tickets).unwrap().fingerprint;
    assert_ne!(renewed, before);
    tls.client_auth = ClientAuth::Request(folder.write("ca.crt", &authority().pem()));
    assert_ne!(server(&tls, &tickets).unwrap().fingerprint, renewed);
}

#[test]
fn makes_ticket_keys_for_who_needs_them() {
    let folder = Folder::new();
    let tickets = Tickets::default();
    let mut tls = settings(vec![folder.identity(&["localhost"])]);
    assert!(!tickets.are_made());
    let authority = folder.write("ca.crt", &authority().pem());
    tls.client_auth = ClientAuth::Request(authority);
    server(&tls, &tickets).unwrap();
    assert!(!tickets.are_made(), "nobody resumes with a certificate");
    tls.client_auth = ClientAuth::None;
    server(&tls, &tickets).unwrap();
    assert!(tickets.are_made());
}

#[test]
fn makes_a_certificate_in_memory() {
    let (certificate, key) = self_signed(&["localhost", "*.localhost", "127.0.0.1"]).unwrap();
    let timeout = Duration::from_secs(10);
    let tickets = Tickets::default();
    let tls = server_in_memory(vec![certificate], key, timeout, &tickets).unwrap();
    assert_eq!(tls.certificates[0].name, "localhost");
    assert_eq!(tls.certificates[0].warning(SystemTime::now()), None);
}
