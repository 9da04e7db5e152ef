//! Backends that answer something else than 101.

use super::Backend;

impl Backend {
    /// Answers these bytes, in which `{accept}` stands for what answers the key, and waits for the other
    /// side to leave.
    pub(crate) async fn answering(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |mut visitor| {
            let answer = answer.clone();
            async move {
                visitor.answer(&answer).await;
                visitor.wire.gone().await;
            }
        })
        .await
    }

    /// Answers these bytes and ends the connection, which is what bounds the body.
    pub(crate) async fn answering_and_ending(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |mut visitor| {
            let answer = answer.clone();
            async move {
                visitor.answer(&answer).await;
                visitor.wire.end().await;
                visitor.wire.gone().await;
            }
        })
        .await
    }
}
