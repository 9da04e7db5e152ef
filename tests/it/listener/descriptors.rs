//! Descriptors that are used up.

use tokio::net::UnixStream;

use crate::backends::Backend;
use crate::harness::{Opening, Wire, before, repeatedly, soon};
use crate::process::Process;
use crate::venue::Arrivals;

use super::{REQUEST, ROUTE};

#[tokio::test]
async fn accepting_pauses_while_descriptors_are_used_up_and_goes_on() {
    // It needs half of them itself.
    let process = Process::start_with_descriptors(64, ROUTE).await;
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

/// Plain requests through a process with 100 descriptors, until they are used up, and as long as this lives.
struct Crowd {
    process: Process,
    clients: Vec<Wire<UnixStream>>,
    held: Vec<Wire>,
    arrivals: Arrivals,
}

impl Crowd {
    /// The backend at `host` takes what comes and answers nothing, so each request keeps two.
    async fn gather(host: &str) -> Self {
        let arrivals = Arrivals::listen().await;
        let yaml = format!(
            "    timeouts: {{ request_header: 1h }}\n\
             runtime: {{ workers: 1 }}\n\
             routes: {{ app: {{ protocols: [http], pool: app }} }}\n\
             pools: {{ app: {{ backends: [\"{}\"] }} }}\n",
            arrivals.url().replace("127.0.0.1", host)
        );
        let mut crowd = Self {
            process: Process::start_with_descriptors(100, &yaml).await,
            clients: Vec::new(),
            held: Vec::new(),
            arrivals,
        };
        for _ in 0..50 {
            crowd.clients.push(crowd.process.connect().await);
        }
        let statuses = crowd.ask().await;
        assert!(
            !statuses.is_empty() && statuses.iter().all(|status| *status == 503),
            "{statuses:?}"
        );
        crowd
    }

    /// The statuses of those that do not reach the backend.
    async fn ask(&mut self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for client in &mut self.clients {
            client.send(REQUEST).await;
            tokio::select! {
                answer = client.answer() => statuses.push(answer.status()),
                (_, backend) = self.arrivals.met() => self.held.push(backend),
            }
        }
        statuses
    }
}

/// Looking up a name takes one, too.
#[tokio::test]
async fn a_want_of_descriptors_is_not_held_against_a_backend_with_a_name() {
    let crowd = Crowd::gather("localhost").await;
    let metrics = crowd.process.metrics().await;
    let failed = [("result", "resolve_failed")];
    let failed = metrics.value("wsgate_backend_connects_total", &failed);
    assert_eq!(failed.unwrap_or_default(), 0.0);
    assert_eq!(metrics.value("wsgate_backend_up", &[]), Some(1.0));
}

/// That is when an operator wants to change something.
#[tokio::test]
async fn plain_requests_leave_descriptors_for_a_reload() {
    let crowd = Crowd::gather("127.0.0.1").await;
    let (code, words) = crowd.process.ask_for_reload().await;
    assert_eq!(code, Some(0), "{words}");
}
