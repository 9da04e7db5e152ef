//! Taking the stream of a request that becomes a session.

use bytes::Bytes;
use http::Request;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::http2::Claim;
use super::pulse::Watched;
use crate::stream::Stream;

/// The stream of a request; available once the answer that accepts the session is written.
pub struct Upgrade {
    upgraded: OnUpgrade,
    /// Set on HTTP/2, where the stream is one of many on its connection.
    claim: Option<Claim>,
}

impl Upgrade {
    /// Takes the upgrade out of `request`.
    pub fn of<B>(request: &mut Request<B>) -> Self {
        Self {
            claim: request.extensions_mut().remove(),
            upgraded: hyper::upgrade::on(request),
        }
    }

    /// Waits for the stream, and for the bytes that were read behind the head. `None` if the client left before.
    pub async fn into_stream(self) -> Option<(Stream, Bytes)> {
        let upgraded = self.upgraded.await.ok()?;
        if let Some(claim) = self.claim {
            return Some((claim.into_stream(upgraded), Bytes::new()));
        }
        let parts = upgraded.downcast::<TokioIo<Watched>>().ok()?;
        Some((parts.io.into_inner().into_stream(), parts.read_buf))
    }
}
