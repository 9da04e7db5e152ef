//! One HTTP/2 connection: limits, deadlines, drain. Sessions come by extended CONNECT (RFC 8441).

mod frames;
mod head;
mod intake;
mod spawn;
mod streams;
#[cfg(test)]
mod tests;
mod upgraded;

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::answer::{Answer, Takeover};
use super::body::{Body, BusyBody, text};
use super::client::Client;
use super::connection::Negotiated;
use super::linger::{SHORT_PAUSE, linger_for};
use super::refusal::Fault;
use super::{Handler, Settings, refusal};
use crate::drain::{DrainWatch, Stage};
use crate::telemetry::ConnectionRejection;
use intake::Intake;
use spawn::Spawn;
use streams::{LONGEST_END, MAX_CHARGED, OpenStream, Streams, Verdict};
use upgraded::Claim;

/// The flow-control window of a stream, in bytes. The connection's window covers many streams, so that stalled sessions do not
/// block the others. It bounds the speed of an upload: one window per round trip.
const STREAM_WINDOW: u32 = 256 * 1024;
/// How many stream windows a stream full of the smallest messages (six bytes without a payload, RFC 6455 section 5.2) takes
/// from the connection's window: h2 counts each frame below 256 bytes as 256, takes the difference from half of the
/// connection's window, and ends the connection when that is used up.
const OVERHEAD: u32 = 2 * 256 / 6;
/// The connection window of an untrusted client covers at least this many full streams. With more, all of its uploads wait:
/// that bounds the memory that it can take.
const FULL: u32 = 128;
/// How many streams full of the smallest messages it covers. Each needs some 12 MiB.
const STALLED: u32 = 2;
/// The largest window (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// The largest frame that is accepted, in bytes; the smallest value that HTTP/2 allows.
const FRAME: u32 = 16 * 1024;
/// How much of an answer's body is buffered until the client reads it, in bytes.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams that the client reset before they were accepted, where fewer may be open. One more ends the connection with all of
/// its sessions. They take memory, so no more are allowed than may be open. A flood (CVE-2023-44487) is met by [`Streams`].
const PENDING_RESETS: u32 = 20;
/// The most early-answered uploads whose late frames do not end the connection.
const MOST_EARLY: u32 = 1024;
/// The frames of a full stream. h2 counts each frame of an upload that arrives after the stream was answered and forgotten as
/// an error of the client.
const FRAMES: usize = (STREAM_WINDOW / FRAME) as usize;
/// The interval of Pings.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long the answer to a Ping may take. The Ping queues behind all that the kernel holds for a slow client; a client that
/// is gone is noticed sooner, as it acknowledges no bytes.
const PING_TIMEOUT: Duration = Duration::from_secs(120);

/// Serves a connection until it ends, is idle for too long, or is drained.
pub(super) async fn serve<H: Handler>(
    negotiated: Negotiated,
    client: &Arc<Client>,
    watch: &DrainWatch,
    handler: Arc<H>,
) {
    let settings = &*client.settings;
    let bounds = Bounds::of(client);
    let streams = Streams::new(negotiated.since, bounds.charged);
    let service = {
        let (streams, client) = (Arc::clone(&streams), Arc::clone(client));
        service_fn(move |request| {
            let (stream, client) = (streams.open(), Arc::clone(&client));
            // The future has some 11 KiB, and hyper and tokio move it several times on its way into a task.
            Box::pin(answer(request, stream, client, Arc::clone(&handler)))
        })
    };
    let (intake, returned) = Intake::new(negotiated.stream, Arc::clone(&streams));
    let connection = builder(settings, &bounds).serve_connection(TokioIo::new(intake), service);
    let serving = async {
        let mut connection = pin!(connection);
        let mut is_flooded = false;
        if client.over_limit.is_none() {
            let served = async {
                tokio::select! {
                    result = connection.as_mut() => Err(result),
                    verdict = streams.verdict(&settings.timeouts) => Ok(verdict),
                }
            };
            match watch.within(Stage::Open, pin!(served)).await {
                Some(Err(result)) => return conclude(result, client),
                verdict => is_flooded = matches!(verdict, Some(Ok(Verdict::Flooded))),
            }
        }
        if is_flooded {
            // It gets no new streams; its sessions may go on.
            count_error(client);
        }
        streams.forgive();
        connection.as_mut().graceful_shutdown();
        let grace = watch.idle_grace();
        let is_welcome = !is_flooded && client.over_limit.is_none();
        let longest = if is_welcome { LONGEST_END } else { grace };
        tokio::select! {
            result = connection => !is_flooded && conclude(result, client),
            // Some clients read nothing, and answer no PING, while they have no request.
            () = streams.quiet_for(grace, longest) => is_welcome && !streams.is_sending(),
            // The client goes on with the flood.
            () = streams.flooded() => false,
        }
    };
    let has_ended_in_order = serving.await;
    if has_ended_in_order && let Ok(stream) = returned.await {
        // The client may not have got all that was sent, and goes on sending WINDOW_UPDATE and PING for it.
        linger_for(client, watch, stream, SHORT_PAUSE).await;
    }
}

/// Whether a connection ended in order. Counts one that ended for a protocol error of its client.
fn conclude(result: hyper::Result<()>, client: &Client) -> bool {
    let Err(error) = result else { return true };
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    if cause.is_some_and(h2::Error::is_library) {
        tracing::debug!(%error, "HTTP/2 connection ended");
        count_error(client);
    }
    false
}

fn count_error(client: &Client) {
    let listener = &client.connection.listener;
    listener.rejected(ConnectionRejection::Http2Error);
}

async fn answer<H: Handler>(
    request: Request<Incoming>,
    stream: Arc<OpenStream>,
    client: Arc<Client>,
    handler: Arc<H>,
) -> Result<Response<BusyBody<Arc<OpenStream>>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let mut upgrade = None;
    let answer = match head::normalize(&mut parts, client.settings.limits.request_head) {
        Err(Fault { rejection, reason }) => {
            client.connection.listener.rejected(reason);
            handler.refuse(rejection, Some(&parts), &client);
            refusal::response(rejection).into()
        }
        Ok(()) => {
            upgrade = parts.extensions.remove::<OnUpgrade>();
            handler
                .handle(Request::from_parts(parts, body), client)
                .await
        }
    };
    stream.answered();
    let Answer { response, takeover } = answer;
    if let (Some(upgrade), Some(takeover)) = (upgrade, takeover) {
        hand_over(upgrade, &stream, takeover);
    }
    let response = if is_head {
        without_body(response)
    } else {
        response
    };
    Ok(response.map(|body| BusyBody::new(body, stream)))
}

/// Waits for the stream in a task of its own, as hyper hands it over when the answer is on its way.
fn hand_over(mut upgrade: OnUpgrade, open: &Arc<OpenStream>, mut takeover: Box<dyn Takeover>) {
    let claim = Claim::new(Arc::clone(open));
    tokio::spawn(async move {
        let upgraded = poll_fn(|context| match Pin::new(&mut upgrade).poll(context) {
            Poll::Ready(upgraded) => Poll::Ready(upgraded.ok()),
            Poll::Pending => takeover.poll_given_up(context).map(|()| None),
        });
        if let Some(upgraded) = upgraded.await {
            takeover.begin(claim.into_stream(upgraded), Bytes::new());
        }
    });
}

/// The answer to HEAD has the body's Content-Length and no body (RFC 9110 section 9.3.2). hyper drops the body only over
/// HTTP/1.1.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if response.body().is_end_stream() {
        return response;
    }
    if let Some(length) = response.body().size_hint().exact() {
        let length = || HeaderValue::from(length);
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert_with(length);
    }
    response.map(|_| text(""))
}

/// How many errors of its client a connection survives, and its window.
struct Bounds {
    /// Streams that the client resets before their answers, and SETTINGS frames; `None` for no limit.
    charged: Option<u32>,
    /// Streams that are reset for errors of the client (RUSTSEC-2024-0003); `None` for no limit. One more ends the connection.
    mistakes: Option<usize>,
    /// The flow-control window of the connection, in bytes.
    window: u32,
}

impl Bounds {
    /// Behind a trusted proxy the limits are wider, as one client could otherwise end the connection of all.
    fn of(client: &Client) -> Self {
        let streams = client.settings.limits.http2_streams;
        if client.is_trusted_proxy {
            Self {
                charged: None,
                mistakes: None,
                window: window(streams, streams),
            }
        } else {
            Self {
                charged: Some(MAX_CHARGED),
                // Twice what this many uploads cause that were answered early.
                mistakes: Some(2 * FRAMES * streams.clamp(FULL, MOST_EARLY) as usize),
                window: window(streams.min(FULL), STALLED),
            }
        }
    }
}

/// The window that covers `streams` full streams at once, or `stalled` ones full of small messages.
fn window(streams: u32, stalled: u32) -> u32 {
    let parts = streams.max(stalled.saturating_mul(OVERHEAD));
    STREAM_WINDOW.saturating_mul(parts).min(LARGEST_WINDOW)
}

fn builder(settings: &Settings, bounds: &Bounds) -> Builder<Spawn> {
    let streams = settings.limits.http2_streams;
    let head = u32::try_from(settings.limits.request_head).unwrap_or(u32::MAX);
    // h2 refuses heads over its limit without log or metric, so its limit is higher, and `head` refuses most of them.
    let far_too_large = head.saturating_mul(2);
    let pending_resets = usize::try_from(streams.max(PENDING_RESETS)).unwrap_or(usize::MAX);
    let mut builder = Builder::new(Spawn);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(streams)
        .max_header_list_size(far_too_large)
        .max_frame_size(FRAME)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(bounds.window)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(pending_resets)
        .max_local_error_reset_streams(bounds.mistakes)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
