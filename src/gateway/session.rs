//! An opening handshake: admit, open the backend, answer, start the tunnel.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, request};
use hyper::ext::Protocol;

use super::forward::Forwarded;
use super::headers::{apply_rules, opening_head};
use super::{Outcome, RequestContext, path, respond};
use crate::admission::{self, Admission, Permit};
use crate::drain::Stage;
use crate::listener::{Answer, Body, Client, Presence, Takeover};
use crate::session::{Closure, Initiator, Reason, Rejection};
use crate::snapshot::{PoolTarget, Route};
use crate::stream::Stream;
use crate::telemetry::SessionRecord;
use crate::tunnel::{Account, Agreed, End, Tunnel, Watches};
use crate::upstream::{Lease, Opened, Opening, Switched};
use crate::websocket::{
    BroughtKey, Extensions, HandshakeError, asks_for_websocket, into_get, read_handshake,
};

/// Only plain requests are served.
pub(super) const NO_WEBSOCKET: Rejection =
    Rejection::NotImplemented("WebSocket is not accepted here.");

/// How a session ends whose client left before the 101 was written.
const CLIENT_GONE: Closure = Closure {
    initiator: Initiator::Client,
    code: None,
    reason: Reason::Lost,
    detail: "",
};

/// A session that the backend accepted.
pub(super) struct Ready {
    /// To the backend.
    stream: Stream,
    /// What the backend sent behind its 101.
    early: Bytes,
    agreed: Agreed,
    watches: Watches,
    permit: Permit,
    lease: Lease,
}

/// A session that begins when the client has its answer. Dropped before that, it closes its record; what has begun is taken
/// out of it.
struct Waiting(Option<Accepted>);

struct Accepted {
    ready: Box<Ready>,
    record: SessionRecord,
    presence: Arc<Presence>,
}

/// What a session holds until its sockets are closed.
struct Guards {
    _presence: Arc<Presence>,
    _permit: Permit,
}

/// Reads the handshake, checks the origin, opens a backend.
///
/// The watch of the route is taken before the session can be seen, so that no drain misses it. Those of the listener (which
/// counts the connection until then) and of the backend are taken after the backend accepted; a watch that joins late hears at
/// once of a drain that has begun.
pub(super) async fn open(
    context: RequestContext<'_>,
    route: &Route,
    target: &PoolTarget,
    admission: &Admission,
    record: &mut SessionRecord,
) -> Result<Outcome, Rejection> {
    let RequestContext {
        request, client, ..
    } = context;
    if !target.takes_websocket {
        return Err(NO_WEBSOCKET);
    }
    let key = read_handshake(request).map_err(rejection)?;
    let own = || context.own_origin();
    admission::origin::check(&request.headers, &target.origins, own)?;
    client.pass_opening().await?;
    let permit = admission.enter()?;
    let of_route = route.drain().watch();
    let uri = path::towards_backend(request, target)?;
    let head = opening_head(context, target, &uri);
    let opening = Opening::new(head, key, context.ends());
    let hints = context.hints(Some([client.drain(), route.drain()]));
    let tell = |backend: &_| record.backend(backend);
    let opened = target.pool.open(&opening, hints, &target.timeouts, tell);
    match opened.await? {
        Opened::Answered(answered) => {
            let status = answered.answer.status();
            // Over HTTP/2 a 2xx would tell the client that the session is open (RFC 8441 section 5).
            if opens_over_http2(request) && status.is_success() {
                return Err(Rejection::BackendFailed("answered without switching"));
            }
            record.relay(status);
            let forwarded = Forwarded::instead_of_session(answered, of_route, route);
            Ok(Outcome::Forwarded(Box::new(forwarded)))
        }
        Opened::Session {
            lease,
            switched: backend,
            cookie,
        } => {
            let watches = [client.drain().watch(), of_route, lease.watch()];
            // It would be reset behind its 101.
            if is_cut(&watches) {
                return Err(Rejection::Draining);
            }
            let Switched {
                headers,
                stream,
                early,
            } = backend;
            let agreed = Agreed {
                terms: Arc::clone(&target.terms),
                extensions: Extensions::agreed(&headers),
            };
            let ready = Ready {
                stream,
                early,
                agreed,
                watches,
                permit,
                lease,
            };
            let answer = acceptance(headers, cookie, request, route);
            Ok(Outcome::Session(answer, Box::new(ready)))
        }
    }
}

/// The answer that opens the session. hyper still has to be told the spelling of a 101.
fn acceptance(
    headers: HeaderMap,
    cookie: Option<HeaderValue>,
    request: &request::Parts,
    route: &Route,
) -> Response<Body> {
    let mut answer = match opens_over_http2(request) {
        true => respond::connected(headers, request.extensions.get::<BroughtKey>().is_some()),
        false => respond::switching(headers),
    };
    apply_rules(route.answer.as_deref(), answer.headers_mut());
    respond::set_cookie(answer.headers_mut(), cookie);
    answer
}

/// Whether one of the drains has come to its deadline.
fn is_cut(watches: &Watches) -> bool {
    watches.iter().any(|watch| watch.stage() == Stage::Cut)
}

impl Ready {
    /// The answer to the client. The tunnel starts once that is written.
    pub(super) fn answer(
        self: Box<Self>,
        mut response: Response<Body>,
        client: &Client,
        mut record: SessionRecord,
        spelling: &http::Extensions,
    ) -> Answer {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            *response.extensions_mut() = spelling.clone();
        }
        // Before the client can see the answer, so that a client that has it finds the session counted.
        record.open();
        let accepted = Accepted {
            ready: self,
            record,
            presence: Arc::clone(&client.presence),
        };
        Answer {
            response,
            takeover: Some(Box::new(Waiting(Some(accepted)))),
        }
    }
}

impl Takeover for Waiting {
    /// The answer may wait behind another one that the client does not read.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let watches = self.0.iter().flat_map(|accepted| &accepted.ready.watches);
        let mut cuts = watches.map(|watch| watch.poll_beyond(Stage::BEFORE_CUT, context));
        cuts.find(Poll::is_ready)
            .map_or(Poll::Pending, |_| Poll::Ready(()))
    }

    /// The tunnel gets a task of its own, so that the memory of the handshake is freed.
    fn begin(mut self: Box<Self>, stream: Stream, early: Bytes) {
        let Some(accepted) = self.0.take() else {
            return;
        };
        let Accepted {
            ready,
            record,
            presence,
        } = accepted;
        let ends = [
            End {
                stream,
                early: &early,
            },
            End {
                stream: ready.stream,
                early: &ready.early,
            },
        ];
        let account = Account {
            watches: ready.watches,
            record,
            lease: ready.lease,
        };
        let guards = Guards {
            _presence: presence,
            _permit: ready.permit,
        };
        tokio::spawn(Tunnel::new(ends, ready.agreed, account, guards));
    }
}

/// It was given up, its client has left, or a drain ended the whole connection.
impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(accepted) = &mut self.0 {
            accepted
                .record
                .close(match is_cut(&accepted.ready.watches) {
                    true => Closure::CUT,
                    false => CLIENT_GONE,
                });
        }
    }
}

/// Turns an extended CONNECT (RFC 8441) into the GET that it stands for; leaves every other request as it is.
///
/// # Errors
/// If it is not an opening handshake.
pub(super) fn connect_to_get(request: &mut request::Parts) -> Result<(), Rejection> {
    if request.method != Method::CONNECT {
        return Ok(());
    }
    let protocol = request.extensions.remove::<Protocol>();
    into_get(request, protocol.as_ref().map(Protocol::as_str)).map_err(rejection)
}

/// Whether a request asks for WebSocket over HTTP/2.
pub(super) fn opens_over_http2(request: &request::Parts) -> bool {
    request.version == Version::HTTP_2 && asks_for_websocket(&request.headers)
}

fn rejection(error: HandshakeError) -> Rejection {
    match error {
        HandshakeError::UnsupportedVersion => Rejection::UnsupportedVersion,
        HandshakeError::NoUpgrade => Rejection::UpgradeRequired(error.detail()),
        HandshakeError::Protocol => Rejection::NotImplemented(error.detail()),
        HandshakeError::Method
        | HandshakeError::HttpVersion
        | HandshakeError::HostMissing
        | HandshakeError::Body
        | HandshakeError::KeyMissing
        | HandshakeError::KeyRepeated
        | HandshakeError::KeyMalformed => Rejection::BadHandshake(error.detail()),
    }
}
