//! Backends that agree, and then do something particular with the stream.

use super::Backend;

impl Backend {
    /// Sends `early` in the same segment as the 101, then every byte back as it came.
    pub(crate) async fn early(early: &str) -> Self {
        let early = early.to_owned();
        Self::start(move |mut visitor| {
            let early = early.clone();
            async move {
                visitor.agree("", &early).await;
                visitor.wire.mirror().await;
            }
        })
        .await
    }

    /// Ends its sending half at once and reads what comes.
    pub(crate) async fn half_closing() -> Self {
        Self::start(|mut visitor| async move {
            visitor.agree("", "").await;
            visitor.wire.end().await;
            visitor.wire.gone().await;
        })
        .await
    }

    /// Resets the connection when the first byte of the session comes.
    pub(crate) async fn resetting() -> Self {
        Self::start(|mut visitor| async move {
            visitor.agree("", "").await;
            visitor.wire.take(1).await;
            visitor.wire.reset();
        })
        .await
    }

    /// Sends zeros as fast as they are taken.
    pub(crate) async fn flooding() -> Self {
        Self::start(|mut visitor| async move {
            visitor.agree("", "").await;
            let zeros = vec![0; 64 * 1024];
            while visitor.wire.try_send(&zeros).await {}
        })
        .await
    }

    /// Sends these bytes and never reads.
    pub(crate) async fn saying(bytes: &'static [u8]) -> Self {
        Self::start(move |mut visitor| async move {
            visitor.agree("", "").await;
            visitor.wire.send(bytes).await;
            std::future::pending::<()>().await;
        })
        .await
    }

    /// Never reads what the session sends.
    pub(crate) async fn never_reading() -> Self {
        Self::start(|mut visitor| async move {
            visitor.agree("", "").await;
            std::future::pending::<()>().await;
        })
        .await
    }
}
