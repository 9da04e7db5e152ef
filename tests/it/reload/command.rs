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
    process.rewrite(&BEFORE.replace("before", "after"));
    let (code, said) = process.ask_for_reload().await;
    assert_eq!((code, &*said), (Some(0), "changed route fixed\nreloaded\n"));
    assert_eq!(process.ask().await.body, "after");
    process.rewrite(&BEFORE.replace("routes", "roots"));
    let (code, said) = process.ask_for_reload().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("wsgate.yaml:5:1: roots: unknown key"),
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
