//! A whole tunnel between two peers that write, read and pause as the input says: whatever they do, each gets the frames
//! of the other, unchanged and in order, with frames of the gateway only in between; and the tunnel ends.
//!
//! Time is tokio's and paused, so that a run takes no time and does not depend on the load of the machine.

#![no_main]

mod input;
mod peer;
mod script;
mod walk;

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tokio::time::{Instant, sleep, timeout};
use wsgate::config::{AccessLog, Log, LogFormat, Name, OnProtocolError, Ping, WebSocket};
use wsgate::drain::{Drain, Plan};
use wsgate::session;
use wsgate::stream::Stream;
use wsgate::telemetry::{Connection, FlushGuard, Request, SessionRecord, Telemetry};
use wsgate::tunnel::{Account, Agreed, End, Terms, Tunnel, Words};
use wsgate::websocket::{CloseCode, Extensions, Side};

use input::Input;
use peer::{Kept, Peer};
use script::Script;

/// Longer than all timeouts of a tunnel together.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);
/// What well-behaved peers may take beside their own pauses.
const PATIENCE: Duration = Duration::from_secs(2);

static TELEMETRY: LazyLock<(Arc<Telemetry>, FlushGuard)> = LazyLock::new(|| {
    let settings = Log {
        format: LogFormat::Json,
        level: tracing::Level::INFO,
        access: AccessLog {
            open: false,
            close: false,
            request: false,
            redact_query: true,
        },
    };
    Telemetry::with_writer(&settings, io::sink()).expect("a thread can be started")
});

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let case = Case::read(&mut input);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(case.run());
});

/// Two peers and the settings of their tunnel.
struct Case {
    terms: Terms,
    drain_after: Option<Duration>,
    client: Script,
    backend: Script,
}

impl Case {
    fn read(input: &mut Input<'_>) -> Self {
        let choices = input.byte();
        let chosen = |bit: u8| choices & 1 << bit != 0;
        let websocket = WebSocket {
            idle: Some(Duration::from_secs(300)),
            ping: chosen(0).then_some(Ping {
                interval: Duration::from_millis(1 + u64::from(input.byte())),
                timeout: Duration::from_secs(600),
                client: true,
                backend: true,
            }),
            max_message_size: chosen(1).then(|| u64::from(input.byte()) * 64),
            max_messages_per_second: None,
            max_age: None,
            max_age_jitter: 0.0,
            stall: chosen(2).then_some(Duration::from_secs(200)),
            on_protocol_error: match chosen(3) {
                true => OnProtocolError::Pass,
                false => OnProtocolError::Close,
            },
            backend_lost_code: Some(1014),
        };
        let drain_after = chosen(4).then(|| Duration::from_millis(input.byte().into()));
        let is_sound = !chosen(5);
        Self {
            terms: terms(websocket),
            drain_after,
            client: Script::read(Side::Client, is_sound, input),
            backend: Script::read(Side::Backend, is_sound, input),
        }
    }

    /// Whether nothing but the peers' own Closes ends the session, so that everything has to arrive.
    fn is_peaceful(&self) -> bool {
        self.drain_after.is_none()
            && self.terms.websocket.max_message_size.is_none()
            && self.client.is_sound
            && self.backend.is_sound
    }

    async fn run(self) {
        let is_peaceful = self.is_peaceful();
        let pauses = self.client.pauses() + self.backend.pauses();
        let scripts = [&self.client, &self.backend].map(Script::stream);
        let [early_up, early_down] = [&self.client, &self.backend].map(Script::early);
        let [client, backend] = [Peer::play(self.client), Peer::play(self.backend)];
        let [to_client, to_backend] = [Arc::clone(&client.kept), Arc::clone(&backend.kept)];
        let drain = Drain::default();
        let ends = [
            End {
                stream: Stream::Shared(Box::new(client)),
                early: &early_up,
            },
            End {
                stream: Stream::Shared(Box::new(backend)),
                early: &early_down,
            },
        ];
        let account = Account {
            watches: [drain.watch(), drain.watch(), drain.watch()],
            record: record(),
            lease: (),
        };
        let agreed = Agreed {
            terms: Arc::new(self.terms),
            extensions: Extensions::None,
        };
        let began = Instant::now();
        let draining = async {
            if let Some(after) = self.drain_after {
                sleep(after).await;
                drain.begin(Plan::now(Duration::ZERO));
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = timeout(FOREVER, Tunnel::new(ends, agreed, account, ())) => ended.expect("the tunnel ends"),
            () = draining => {}
        }
        let took = began.elapsed();
        assert!(
            !is_peaceful || took <= pauses + PATIENCE,
            "{took:?} with pauses of {pauses:?}"
        );
        check(&scripts[0], &to_backend, is_peaceful);
        check(&scripts[1], &to_client, is_peaceful);
    }
}

/// What a peer got is what the other one sent, with frames of the gateway in between.
fn check(sent: &[u8], kept: &Kept, is_whole: bool) {
    let kept = kept.lock().expect("no other thread");
    let passed = walk::passed(sent, &kept.received);
    assert!(
        kept.has_ended || kept.is_reset || kept.is_broken,
        "the stream is ended"
    );
    assert!(
        !is_whole || passed == sent.len(),
        "{passed} of {} bytes",
        sent.len()
    );
}

fn terms(websocket: WebSocket) -> Terms {
    Terms {
        close: Duration::from_secs(600),
        half_close: Duration::from_secs(3600),
        websocket,
        drain: Words {
            code: CloseCode::SERVICE_RESTART,
            reason: "service restart".to_owned(),
        },
    }
}

fn record() -> SessionRecord {
    let telemetry = &TELEMETRY.0;
    let connection = Connection {
        listener: telemetry.metrics.listener(&Name::from("public")),
        peer: session::Peer::Unix,
        tls_version: None,
    };
    let request = http::Request::new(());
    let facts = Request {
        id: "request",
        peer: connection.peer,
        method: None,
        host: b"",
        target: None,
        version: request.version(),
        headers: request.headers(),
    };
    let mut record = SessionRecord::begin(telemetry, &connection, facts);
    record.open();
    record
}
