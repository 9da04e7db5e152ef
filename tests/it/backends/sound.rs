//! Backends that do nothing wrong.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Backend, Visitor};

impl Backend {
    /// Sends every message back.
    pub(crate) async fn echo() -> Self {
        Self::agreeing("").await
    }

    /// Says its name in the field X-Backend of the 101, then sends every message back.
    pub(crate) async fn named(name: &str) -> Self {
        Self::agreeing(&format!("X-Backend: {name}\r\n")).await
    }

    /// As [`Backend::named`], at an address of loopback.
    pub(crate) async fn named_at(address: SocketAddr, name: &str) -> Self {
        Self::agreeing_at(address, &format!("X-Backend: {name}\r\n")).await
    }

    /// Agrees with more fields, each ended by a line end, then sends every message back.
    pub(crate) async fn agreeing(fields: &str) -> Self {
        Self::agreeing_at(SocketAddr::from(([127, 0, 0, 1], 0)), fields).await
    }

    /// As [`Backend::agreeing`], at this address.
    pub(super) async fn agreeing_at(address: SocketAddr, fields: &str) -> Self {
        let fields = fields.to_owned();
        Self::start_at(address, move |mut visitor| {
            let fields = fields.clone();
            async move {
                visitor.agree(&fields, "").await;
                echo(visitor).await;
            }
        })
        .await
    }

    /// Sends every byte back as it came, once both sides agreed, whether it is a frame or not.
    pub(crate) async fn mirror() -> Self {
        Self::start(|mut visitor| async move {
            visitor.agree("", "").await;
            visitor.wire.mirror().await;
        })
        .await
    }
}

pub(super) async fn echo(visitor: Visitor) {
    let Visitor { wire, presence } = visitor;
    let mut socket = WebSocketStream::from_raw_socket(wire.into_stream(), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let is_data = message.is_text() || message.is_binary();
        if is_data && socket.send(message).await.is_err() {
            break;
        }
    }
    drop(presence);
}
