//! Descriptors that are used up.

use crate::backends::Backend;
use crate::harness::{Opening, before, repeatedly, soon};
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

/// A session takes two, so the gateway refuses in words what its backend would lack one for.
#[tokio::test]
async fn sessions_are_refused_before_descriptors_run_out() {
    let backend = Backend::echo().await;
    let yaml = format!("{}runtime: {{ workers: 2 }}\n", before(&[&backend]));
    let process = Process::start_with_descriptors(300, &yaml).await;
    let mut sessions = Vec::new();
    let refusal = loop {
        let mut wire = process.connect().await;
        wire.send(Opening::to("/").text()).await;
        let answer = wire.answer().await;
        if answer.status() != 101 {
            break answer;
        }
        sessions.push(wire);
    };
    assert_eq!(refusal.status(), 503, "{refusal:?}");
    assert!(refusal.value("retry-after").is_some());
    // A quarter is for other things.
    assert_eq!(sessions.len(), 112);
    let metrics = process.metrics().await;
    let refused = metrics.value("wsgate_handshakes_total", &[("result", "gateway_full")]);
    assert_eq!(refused, Some(1.0));
}
