//! A check of one backend: what is sent, and what passes. The server decides when checks are due, `judge` what follows.

use std::io;

use http::header::USER_AGENT;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::backend::Member;
use super::candidates::Setback as _;
use super::handshake::{self, Answer, Failure, Opening, RequestHead, Switched};
use crate::config::{ActiveHealth, Check, CheckRequest};
use crate::stream::Stream;
use crate::telemetry::CheckResult;
use crate::websocket::{
    CloseCode, ControlFrame, Event, Extensions, FrameTracker, Key, Opcode, Side, VERSION,
    write_name,
};

/// The payload of the Ping and its Pong.
const PING: &[u8] = b"health check";
/// The size of a read.
const CHUNK: usize = 4 * 1024;
/// How many bytes of other frames, such as a greeting, a backend may send before it answers.
const MOST_READ: usize = 1024 * 1024;

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Failed(#[from] Failure),
    #[error("it was not over in time")]
    Timeout,
    #[error("the status was {0}")]
    Status(StatusCode),
    #[error("it ended the connection before the {0}")]
    Lost(&'static str),
    #[error("it broke the protocol before the {0}")]
    Broken(&'static str),
    #[error("it sent too much before the {0}")]
    TooMuch(&'static str),
}

impl Fault {
    /// How the check is counted.
    pub(super) fn result(&self) -> CheckResult {
        match self {
            Self::Timeout
            | Self::Failed(
                Failure::LookupTimeout | Failure::ConnectTimeout | Failure::AnswerTimeout,
            ) => CheckResult::Timeout,
            Self::Failed(_)
            | Self::Status(_)
            | Self::Lost(_)
            | Self::Broken(_)
            | Self::TooMuch(_) => CheckResult::Failure,
        }
    }

    /// Whether the gateway itself lacks something: then the check says nothing of the backend.
    pub(super) fn is_our_own(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_our_own())
    }
}

/// Checks a backend once, within `settings.timeout`.
pub(super) async fn check(member: &Member, settings: &ActiveHealth) -> Result<(), Fault> {
    let deadline = Instant::now() + settings.timeout;
    let checking = async {
        let stream = member.dial(None, deadline).await?;
        match &settings.check {
            Check::Tcp => Ok(()),
            Check::Http(request, statuses) => {
                let status = ask(member, request, stream).await?;
                let passes = statuses
                    .iter()
                    .any(|range| range.contains(&status.as_u16()));
                passes.then_some(()).ok_or(Fault::Status(status))
            }
            Check::WebSocket(request) => converse(open(member, request, stream).await?).await,
        }
    };
    timeout_at(deadline, checking)
        .await
        .unwrap_or(Err(Fault::Timeout))
}

/// Sends a GET and returns the status of the answer; its body is not read.
async fn ask(member: &Member, request: &CheckRequest, stream: Stream) -> Result<StatusCode, Fault> {
    let head = head(member, request, "Connection: close\r\n");
    let opening = Opening::new(RequestHead::whole(head), Key::random(), None);
    match handshake::ask(stream, &opening, member.address()).await? {
        Answer::Other(answer, _) => Ok(answer.status()),
        Answer::Switched(_) => Err(Fault::Status(StatusCode::SWITCHING_PROTOCOLS)),
    }
}

/// Opens a session as a client does, and verifies the 101.
async fn open(member: &Member, request: &CheckRequest, stream: Stream) -> Result<Switched, Fault> {
    let key = Key::random();
    let fields = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: {VERSION}\r\n\
         Sec-WebSocket-Key: {}\r\n",
        key.as_bytes().escape_ascii(),
    );
    let head = RequestHead::whole(head(member, request, &fields));
    let opening = Opening::new(head, key, None);
    match handshake::ask(stream, &opening, member.address()).await? {
        Answer::Switched(switched) => Ok(switched),
        Answer::Other(answer, _) => Err(Fault::Status(answer.status())),
    }
}

fn head(member: &Member, request: &CheckRequest, fields: &str) -> Vec<u8> {
    let address = member.address().authority();
    let host = request.host.as_ref().unwrap_or(&address);
    let path = &request.path;
    let mut head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}").into_bytes();
    let is_named = |(name, _): &(HeaderName, HeaderValue)| *name == USER_AGENT;
    if !request.headers.iter().any(is_named) {
        head.extend_from_slice(b"User-Agent: wsgate\r\n");
    }
    for (name, value) in &request.headers {
        write_name(name, &mut head);
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A Ping and its Pong, a Close and its answer. Other frames of the backend are skipped.
async fn converse(switched: Switched) -> Result<(), Fault> {
    let mut conversation = Conversation {
        tracker: FrameTracker::new(Side::Backend, Extensions::agreed(&switched.headers)),
        unread: switched.early.to_vec(),
        read: switched.early.len(),
        stream: switched.stream,
    };
    let ping = ControlFrame::ping(Side::Client, PING);
    conversation.say(&ping, "Pong").await?;
    conversation.hear(Opcode::Pong, PING, "Pong").await?;
    let close = ControlFrame::close(Side::Client, CloseCode::NORMAL, "");
    conversation.say(&close, "Close").await?;
    conversation.hear(Opcode::Close, &[], "Close").await
}

struct Conversation {
    stream: Stream,
    tracker: FrameTracker,
    unread: Vec<u8>,
    /// Bytes read so far.
    read: usize,
}

impl Conversation {
    async fn say(&mut self, frame: &ControlFrame, awaited: &'static str) -> Result<(), Fault> {
        let lost = |_: io::Error| Fault::Lost(awaited);
        self.stream
            .write_all(frame.as_bytes())
            .await
            .map_err(lost)?;
        self.stream.flush().await.map_err(lost)
    }

    /// Reads until a control frame of this kind arrives whose payload begins with `begins`.
    async fn hear(
        &mut self,
        wanted: Opcode,
        begins: &[u8],
        awaited: &'static str,
    ) -> Result<(), Fault> {
        loop {
            let step = self.tracker.step(&self.unread);
            self.unread.drain(..step.consumed);
            match step.event {
                Event::NeedMore => self.read_more(awaited).await?,
                Event::Control { opcode, payload }
                    if opcode == wanted && payload.as_bytes().starts_with(begins) =>
                {
                    return Ok(());
                }
                Event::Violation(_) => return Err(Fault::Broken(awaited)),
                Event::Header { .. } | Event::DataEnd { .. } | Event::Control { .. } => {}
            }
        }
    }

    async fn read_more(&mut self, awaited: &'static str) -> Result<(), Fault> {
        if self.read > MOST_READ {
            return Err(Fault::TooMuch(awaited));
        }
        self.unread.reserve(CHUNK);
        let count = self.stream.read_buf(&mut self.unread).await;
        match count {
            Ok(0) | Err(_) => Err(Fault::Lost(awaited)),
            Ok(count) => {
                self.read += count;
                Ok(())
            }
        }
    }
}
