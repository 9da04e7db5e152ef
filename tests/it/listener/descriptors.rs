//! Descriptors that are used up.

use crate::backends::Backend;
use crate::harness::{Opening, before, repeatedly, soon};
use crate::process::Process;
use crate::venue::Arrivals;

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
    let process = Process::start_with_descriptors(160, &yaml).await;
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
    // Half of them and more is for other things.
    assert_eq!(sessions.len(), 40);
    let metrics = process.metrics().await;
    let refused = metrics.value("wsgate_handshakes_total", &[("result", "gateway_full")]);
    assert_eq!(refused, Some(1.0));
}

/// Looking up a name takes one, too.
#[tokio::test]
async fn a_want_of_descriptors_is_not_held_against_a_backend_with_a_name() {
    let arrivals = Arrivals::listen().await;
    let yaml = format!(
        "runtime: {{ workers: 1 }}\n\
         routes: {{ app: {{ protocols: [http], pool: app }} }}\n\
         pools: {{ app: {{ backends: [\"{}\"] }} }}\n",
        arrivals.url().replace("127.0.0.1", "localhost")
    );
    let process = Process::start_with_descriptors(100, &yaml).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(process.connect().await);
    }
    // The backend takes what comes and answers nothing, so each keeps two.
    let mut held = Vec::new();
    let mut statuses = Vec::new();
    for client in &mut clients {
        client.send(REQUEST).await;
        tokio::select! {
            answer = client.answer() => statuses.push(answer.status()),
            (_, backend) = arrivals.met() => held.push(backend),
        }
    }
    assert!(
        !statuses.is_empty() && statuses.iter().all(|status| *status == 503),
        "{statuses:?}"
    );
    // Room for who asks the admin side.
    drop(clients);
    let metrics = process.metrics().await;
    let failed = [("result", "resolve_failed")];
    let failed = metrics.value("wsgate_backend_connects_total", &failed);
    assert_eq!(failed.unwrap_or_default(), 0.0);
    assert_eq!(metrics.value("wsgate_backend_up", &[]), Some(1.0));
}
