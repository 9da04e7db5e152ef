//! `wsgate reload`, which asks a running gateway.

use rustix::process::Signal;

use crate::harness::eventually;
use crate::process::Process;

const BEFORE: &str = "routes: { fixed: { respond: { status: 200, body: before } } }\n";

#[tokio::test]
async fn says_what_came_of_it_and_ends_accordingly() {
    let process = Process::start(BEFORE).await;
    let (code, said) = process.ask_for_reload().await;
    assert_eq!((code, &*said), (Some(0), "the configuration is the same\n"));
    let is_same = |line: &&str| line.contains("configuration is the same");
    let logged = || process.log().lines().find(is_same).map(str::to_owned);
    eventually("a line about it", || logged().is_some()).await;
    let line = logged().expect("a line");
    assert!(!line.contains("changes"), "{line}");
    process.rewrite(&BEFORE.replace("before", "after"));
    let (code, said) = process.ask_for_reload().await;
    assert_eq!((code, &*said), (Some(0), "changed route fixed\nreloaded\n"));
    assert_eq!(process.ask().await.body, "after");
    process.rewrite(&BEFORE.replace("routes", "roots"));
    let (code, said) = process.ask_for_reload().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("wsgate.yaml:6:1: roots: unknown key"),
        "{said}"
    );
    assert!(
        said.ends_with("refused: the configuration before stays in force\n"),
        "{said}"
    );
    let labels = [("result", "failure")];
    let failures = process
        .metrics()
        .await
        .value("wsgate_config_reloads_total", &labels);
    assert_eq!(failures, Some(1.0));
}

#[tokio::test]
async fn is_refused_by_one_that_stops() {
    let yaml = "drain: { grace: 1h, deadline: 2h }\n".to_owned() + BEFORE;
    let process = Process::start(&yaml).await;
    process.signal(Signal::TERM);
    eventually("it stops", || process.log().contains("draining")).await;
    let (code, said) = process.ask_for_reload().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("the gateway is stopping\n"), "{said}");
}

#[tokio::test]
async fn asks_whom_the_file_names_whatever_else_is_wrong_with_it() {
    let process = Process::start(BEFORE).await;
    process.rewrite(&BEFORE.replace("before", "'${UNSET}'"));
    let (code, said) = process.ask_for_reload().await;
    assert_eq!(code, Some(1), "{said}");
    let refused = "refused: the configuration before stays in force\n";
    assert!(said.ends_with(refused), "{said}");
    process.rewrite("]");
    let (code, said) = process.ask_for_reload().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(": not valid YAML"), "{said}");
}

#[tokio::test]
async fn asks_whom_it_is_told_to_instead() {
    let (one, other) = (Process::start(BEFORE).await, Process::start(BEFORE).await);
    other.rewrite(&BEFORE.replace("before", "after"));
    let admin = other.admin_address();
    let (code, said) = one.ask_for_reload_with(&["--admin", &admin]).await;
    assert_eq!((code, &*said), (Some(0), "changed route fixed\nreloaded\n"));
    assert_eq!(other.ask().await.body, "after");
}
