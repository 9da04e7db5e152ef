//! Descriptors that are used up.

use crate::harness::{repeatedly, soon};
use crate::process::Process;

use super::{REQUEST, ROUTE};

#[tokio::test]
async fn accepting_pauses_while_descriptors_are_used_up_and_goes_on() {
    let process = Process::start_with_descriptors(40, ROUTE).await;
    let mut crowd = Vec::new();
    for _ in 0..60 {
        crowd.push(process.connect().await);
    }
    let mut last = process.connect().await;
    last.send(REQUEST).await;
    // The admin side is asked while nothing is left for the listener.
    let labels = [("listener", "main"), ("reason", "accept_failed")];
    let has_failed = async || {
        let metrics = process.metrics().await;
        let failed = metrics.value("wsgate_listener_rejects_total", &labels);
        failed.is_some_and(|failed| failed > 0.0).then_some(())
    };
    repeatedly("accepting pauses", has_failed).await;
    drop(crowd);
    assert_eq!(soon("an answer", last.answer()).await.body, "in");
}
