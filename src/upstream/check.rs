//! A check of one backend: what is sent, and what passes. The server decides when checks are due, `judge` what follows.

use std::io;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::asked::Asked;
use super::backend::Member;
use super::candidates::Setback as _;
use super::connection::ConnectionTask;
use super::failure::Failure;
use super::handshake::{self, Answer, Opening, RequestHead, Switched};
use crate::config::{ActiveHealth, Check, CheckRequest};
use crate::fields::write_name;
use crate::stream::Stream;
use crate::telemetry::CheckResult;
use crate::websocket::{
    Close, CloseCode, ControlFrame, Event, Extensions, FrameTracker, Key, Opcode, Side, VERSION,
};

/// The payload of the Ping and its Pong.
const PING: &[u8] = b"health check";
/// The size of a read.
const CHUNK: usize = 4 * 1024;
/// How long the answer to [`greet`] may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
/// How many bytes of other frames, such as a greeting, a backend may send before it answers, and how many bytes of an answer are
/// read.
const MOST_READ: usize = 1024 * 1024;

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckFault {
    #[error("{0}")]
    Failed(#[from] Failure),
    #[error("there was no {0} in time")]
    Late(&'static str),
    #[error("the status was {0}")]
    Status(StatusCode),
    #[error("it sent {0} before the {1}")]
    Closed(String, &'static str),
    #[error("it ended the connection before the {0}")]
    Lost(&'static str),
    #[error("it broke the protocol before the {0}")]
    Broken(&'static str),
    #[error("it sent too much before the {0}")]
    TooMuch(&'static str),
}

impl CheckFault {
    /// How the check is counted.
    pub(super) fn result(&self) -> CheckResult {
        match self {
            Self::Late(_)
            | Self::Failed(
                Failure::LookupTimeout
                | Failure::ConnectTimeout
                | Failure::TlsTimeout
                | Failure::AnswerTimeout,
            ) => CheckResult::Timeout,
            Self::Failed(_)
            | Self::Status(_)
            | Self::Closed(..)
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
pub(super) async fn run(member: &Member, settings: &ActiveHealth) -> Result<(), CheckFault> {
    let deadline = Instant::now() + settings.timeout;
    let mut stream = member.dial(None, deadline).await?;
    match &settings.check {
        Check::Tcp => {
            end(&mut stream, deadline).await;
            Ok(())
        }
        Check::Http(request, statuses) => {
            let status = get(member, request, stream, deadline).await?;
            let passes = statuses
                .iter()
                .any(|range| range.contains(&status.as_u16()));
            passes.then_some(()).ok_or(CheckFault::Status(status))
        }
        Check::WebSocket(request) => {
            let switched = open(member, request, stream, deadline).await?;
            converse(switched, deadline).await
        }
    }
}

/// Asks a backend for what its checks ask for, or for `/` in their place; any answer will do. If they name no host, `/` is asked
/// of all with which the backend has answered, at the same time.
///
/// # Errors
/// Why there is no answer, to none of them.
pub(super) async fn greet(
    member: &Member,
    checks: Option<&ActiveHealth>,
) -> Result<(), CheckFault> {
    let deadline = Instant::now() + GREETING_TIMEOUT;
    let mut greetings = JoinSet::new();
    for request in greeting(member, checks) {
        greetings.spawn(greet_by(member.clone(), request, deadline));
    }
    let mut lack = CheckFault::Late("answer");
    while let Some(Ok(outcome)) = greetings.join_next().await {
        match outcome {
            Ok(()) => return Ok(()),
            Err(_) if lack.is_our_own() => {}
            Err(fault) => lack = fault,
        }
    }
    if !lack.is_our_own() {
        member.backend().known_hosts().doubt();
    }
    Err(lack)
}

/// The requests of which any may be answered.
fn greeting(member: &Member, checks: Option<&ActiveHealth>) -> Vec<CheckRequest> {
    let headers = match checks.map(|settings| &settings.check) {
        Some(Check::Http(request, _)) => return vec![request.clone()],
        Some(Check::WebSocket(request)) if request.host.is_some() => {
            let path = "/".to_owned();
            return vec![CheckRequest {
                path,
                ..request.clone()
            }];
        }
        Some(Check::WebSocket(request)) => &request.headers[..],
        Some(Check::Tcp) | None => &[],
    };
    let hosts = member.backend().known_hosts().all();
    let request = |host| CheckRequest {
        path: "/".to_owned(),
        host,
        headers: headers.to_vec(),
    };
    hosts.into_iter().map(request).collect()
}

async fn greet_by(
    member: Member,
    request: CheckRequest,
    deadline: Instant,
) -> Result<(), CheckFault> {
    let stream = member.dial(None, deadline).await?;
    match get(&member, &request, stream, deadline).await {
        Err(CheckFault::Failed(Failure::HeadTooLarge | Failure::UnknownCoding)) => Ok(()),
        status => status.map(drop),
    }
}

/// Sends a GET and returns the status of the answer.
async fn get(
    member: &Member,
    request: &CheckRequest,
    stream: Stream,
    deadline: Instant,
) -> Result<StatusCode, CheckFault> {
    let head = head(member, request, "Connection: close\r\n");
    let opening = Opening::new(RequestHead::whole(head), Key::random(), None);
    match ask(member, &opening, stream, deadline).await? {
        Answer::Other(answer, task) => {
            let status = answer.status();
            tokio::spawn(finish(answer, task, deadline));
            Ok(status)
        }
        Answer::Switched(_) => Err(CheckFault::Status(StatusCode::SWITCHING_PROTOCOLS)),
    }
}

/// Opens a session as a client does, and verifies the 101.
async fn open(
    member: &Member,
    request: &CheckRequest,
    stream: Stream,
    deadline: Instant,
) -> Result<Switched, CheckFault> {
    let key = Key::random();
    let fields = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: {VERSION}\r\n\
         Sec-WebSocket-Key: {}\r\n",
        key.as_bytes().escape_ascii(),
    );
    let head = RequestHead::whole(head(member, request, &fields));
    let opening = Opening::new(head, key, None);
    match ask(member, &opening, stream, deadline).await? {
        Answer::Switched(switched) => Ok(switched),
        Answer::Other(answer, task) => {
            let status = answer.status();
            tokio::spawn(finish(answer, task, deadline));
            Err(CheckFault::Status(status))
        }
    }
}

/// Reads the rest of an answer whose status says it all: a close over unread bytes would be a reset, and the backend would log
/// that its answer was broken off.
async fn finish(answer: Response<Incoming>, mut task: ConnectionTask, deadline: Instant) {
    let mut rest = Limited::new(answer, MOST_READ);
    let reading = async { while let Some(Ok(_)) = rest.frame().await {} };
    // What is longer, or endless, is broken off.
    let _ = timeout_at(deadline, reading).await;
    task.finish(());
}

async fn ask(
    member: &Member,
    opening: &Opening,
    stream: Stream,
    deadline: Instant,
) -> Result<Answer, Failure> {
    let asking = handshake::ask(Asked::by_gateway(stream), opening, member.address());
    timeout_at(deadline, asking)
        .await
        .unwrap_or(Err(Failure::AnswerTimeout))
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
async fn converse(switched: Switched, deadline: Instant) -> Result<(), CheckFault> {
    let mut conversation = Conversation {
        deadline,
        tracker: FrameTracker::new(Side::Backend, Extensions::agreed(&switched.headers)),
        unread: switched.early.to_vec(),
        read: switched.early.len(),
        stream: switched.stream,
    };
    let ping = ControlFrame::ping(Side::Client, PING);
    let pong = Awaited {
        opcode: Opcode::Pong,
        begins: PING,
        name: "Pong",
    };
    conversation.exchange(&ping, &pong).await?;
    let close = ControlFrame::close(Side::Client, CloseCode::NORMAL, "");
    let answer = Awaited {
        opcode: Opcode::Close,
        begins: &[],
        name: "Close",
    };
    conversation.exchange(&close, &answer).await?;
    end(&mut conversation.stream, deadline).await;
    Ok(())
}

/// Ends a connection in order, TLS included. The check is over, so it does not matter whether the backend hears of it.
async fn end(stream: &mut Stream, deadline: Instant) {
    let _ = timeout_at(deadline, stream.shutdown()).await;
}

/// The control frame that answers one of the gateway's.
struct Awaited {
    opcode: Opcode,
    /// How its payload begins.
    begins: &'static [u8],
    name: &'static str,
}

struct Conversation {
    deadline: Instant,
    stream: Stream,
    tracker: FrameTracker,
    unread: Vec<u8>,
    /// Bytes read so far.
    read: usize,
}

impl Conversation {
    /// Sends a frame and reads until it is answered.
    async fn exchange(
        &mut self,
        frame: &ControlFrame,
        awaited: &Awaited,
    ) -> Result<(), CheckFault> {
        let deadline = self.deadline;
        let exchanging = async {
            self.say(frame, awaited.name).await?;
            self.hear(awaited).await
        };
        timeout_at(deadline, exchanging)
            .await
            .unwrap_or(Err(CheckFault::Late(awaited.name)))
    }

    async fn say(&mut self, frame: &ControlFrame, awaited: &'static str) -> Result<(), CheckFault> {
        let lost = |_: io::Error| CheckFault::Lost(awaited);
        self.stream
            .write_all(frame.as_bytes())
            .await
            .map_err(lost)?;
        self.stream.flush().await.map_err(lost)
    }

    async fn hear(&mut self, awaited: &Awaited) -> Result<(), CheckFault> {
        let Awaited {
            opcode: wanted,
            begins,
            name,
        } = *awaited;
        loop {
            let step = self.tracker.step(&self.unread);
            self.unread.drain(..step.consumed);
            match step.event {
                Event::NeedMore => self.read_more(name).await?,
                Event::Control { opcode, payload }
                    if opcode == wanted && payload.as_bytes().starts_with(begins) =>
                {
                    return Ok(());
                }
                Event::Control {
                    opcode: Opcode::Close,
                    payload,
                } => {
                    return Err(CheckFault::Closed(words(payload.as_bytes()), name));
                }
                Event::Violation(_) => return Err(CheckFault::Broken(name)),
                Event::Header { .. } | Event::DataEnd { .. } | Event::Control { .. } => {}
            }
        }
    }

    async fn read_more(&mut self, awaited: &'static str) -> Result<(), CheckFault> {
        if self.read > MOST_READ {
            return Err(CheckFault::TooMuch(awaited));
        }
        self.unread.reserve(CHUNK);
        let count = self.stream.read_buf(&mut self.unread).await;
        match count {
            Ok(0) | Err(_) => Err(CheckFault::Lost(awaited)),
            Ok(count) => {
                self.read += count;
                Ok(())
            }
        }
    }
}

/// A Close in words.
fn words(payload: &[u8]) -> String {
    let close = Close::parse(payload);
    match close.ok().and_then(|close| close.code) {
        Some(code) => format!("Close {}", code.number()),
        None => "Close".to_owned(),
    }
}
