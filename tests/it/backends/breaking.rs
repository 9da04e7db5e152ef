//! Backends that break the opening handshake.

use super::{AGREEMENT, Backend};

impl Backend {
    /// Its Sec-WebSocket-Accept answers another key.
    pub(crate) async fn wrong_accept() -> Self {
        Self::breaking(&AGREEMENT.replace("{accept}", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")).await
    }

    /// It sends no Sec-WebSocket-Accept.
    pub(crate) async fn missing_accept() -> Self {
        Self::breaking(&AGREEMENT.replace("Sec-WebSocket-Accept: {accept}\r\n", "")).await
    }

    /// It sends Sec-WebSocket-Accept twice, both times right.
    pub(crate) async fn two_accepts() -> Self {
        Self::breaking(&format!("{AGREEMENT}Sec-WebSocket-Accept: {{accept}}\r\n")).await
    }

    /// Its 101 has no Upgrade.
    pub(crate) async fn no_upgrade() -> Self {
        Self::breaking(&AGREEMENT.replace("Upgrade: websocket\r\n", "")).await
    }

    /// Its 101 has no Connection.
    pub(crate) async fn no_connection() -> Self {
        Self::breaking(&AGREEMENT.replace("Connection: Upgrade\r\n", "")).await
    }

    /// Its 101 switches to h2c.
    pub(crate) async fn h2c() -> Self {
        Self::breaking(&AGREEMENT.replace("Upgrade: websocket", "Upgrade: h2c")).await
    }

    /// What it answers is no HTTP.
    pub(crate) async fn garbage() -> Self {
        Self::breaking("\u{1}\u{2}\u{3} nonsense of no kind\r\n").await
    }

    /// The head of its answer does not end.
    pub(crate) async fn endless_head() -> Self {
        Self::start(|mut visitor| async move {
            visitor.answer(AGREEMENT).await;
            let line = format!("X-More: {}\r\n", "x".repeat(1000));
            while visitor.wire.try_send(&line).await {}
        })
        .await
    }

    /// No final answer follows its interim ones.
    pub(crate) async fn endless_hints() -> Self {
        Self::start(|mut visitor| async move {
            visitor.head().await;
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
            while visitor.wire.try_send(hints).await {}
        })
        .await
    }

    /// It ends the connection before it answers.
    pub(crate) async fn ending() -> Self {
        Self::start(|mut visitor| async move {
            visitor.head().await;
            visitor.wire.end().await;
            visitor.wire.gone().await;
        })
        .await
    }

    /// It ends the connection within the head of its answer.
    pub(crate) async fn ending_within() -> Self {
        Self::start(|mut visitor| async move {
            visitor.answer(AGREEMENT).await;
            visitor.wire.end().await;
            visitor.wire.gone().await;
        })
        .await
    }

    /// It resets the connection instead of answering.
    pub(crate) async fn resetting_at_once() -> Self {
        Self::start(|mut visitor| async move {
            visitor.head().await;
            visitor.wire.reset();
        })
        .await
    }

    /// Answers `head` and the empty line, then waits for the other side to leave.
    async fn breaking(head: &str) -> Self {
        Self::answering(&format!("{head}\r\n")).await
    }
}
