//! Settings of the whole gateway: what a reload brings about at once, for new sessions, or not at all.

use rustix::process::Signal;
use wsgate::admin::ReloadReport;

use crate::backends::Backend;
use crate::harness::{Gateway, before, close_code, eventually, open};
use crate::process::Process;

const ROUTE: &str = "routes: { fixed: { match: { path: /in }, respond: { status: 200 } } }\n";

#[tokio::test]
async fn what_takes_a_restart_is_told_and_stays_as_it_was() {
    let gateway = Gateway::start(ROUTE).await;
    let other = "admin: { address: \"127.0.0.2:0\" }\n\
                 runtime: { workers: 1, io_uring: false }\n\
                 log: { format: text }\n";
    gateway.rewrite(&format!("{other}{ROUTE}"));
    let ReloadReport::Taken { changes, .. } = gateway.reload().await else {
        panic!("a sound file is refused");
    };
    let ReloadReport::Unchanged { changes: again } = gateway.reload().await else {
        panic!("the same file is another one");
    };
    // They come first: the log shows only the beginning of a long list.
    for key in [
        "admin.address",
        "log.format",
        "runtime.workers",
        "runtime.io_uring",
    ] {
        let told = format!("{key} takes effect after a restart");
        assert!(changes[..4].contains(&told), "{key} in {changes:?}");
        assert!(again.contains(&told), "{key} in {again:?}");
    }
    assert_eq!(changes.len(), 4, "{changes:?}");
    assert_eq!(gateway.admin("GET", "/healthz").await.status(), 200);
    // Lines are read as JSON.
    assert!(gateway.lines_so_far().await.is_empty());
}

#[tokio::test]
async fn a_drain_has_the_times_of_now_and_the_words_of_when_the_session_opened() {
    let backend = Backend::echo().await;
    let yaml = |drain: &str| format!("{}drain: {{ {drain} }}\n", before(&[&backend]));
    let old = yaml("window: 1h, deadline: 2h, close_code: 1001");
    let gateway = Gateway::start(&old).await;
    let mut first = open(gateway.address(), "/").await;
    gateway.change(&yaml("window: 0s, deadline: 1h")).await;
    let mut second = open(gateway.address(), "/").await;
    gateway.stop().await;
    assert_eq!(close_code(&mut first).await, 1001);
    assert_eq!(close_code(&mut second).await, 1012);
}

#[tokio::test]
async fn the_level_of_the_log_changes_at_once() {
    let yaml = |level: &str| format!("{ROUTE}log: {{ level: {level} }}\n");
    let process = Process::start(&yaml("error")).await;
    assert_eq!(process.log(), "");
    process.rewrite(&yaml("info"));
    process.signal(Signal::HUP);
    let is_told = || process.log().contains("configuration reloaded");
    eventually("a line of the new level", is_told).await;
}
