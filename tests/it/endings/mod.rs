//! Every reason for which a session ends: what each side is told, byte by byte, and what the operator reads.

mod closes;
mod drain;
mod injection;
mod keepalive;
mod limits;
mod losses;
mod protocol;
mod stall;
mod time;

use serde_json::Value;

use crate::harness::{Speaker, Wire, eventually};
use crate::venue::{Arrivals, Side, Transport, Venue, reset};

/// Both ends of a session in the scenario's hands.
struct Pair {
    client: Wire<Side>,
    backend: Wire<Side>,
}

impl Pair {
    /// Opens a session, with these fields (each ended by a line end) in the backend's answer.
    async fn agreed(venue: &Venue, fields: &str) -> Self {
        Self::open(venue.connect().await, &venue.arrivals, fields).await
    }

    async fn new(venue: &Venue) -> Self {
        Self::agreed(venue, "").await
    }

    async fn open(mut client: Wire<Side>, arrivals: &Arrivals, fields: &str) -> Self {
        client.send(crate::harness::Opening::to("/").text()).await;
        let mut backend = arrivals.asked().await;
        let agreement = crate::venue::agreement();
        let head = agreement.trim_end_matches("\r\n");
        backend.send(format!("{head}\r\n{fields}\r\n")).await;
        assert_eq!(client.head().await.status(), 101);
        Self {
            client,
            backend: Wire::new(Box::new(backend.into_stream())),
        }
    }

    /// The side of `speaker` and the other one.
    fn sides(&mut self, speaker: Speaker) -> (&mut Wire<Side>, &mut Wire<Side>) {
        match speaker {
            Speaker::Client => (&mut self.client, &mut self.backend),
            Speaker::Backend => (&mut self.backend, &mut self.client),
        }
    }

    /// `speaker` sends these bytes and the other side gets exactly them.
    async fn passes(&mut self, speaker: Speaker, bytes: &[u8]) {
        let (from, to) = self.sides(speaker);
        from.send(bytes).await;
        to.expect(bytes).await;
    }

    /// Resets the client's connection; the backend's is left.
    fn reset_client(self) -> Wire<Side> {
        reset(&*self.client.into_stream());
        self.backend
    }

    /// Both sides say Close, as they have to when they were told one, and get the end of the stream and
    /// nothing before it.
    async fn answer(&mut self) {
        for speaker in [Speaker::Client, Speaker::Backend] {
            self.side(speaker).send(speaker.close(1000, "")).await;
        }
        for speaker in [Speaker::Client, Speaker::Backend] {
            self.side(speaker).expect_end().await;
            self.side(speaker).end().await;
        }
    }

    fn side(&mut self, speaker: Speaker) -> &mut Wire<Side> {
        self.sides(speaker).0
    }
}

/// What the operator reads of the only session in the access log.
async fn expect_line(venue: &Venue, initiator: &str, code: Option<u16>, reason: &str) {
    let line = venue.gateway.line("close").await;
    assert_eq!(line["close_initiator"], initiator, "{line}");
    assert_eq!(
        line["close_code"],
        code.map_or(Value::Null, Value::from),
        "{line}"
    );
    assert_eq!(line["close_reason"], reason, "{line}");
}

/// What the operator reads of the only session, in the access log and in the metrics.
async fn expect_closure(venue: &Venue, initiator: &str, code: Option<u16>, reason: &str) {
    expect_line(venue, initiator, code, reason).await;
    let code = code.map_or("none".to_owned(), |code| match code {
        3000.. => format!("{}xxx", code / 1000),
        _ => code.to_string(),
    });
    let labels = [
        ("route", "chat"),
        ("initiator", initiator),
        ("code", &code),
        ("reason", reason),
    ];
    let closed = || venue.gateway.count("wsgate_sessions_closed_total", &labels);
    eventually("the end is counted", || closed() == 1.0).await;
    let all = [("route", "chat")];
    assert_eq!(
        venue.gateway.count("wsgate_sessions_closed_total", &all),
        1.0
    );
}

async fn patient(transport: Transport) -> Venue {
    Venue::start(transport).await
}

/// A venue with these keys of `defaults.websocket`, where no deadline comes.
async fn with_websocket(transport: Transport, keys: &str) -> Venue {
    let more = format!(
        "defaults: {{ timeouts: {{ close: 1h, half_close: 1h }}, websocket: {{ {keys} }} }}\n"
    );
    Venue::start_with(transport, &more).await
}
