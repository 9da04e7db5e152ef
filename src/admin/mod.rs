//! The admin side: metrics, health, status, reload, drain, resume; and the client that `wsgate reload` uses.
//!
//! It acts on the gateway through a [`Control`]; its listener and thread belong to `server`. There is no login: anybody who
//! can reach the address may use it, so it is on loopback unless the configuration says otherwise.

mod answer;
mod backend;
mod client;
mod drain;
mod handler;
mod origin;
mod readiness;
mod reload;
mod status;

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use serde_json::json;
use tokio::sync::{Mutex, oneshot};

pub use backend::{BackendOrder, BackendTarget};
pub use client::ask_for_reload;
pub use drain::DrainTarget;
pub use readiness::Readiness;
pub use reload::ReloadReport;
pub use status::{BackendStatus, DiscoveryStatus, ListenerStatus, PoolStatus, RouteStatus, Status};

use crate::telemetry::{TEXT_FORMAT, Telemetry};

/// The admin side's view of the running gateway.
pub trait Control: Send + Sync {
    /// Whether the gateway accepts new sessions.
    fn readiness(&self) -> Readiness;

    /// The current state.
    fn status(&self) -> Status;

    /// Sessions that still have to end because something is drained.
    fn drain_sessions(&self) -> usize;

    /// Begins a drain. Returns the number of sessions that have to end; `None` if there is no such target.
    fn drain(&self, target: DrainTarget) -> impl Future<Output = Option<usize>> + Send;

    /// Drains or resumes one backend. Returns its new status; `None` if there is no such backend.
    fn order(&self, target: &BackendTarget, order: BackendOrder) -> Option<BackendStatus>;

    /// Reads the configuration again and returns the outcome.
    fn reload(&self) -> impl Future<Output = ReloadReport> + Send;
}

/// Answers requests to the admin address.
pub struct Admin<C> {
    telemetry: Arc<Telemetry>,
    control: C,
    /// Locked while metrics are rendered, so that concurrent scrapes do not multiply the memory and CPU that takes.
    gathering: Arc<Mutex<()>>,
}

/// What a path refers to.
enum Endpoint {
    Page,
    Metrics,
    Alive,
    Ready,
    Status,
    Reload,
    Drain,
    Backend(BackendTarget, BackendOrder),
}

impl Endpoint {
    fn find(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Page),
            "/metrics" => Some(Self::Metrics),
            "/healthz" => Some(Self::Alive),
            "/readyz" => Some(Self::Ready),
            "/status" => Some(Self::Status),
            "/reload" => Some(Self::Reload),
            "/drain" => Some(Self::Drain),
            _ => BackendTarget::read(path).map(|(target, order)| Self::Backend(target, order)),
        }
    }

    /// The allowed methods, as in the field Allow (RFC 9110 section 10.2.1).
    fn allowed(&self) -> &'static str {
        match self {
            Self::Page | Self::Metrics | Self::Alive | Self::Ready | Self::Status => "GET, HEAD",
            Self::Reload | Self::Drain | Self::Backend(..) => "POST",
        }
    }

    fn takes(&self, method: &Method) -> bool {
        self.allowed()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }
}

impl<C: Control> Admin<C> {
    /// An admin side over a running gateway.
    pub fn new(telemetry: Arc<Telemetry>, control: C) -> Self {
        Self {
            telemetry,
            control,
            gathering: Arc::default(),
        }
    }

    /// Answers one request. Its body is not read. The answer to HEAD has the body of the one to GET, so that Content-Length is
    /// right; hyper does not send it.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (request, _body) = request.into_parts();
        let Some(endpoint) = Endpoint::find(request.uri.path()) else {
            return answer::text(
                StatusCode::NOT_FOUND,
                "There is nothing here. See / for a list.\n",
            );
        };
        if !endpoint.takes(&request.method) {
            return answer::method_not_allowed(endpoint.allowed());
        }
        if endpoint.takes(&Method::POST) && origin::is_cross_site(&request) {
            return answer::text(
                StatusCode::FORBIDDEN,
                "Another site's page may not do this.\n",
            );
        }
        self.answer_endpoint(endpoint, &request.uri).await
    }

    async fn answer_endpoint(&self, endpoint: Endpoint, uri: &Uri) -> Response<Full<Bytes>> {
        match endpoint {
            Endpoint::Page => answer::page(include_str!("page.html")),
            Endpoint::Metrics => answer::of_type(StatusCode::OK, TEXT_FORMAT, self.gather().await),
            Endpoint::Alive => answer::text(StatusCode::OK, "ok\n"),
            Endpoint::Ready => {
                let readiness = self.control.readiness();
                answer::text(readiness.status(), format!("{readiness}\n"))
            }
            Endpoint::Status => answer::json(StatusCode::OK, &self.control.status().to_json()),
            Endpoint::Reload => {
                let report = self.control.reload().await;
                answer::json(report.status(), &report.to_json())
            }
            Endpoint::Drain => self.drain(uri).await,
            Endpoint::Backend(target, order) => self.order(&target, order),
        }
    }

    /// Renders the metrics, on a thread of its own: with a thousand routes that takes 50 ms, and health probes must be answered
    /// meanwhile.
    async fn gather(&self) -> String {
        let turn = Arc::clone(&self.gathering).lock_owned().await;
        let sessions = self.control.drain_sessions();
        self.telemetry.metrics.set_drain_sessions(sessions);
        let telemetry = Arc::clone(&self.telemetry);
        let (sender, text) = oneshot::channel();
        let render = move || {
            // Kept until the text is rendered, even if the client has left.
            let _turn = turn;
            let _ = sender.send(telemetry.render());
        };
        // If no thread can be started, the sender is dropped with the closure, and `text` is an error.
        let _ = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(render);
        text.await.unwrap_or_else(|_| self.telemetry.render())
    }

    fn order(&self, target: &BackendTarget, order: BackendOrder) -> Response<Full<Bytes>> {
        let BackendTarget { pool, backend } = target;
        let Some(status) = self.control.order(target, order) else {
            let error = format!("pool {pool} has no backend {backend}");
            return answer::json(StatusCode::NOT_FOUND, &json!({ "error": error }));
        };
        let code = match order {
            // Its sessions have yet to leave.
            BackendOrder::Drain => StatusCode::ACCEPTED,
            BackendOrder::Resume => StatusCode::OK,
        };
        answer::json(code, &json!({ "pool": pool, "backend": status.to_json() }))
    }

    async fn drain(&self, uri: &Uri) -> Response<Full<Bytes>> {
        let Some(target) = DrainTarget::read(uri) else {
            let words = "Drain what? Accepted are nothing, ?backend=NAME and ?route=NAME.\n";
            return answer::text(StatusCode::BAD_REQUEST, words);
        };
        match self.control.drain(target).await {
            Some(sessions) => {
                answer::json(StatusCode::ACCEPTED, &json!({ "drain_sessions": sessions }))
            }
            None => answer::text(StatusCode::NOT_FOUND, "There is none by that name.\n"),
        }
    }
}

#[cfg(test)]
mod tests;
