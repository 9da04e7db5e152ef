//! A client that speaks HTTP/2, by prior knowledge or over TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::request::Builder;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::patience::soon;
use super::wire::Wire;

/// An HTTP/2 connection.
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    driving: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// Connects to a plain listener.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await;
        Self::over(stream.expect("the address takes connections")).await
    }

    /// Speaks HTTP/2 over `stream`, with windows that never hold up the gateway.
    pub(crate) async fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::with_window(stream, 1 << 20).await
    }

    /// As [`Http2::over`], taking `window` bytes of a stream before it reads.
    pub(crate) async fn with_window<S>(stream: S, window: u32) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(window)
            .initial_connection_window_size(1 << 24)
            .enable_push(false);
        let (sender, connection) = soon("HTTP/2", builder.handshake(stream))
            .await
            .expect("both speak HTTP/2");
        Self {
            sender,
            driving: tokio::spawn(connection),
        }
    }

    /// Sends a request without a body.
    pub(crate) async fn send(&mut self, request: Builder) -> (ResponseFuture, SendStream<Bytes>) {
        let is_whole = request.method_ref() != Some(&http::Method::CONNECT);
        self.begin(request, is_whole).await
    }

    /// Sends the head of a request whose body follows.
    pub(crate) async fn send_begun(
        &mut self,
        request: Builder,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        self.begin(request, false).await
    }

    async fn begin(
        &mut self,
        request: Builder,
        is_whole: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let request = request.body(()).expect("a sound request");
        let sender = self.sender.clone();
        let mut sender = soon("room for a stream", sender.ready())
            .await
            .expect("the connection is open");
        sender
            .send_request(request, is_whole)
            .expect("the request is sound")
    }

    /// The answer to a request without a body, and its body.
    pub(crate) async fn ask(&mut self, request: Builder) -> (Response<()>, String) {
        let (answer, _sending) = self.send(request).await;
        let answer = soon("an answer", answer).await.expect("an answer");
        let (head, mut body) = answer.into_parts();
        let mut text = Vec::new();
        while let Some(part) = soon("a body", body.data()).await {
            text.extend(part.expect("a whole body"));
        }
        let text = String::from_utf8(text).expect("bodies are text here");
        (Response::from_parts(head, ()), text)
    }

    /// Asks for a session and expects that it opens.
    pub(crate) async fn open(&mut self, request: Builder) -> (Wire<Stream>, Response<()>) {
        let (answer, sender) = self.send(request).await;
        let answer = soon("an answer", answer).await.expect("an answer");
        let (head, receiver) = answer.into_parts();
        assert_eq!(head.status, 200, "{head:?}");
        let stream = Stream {
            sender,
            receiver,
            received: Bytes::new(),
        };
        (Wire::new(stream), Response::from_parts(head, ()))
    }

    /// Whether the gateway said that it takes extended CONNECT.
    pub(crate) async fn takes_sessions(&mut self) -> bool {
        let sender = self.sender.clone();
        let sender = soon("settings", sender.ready()).await;
        sender
            .expect("the connection is open")
            .is_extended_connect_protocol_enabled()
    }

    /// Waits until the connection has ended, and how.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        let ended = soon("the end of the connection", self.driving).await;
        ended.expect("the client does not panic")
    }

    /// Whether the connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.driving.is_finished()
    }
}

/// What asks for a session at `target`, for the host `gateway.test`.
pub(crate) fn connect(target: &str) -> Builder {
    Request::connect(format!("https://gateway.test{target}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
}

/// The stream of a session.
#[derive(Debug)]
pub(crate) struct Stream {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    received: Bytes,
}

impl Stream {
    /// Resets the stream.
    pub(crate) fn reset(mut self) {
        self.sender.send_reset(Reason::CANCEL);
    }

    /// Waits until the gateway resets the stream.
    pub(crate) async fn is_reset(&mut self) -> Reason {
        let reason = std::future::poll_fn(|context| self.sender.poll_reset(context));
        soon("a reset", reason).await.expect("a reset")
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            let Some(data) = ready!(self.receiver.poll_data(context)) else {
                return Poll::Ready(Ok(()));
            };
            self.received = data.map_err(io::Error::other)?;
        }
        let count = self.received.len().min(buffer.remaining());
        buffer.put_slice(&self.received.split_to(count));
        let released = self.receiver.flow_control().release_capacity(count);
        Poll::Ready(released.map_err(io::Error::other))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sender.reserve_capacity(bytes.len());
        let room = match ready!(self.sender.poll_capacity(context)) {
            Some(room) => room.map_err(io::Error::other)?,
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        let part = &bytes[..room.min(bytes.len())];
        let sent = self.sender.send_data(Bytes::copy_from_slice(part), false);
        Poll::Ready(sent.map(|()| part.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.sender.send_data(Bytes::new(), true);
        Poll::Ready(ended.map_err(io::Error::other))
    }
}
