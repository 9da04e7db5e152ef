//! A backend that takes connections and says nothing.

use super::Backend;

impl Backend {
    /// Reads the opening handshake and never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(|mut visitor| async move {
            visitor.head().await;
            visitor.wire.gone().await;
        })
        .await
    }
}
