//! WebSocket clients, made with a library that is not the gateway's.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::opening::KEY;
use super::patience::soon;

/// An open session as its client has it.
pub(crate) type WebSocket<S = TcpStream> = WebSocketStream<S>;

/// Opens a session at `target`, for the host `gateway.test`.
pub(crate) async fn open(address: SocketAddr, target: &str) -> WebSocket {
    let stream = soon("a connection", TcpStream::connect(address)).await;
    let stream = stream.expect("the address takes connections");
    open_by(stream, target, &[]).await.0
}

/// Opens a session over `stream`, with more fields in the handshake.
pub(crate) async fn open_by<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    target: &str,
    fields: &[(&str, &str)],
) -> (WebSocket<S>, Response) {
    let mut request = Request::get(format!("ws://gateway.test{target}"))
        .header("Host", "gateway.test")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a sound request");
    let opened = soon("a session", client_async(request, stream)).await;
    opened.expect("the session opens")
}

/// Sends a text and waits for it to come back.
pub(crate) async fn echo<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>, text: &str) {
    let sent = soon("a message taken", socket.send(Message::text(text))).await;
    sent.expect("the session takes messages");
    let message = next(socket, "an echo").await;
    let message = message.expect("the session is open").expect("a message");
    assert_eq!(message, Message::text(text));
}

/// What comes next. Pings come where a scenario takes long, and the library answers them.
async fn next<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket<S>,
    what: &str,
) -> Option<Result<Message, Error>> {
    loop {
        let message = soon(what, socket.next()).await;
        if !matches!(message, Some(Ok(Message::Ping(_)))) {
            return message;
        }
    }
}

/// The code that the gateway ends a session with.
pub(crate) async fn close_code(socket: &mut WebSocket) -> u16 {
    match next(socket, "a Close").await {
        Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
        other => panic!("something else than a Close: {other:?}"),
    }
}

/// Closes a session in order: both Close frames, then the connection.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) {
    let closing = soon("a Close taken", socket.close(None)).await;
    closing.expect("the session takes a Close");
    let rest = async { while let Some(Ok(_)) = socket.next().await {} };
    soon("the answer to a Close", rest).await;
}
