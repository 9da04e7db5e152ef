//! The admin side: one request to one answer. Metrics, health, status, reload.
//!
//! What it shows and sets off belongs to others, who give it as a [`Control`]; the listener and the thread
//! that it runs on are the server's. Whoever reaches the address may use it: it is bound to loopback
//! unless the configuration says otherwise.

mod answer;
mod handler;
mod origin;
mod reload;
mod status;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

pub use reload::ReloadReport;
pub use status::{BackendStatus, ListenerStatus, PoolStatus, RouteStatus, Status};

use crate::telemetry::{TEXT_FORMAT, Telemetry};

/// What the admin side is given of the running gateway.
pub trait Control: Send + Sync {
    /// Whether new sessions are wanted; false from the beginning of a drain.
    fn ready(&self) -> bool;

    /// What runs now.
    fn status(&self) -> Status;

    /// Reads the configuration again and waits for what comes of it.
    fn reload(&self) -> impl Future<Output = ReloadReport> + Send;
}

/// Answers requests to the admin address.
pub struct Admin<C> {
    telemetry: Arc<Telemetry>,
    control: C,
}

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Page,
    Metrics,
    Alive,
    Ready,
    Status,
    Reload,
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
            _ => None,
        }
    }

    /// The methods that it takes, as in Allow (RFC 9110 section 10.2.1).
    fn allowed(self) -> &'static str {
        match self {
            Self::Page | Self::Metrics | Self::Alive | Self::Ready | Self::Status => "GET, HEAD",
            Self::Reload => "POST",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.allowed()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }
}

impl<C: Control> Admin<C> {
    /// An admin side over a running gateway.
    pub fn new(telemetry: Arc<Telemetry>, control: C) -> Self {
        Self { telemetry, control }
    }

    /// Answers one request. Its body is not read. The answer to HEAD has the body of GET, which hyper leaves
    /// out, so that Content-Length is right.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (request, _body) = request.into_parts();
        let Some(endpoint) = Endpoint::find(request.uri.path()) else {
            return answer::text(
                StatusCode::NOT_FOUND,
                "Nothing is here. Try / for what there is.\n",
            );
        };
        if !endpoint.takes(&request.method) {
            return answer::method_not_allowed(endpoint.allowed());
        }
        if endpoint == Endpoint::Reload && origin::is_cross_site(&request) {
            return answer::text(
                StatusCode::FORBIDDEN,
                "Another site's page may not do this.\n",
            );
        }
        self.answer_endpoint(endpoint).await
    }

    async fn answer_endpoint(&self, endpoint: Endpoint) -> Response<Full<Bytes>> {
        match endpoint {
            Endpoint::Page => answer::page(include_str!("page.html")),
            Endpoint::Metrics => {
                answer::of_type(StatusCode::OK, TEXT_FORMAT, self.telemetry.render())
            }
            Endpoint::Alive => answer::text(StatusCode::OK, "ok\n"),
            Endpoint::Ready if self.control.ready() => answer::text(StatusCode::OK, "ready\n"),
            Endpoint::Ready => answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            Endpoint::Status => answer::json(StatusCode::OK, &self.control.status().to_json()),
            Endpoint::Reload => {
                let report = self.control.reload().await;
                answer::json(report.status(), &report.to_json())
            }
        }
    }
}

#[cfg(test)]
mod tests;
