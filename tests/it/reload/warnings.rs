//! What is sound and may surprise is said when it comes into force.

use rustix::process::Signal;

use rcgen::date_time_ymd;
use tempfile::TempDir;

use crate::harness::{Gateway, Identity, directory, eventually};
use crate::process::Process;

const NO_SECRET: &str = "pools.chat.sticky: there is no `secret`";

fn yaml(sticky: &str) -> String {
    format!(
        "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ sticky: {sticky}, backends: [\"ws://127.0.0.1:1\"] }} }}\n"
    )
}

#[tokio::test]
async fn a_sticky_pool_without_a_secret_is_told_at_start_and_at_reload() {
    let process = Process::start(&yaml("{}")).await;
    let told = || process.log().matches(NO_SECRET).count();
    eventually("it is told at the start", || told() == 1).await;
    process.rewrite(&yaml("{ ttl: 1h }"));
    process.signal(Signal::HUP);
    eventually("it is told again", || told() == 2).await;
    process.rewrite(&yaml("{ secret: 0123456789abcdef0123456789abcdef }"));
    process.signal(Signal::HUP);
    let reloads = || process.log().matches("configuration reloaded").count();
    eventually("the secret is taken", || reloads() == 2).await;
    assert_eq!(told(), 2);
}

/// `tls` with certificates of these files, all with one name; that which is called `old` has expired, `early` is not
/// valid yet.
fn tls(directory: &TempDir, stems: &[&str]) -> String {
    let make = |stem: &&str| {
        let identity = Identity::make_as(directory.path(), stem, &["same.test"], |params| {
            let begin = if *stem == "early" { 2998 } else { 2020 };
            params.not_before = date_time_ymd(begin, 1, 1);
            let end = if *stem == "old" { 2021 } else { 2999 };
            params.not_after = date_time_ymd(end, 1, 1);
        });
        identity.yaml()
    };
    let certificates = stems.iter().map(make).collect::<Vec<_>>().join(", ");
    format!("    tls: {{ certificates: [{certificates}] }}\n{FIXED}")
}

const FIXED: &str = "routes: { fixed: { respond: { status: 200, body: in } } }\n";

#[tokio::test]
async fn a_certificate_that_has_expired_is_told_at_start_and_at_reload() {
    let directory = directory();
    let process = Process::start(&tls(&directory, &["old"])).await;
    let told = || {
        let words = "the certificate same.test has expired";
        process.log().matches(words).count()
    };
    eventually("it is told at the start", || told() == 1).await;
    process.rewrite(&tls(&directory, &["new", "old"]));
    process.signal(Signal::HUP);
    eventually("it is told again", || told() == 2).await;
    process.rewrite(&tls(&directory, &["new"]));
    process.signal(Signal::HUP);
    let reloads = || process.log().matches("configuration reloaded").count();
    eventually("it is taken out", || reloads() == 2).await;
    assert_eq!(told(), 2);
}

/// The backends would refuse every connection.
#[tokio::test]
async fn a_client_certificate_that_has_expired_is_told_at_start_and_by_check() {
    let directory = directory();
    let identity = Identity::make_as(directory.path(), "old", &["same.test"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let yaml = format!(
        "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
         pools: {{ chat: {{ tls: {{ ca: {0}.crt, certificate: {0}.crt, key: {0}.key }}, \
         backends: [\"wss://127.0.0.1:1\"] }} }}\n",
        identity.certificate.with_extension("").display()
    );
    let told = "the certificate same.test has expired (pool chat)";
    let process = Process::start(&yaml).await;
    let count = || process.log().matches(told).count();
    eventually("it is told", || count() == 1).await;
    let (code, said) = process.check().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("warning: {told}")), "{said}");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_told() {
    let directory = directory();
    let process = Process::start(&tls(&directory, &["new", "early"])).await;
    let words = "the certificate same.test is not valid yet";
    eventually("it is told", || process.log().matches(words).count() == 1).await;
}

#[tokio::test]
async fn of_certificates_with_one_name_the_first_end_is_shown() {
    let directory = directory();
    for stems in [["old", "new"], ["new", "old"]] {
        let listener = "listeners:\n  main:\n    address: \"127.0.0.1:0\"\n";
        let yaml = listener.to_owned() + &tls(&directory, &stems);
        let gateway = Gateway::start(&yaml).await;
        let name = [("listener", "main"), ("name", "same.test")];
        let end = gateway.count("wsgate_tls_certificate_not_after_timestamp_seconds", &name);
        assert_eq!(end, 1_609_459_200.0, "2021-01-01");
    }
}
