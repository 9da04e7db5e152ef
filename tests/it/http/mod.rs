//! Plain HTTP requests through the gateway.

mod answers;
mod early;
mod failures;
mod framing;
mod passing;
mod resets;
mod rules;
mod smuggling;
mod streaming;

use crate::harness::{Gateway, Head, Wire};
use crate::venue::Arrivals;

/// A gateway before a backend that the scenario plays.
struct Stage {
    gateway: Gateway,
    arrivals: Arrivals,
}

impl Stage {
    async fn set() -> Self {
        Self::set_with("").await
    }

    /// With more keys of the route, each behind a comma.
    async fn set_with(keys: &str) -> Self {
        let arrivals = Arrivals::listen().await;
        let gateway = Gateway::start(&configuration(keys, &[&arrivals])).await;
        Self { gateway, arrivals }
    }

    /// Sends a request, which the backend then has.
    async fn ask(&self, request: &str) -> (Wire, Head, Wire) {
        let client = self.send(request).await;
        let (head, backend) = self.arrivals.met().await;
        (client, head, backend)
    }

    /// Sends a request.
    async fn send(&self, request: &str) -> Wire {
        let mut client = Wire::connect(self.gateway.address()).await;
        client.send(request).await;
        client
    }

    /// How many requests were answered with this status.
    fn answered(&self, code: &str) -> f64 {
        let labels = [("route", "app"), ("code", code)];
        self.gateway.count("wsgate_http_requests_total", &labels)
    }
}

/// One worker, a route `app` for everything, a pool of these backends.
fn configuration(keys: &str, backends: &[&Arrivals]) -> String {
    let urls = backends
        .iter()
        .map(|backend| format!("\"{}\"", backend.url()));
    let urls = urls.collect::<Vec<_>>().join(", ");
    format!(
        "runtime: {{ workers: 1 }}\n\
         routes: {{ app: {{ protocols: [http], pool: app{keys} }} }}\n\
         pools: {{ app: {{ backends: [{urls}] }} }}\n"
    )
}

/// A request without a body.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app.test\r\n\r\n")
}

/// A small answer.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
