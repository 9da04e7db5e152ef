//! Descriptors that are used up.

use crate::harness::soon;
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
    drop(crowd);
    assert_eq!(soon("an answer", last.answer()).await.body, "in");
    let labels = [("listener", "main"), ("reason", "accept_failed")];
    let failed = process
        .metrics()
        .await
        .value("wsgate_listener_rejects_total", &labels);
    assert!(failed.is_some_and(|failed| failed > 0.0), "{failed:?}");
}
