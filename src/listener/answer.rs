//! What a handler makes of a request: the answer, and what takes over the stream of the request behind it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;

use super::body::Body;
use crate::stream::Stream;

/// The answer to a request.
pub struct Answer {
    /// What the client is told.
    pub response: Response<Body>,
    /// What takes the stream over once `response` is written, which is a 101 then, or over HTTP/2 a 200.
    pub takeover: Option<Box<dyn Takeover>>,
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self {
            response,
            takeover: None,
        }
    }
}

/// Waits for the stream of a request. It is dropped without one if the client leaves before its answer is written.
pub trait Takeover: Send {
    /// Ready when it waits no longer; it is dropped then.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Takes over `stream`, and the bytes that were read behind the head of the request.
    fn begin(self: Box<Self>, stream: Stream, early: Bytes);
}
