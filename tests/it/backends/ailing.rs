//! A backend that says of itself whether it is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::sound::echo;
use super::{AGREEMENT, Backend, Visitor, derive_accept_key};
use crate::harness::Head;

impl Backend {
    /// Takes sessions and sends every message back; answers any other request with 200 while it is well, with
    /// 503 while it is not.
    pub(crate) async fn ailing(is_well: &Arc<AtomicBool>) -> Self {
        let is_well = Arc::clone(is_well);
        Self::start(move |visitor| converse(visitor, Arc::clone(&is_well))).await
    }
}

impl Backend {
    /// Ends a connection on which `/odd` is asked for, without a word, as servers do with what they do not serve; answers
    /// anything else with 200.
    pub(crate) async fn mute_at_odd() -> Self {
        Self::serving(|head| !head.line.contains(" /odd ")).await
    }

    /// As [`Backend::mute_at_odd`], also for every other host than this one.
    pub(crate) async fn mute_at_odd_and_to_other_hosts(host: &'static str) -> Self {
        let is_served =
            move |head: &Head| !head.line.contains(" /odd ") && head.value("host") == Some(host);
        Self::serving(is_served).await
    }

    /// As the last, and serves the host `partial` at `/v1` only.
    pub(crate) async fn mute_at_odd_and_partly_to(
        host: &'static str,
        partial: &'static str,
    ) -> Self {
        let is_served = move |head: &Head| match head.value("host") {
            Some(name) if name == partial => head.line.contains(" /v1 "),
            name => name == Some(host) && !head.line.contains(" /odd "),
        };
        Self::serving(is_served).await
    }

    async fn serving(is_served: impl Fn(&Head) -> bool + Clone + Send + 'static) -> Self {
        Self::start(move |visitor| serve_if(visitor, is_served.clone())).await
    }
}

async fn serve_if(mut visitor: Visitor, is_served: impl Fn(&Head) -> bool) {
    let head = visitor.head().await;
    if is_served(&head) {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        visitor.wire.send(answer).await;
    }
}

async fn converse(mut visitor: Visitor, is_well: Arc<AtomicBool>) {
    let head = visitor.head().await;
    if let Some(key) = head.value("sec-websocket-key") {
        let accept = derive_accept_key(key.as_bytes());
        let agreement = AGREEMENT.replace("{accept}", &accept);
        visitor.wire.send(format!("{agreement}\r\n")).await;
        return echo(visitor).await;
    }
    let status = match is_well.load(Ordering::SeqCst) {
        true => "200 OK",
        false => "503 Service Unavailable",
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    visitor.wire.send(answer).await;
}
