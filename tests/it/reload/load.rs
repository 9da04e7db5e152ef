//! Reloads while sessions are busy: none drops, no message is lost or comes in another order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::backends::Backend;
use crate::harness::{Gateway, WebSocket, echo, eventually, open};

const SESSIONS: usize = 100;
const RELOADS: usize = 20;

const BACKENDS: usize = 5000;

/// Each generation has other weights, other timeouts, and a route and a pool more or less.
fn yaml(backends: &[Backend; 2], generation: usize) -> String {
    let [one, two] = backends.each_ref().map(Backend::url);
    let weight = generation % 3 + 1;
    let more = match generation % 2 {
        0 => format!("pools:\n  more: {{ backends: [\"{one}\"] }}\n"),
        _ => "pools:\n".to_owned(),
    };
    let route = match generation % 2 {
        0 => "  more: { match: { path: /more }, origins: any, pool: more }\n",
        _ => "",
    };
    format!(
        "defaults: {{ timeouts: {{ close: {weight}s }} }}\n\
         routes:\n  chat: {{ origins: any, pool: chat }}\n{route}{more}  \
         chat: {{ backends: [{{ url: \"{one}\", weight: {weight} }}, \"{two}\"] }}\n"
    )
}

#[derive(Default)]
struct Progress {
    exchanged: AtomicUsize,
    is_done: AtomicBool,
}

/// Exchanges messages, each of them only once, until it is done.
async fn talk(mut socket: WebSocket, session: usize, progress: Arc<Progress>) {
    let mut message = 0;
    while !progress.is_done.load(Ordering::Relaxed) {
        echo(
            &mut socket,
            &format!("message {message} of session {session}"),
        )
        .await;
        progress.exchanged.fetch_add(1, Ordering::Relaxed);
        message += 1;
    }
}

#[tokio::test]
async fn no_session_drops_while_reloads_come() {
    let backends = [Backend::echo().await, Backend::echo().await];
    let gateway = Gateway::start(&yaml(&backends, 0)).await;
    let progress = Arc::new(Progress::default());
    let mut sockets = Vec::new();
    for _ in 0..SESSIONS {
        sockets.push(open(gateway.address(), "/").await);
    }
    let mut sessions = JoinSet::new();
    for (session, socket) in sockets.into_iter().enumerate() {
        sessions.spawn(talk(socket, session, Arc::clone(&progress)));
    }
    for generation in 1..=RELOADS {
        gateway.change(&yaml(&backends, generation)).await;
        let seen = progress.exchanged.load(Ordering::Relaxed);
        let goes_on = || progress.exchanged.load(Ordering::Relaxed) > seen + SESSIONS;
        eventually("messages pass", goes_on).await;
    }
    let active = gateway.count("wsgate_sessions_active", &[("route", "chat")]);
    assert_eq!(active, 100.0);
    progress.is_done.store(true, Ordering::Relaxed);
    while let Some(session) = sessions.join_next().await {
        session.expect("no session drops");
    }
}

/// None of the new backends is one of the old, so each is looked for in vain: that must not take longer the more there are.
#[tokio::test]
async fn thousands_of_backends_are_replaced_in_no_time() {
    let yaml = |port: usize| {
        let backends =
            (0..BACKENDS).map(|it| format!("\"ws://10.0.{}.{}:{port}\"", it / 256, it % 256));
        let backends: Vec<_> = backends.collect();
        format!(
            "routes: {{ chat: {{ origins: any, pool: chat }} }}\n\
             pools: {{ chat: {{ backends: [{}] }} }}\n",
            backends.join(", ")
        )
    };
    let gateway = Gateway::start(&yaml(80)).await;
    gateway.change(&yaml(81)).await;
}
