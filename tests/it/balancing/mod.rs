//! How sessions are spread over the backends of a pool, whatever the strategy, and which clients wait when all are full.

mod full;
mod hash;
mod moved;
mod shares;
mod sticky;

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::backends::Backend;
use crate::harness::{Answer, Gateway, Opening, WebSocket, ask, open_by, pool};

/// Backends that say their names, `a`, `b` and so on.
async fn named(count: usize) -> Vec<Backend> {
    let mut backends = Vec::new();
    for name in ["a", "b", "c", "d"].into_iter().take(count) {
        backends.push(Backend::named(name).await);
    }
    backends
}

/// A route to a pool with these keys, each ended by a comma, and these backends, each with more keys. A crowd of sessions may
/// take as long as it likes to open.
fn yaml(keys: &str, backends: &[Backend], more: &str) -> String {
    let names = ["a", "b", "c", "d"];
    let entry = |(name, backend): (&str, &Backend)| {
        format!("{{ name: {name}, url: \"{}\"{more} }}", backend.url())
    };
    let entries: Vec<String> = names.into_iter().zip(backends).map(entry).collect();
    let pool = pool(keys, &[]).replace("[]", &format!("[{}]", entries.join(", ")));
    let route = "origins: any, timeouts: { connect: 1h, handshake: 1h }, pool: chat";
    format!("routes: {{ chat: {{ {route} }} }}\n{pool}")
}

/// An open session, and the name of its backend.
async fn session(
    address: SocketAddr,
    target: &str,
    fields: &[(&str, &str)],
) -> (WebSocket, String) {
    let stream = TcpStream::connect(address).await.expect("a listener");
    let (socket, response) = open_by(stream, target, fields).await;
    let name = response.headers()["x-backend"].to_str().expect("a name");
    (socket, name.to_owned())
}

/// The name of the backend that answers this.
async fn home(gateway: &Gateway, opening: &Opening) -> String {
    let answer = ask(gateway.address(), opening.text()).await;
    assert_eq!(answer.status(), 101, "{answer:?}");
    name(&answer).to_owned()
}

fn name(answer: &Answer) -> &str {
    answer.value("x-backend").expect("a name")
}
