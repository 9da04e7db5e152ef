//! Reloads while sessions are busy: none drops, no message is lost or comes in another order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::backends::Backend;
use crate::harness::{Gateway, echo, eventually, open};

const SESSIONS: usize = 100;
const RELOADS: usize = 20;

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

#[tokio::test]
async fn no_session_drops_while_reloads_come() {
    let backends = [Backend::echo().await, Backend::echo().await];
    let gateway = Gateway::start(&yaml(&backends, 0)).await;
    let (done, exchanged) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut sessions = JoinSet::new();
    for session in 0..SESSIONS {
        let mut socket = open(gateway.address(), "/").await;
        let (done, exchanged) = (Arc::clone(&done), Arc::clone(&exchanged));
        sessions.spawn(async move {
            for message in 0.. {
                echo(
                    &mut socket,
                    &format!("message {message} of session {session}"),
                )
                .await;
                exchanged.fetch_add(1, Ordering::Relaxed);
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
    }
    for generation in 1..=RELOADS {
        gateway.change(&yaml(&backends, generation)).await;
        let seen = exchanged.load(Ordering::Relaxed);
        let goes_on = || exchanged.load(Ordering::Relaxed) > seen + SESSIONS;
        eventually("messages pass", goes_on).await;
    }
    let active = gateway.count("wsgate_sessions_active", &[("route", "chat")]);
    assert_eq!(active, 100.0);
    done.store(true, Ordering::Relaxed);
    while let Some(session) = sessions.join_next().await {
        session.expect("no session drops");
    }
}
