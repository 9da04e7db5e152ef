//! Connections and bytes for the tests of this room.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::TcpSocket;

/// How long a test waits before it fails: its work may take seconds, and many of them are at work at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A connection, and the peer of it.
pub(super) async fn pair() -> (TcpSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (peer, _) = listener.accept().await.unwrap();
    (ours.unwrap().into(), peer)
}

/// Bytes of which each tells where it belongs.
pub(super) fn numbered(length: usize) -> Vec<u8> {
    let turn: Vec<u8> = (0..251).collect();
    let mut bytes = turn.repeat(length.div_ceil(turn.len()));
    bytes.truncate(length);
    bytes
}
