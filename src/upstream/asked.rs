//! A stream on which a backend is asked something before it is known what the answer is.

use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;

use crate::stream::Stream;

/// A stream to a backend until its answer is a session.
///
/// On Drop it is reset if a client asked: the side that closes a connection first keeps its port for a minute, and a client
/// that asks and leaves at once, a thousand times a second, would use all of them up. Nothing is lost: [`Stream::give_up`]
/// does not reset it while bytes of the request are still on their way.
#[derive(Debug)]
pub(super) struct Asked {
    stream: Option<Stream>,
    by_client: bool,
}

impl Asked {
    /// The request is a client's.
    pub(super) fn by_client(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            by_client: true,
        }
    }

    /// The request is the gateway's own, such as a check: closed in order, as servers log resets.
    pub(super) fn by_gateway(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            by_client: false,
        }
    }

    /// Ends it in order, if it is not to be reset.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.by_client {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut **self).poll_shutdown(context),
        }
    }

    /// The stream, which is no longer reset.
    pub(super) fn into_stream(mut self) -> Stream {
        self.stream.take().expect(IN_PLACE)
    }
}

const IN_PLACE: &str = "taken out by value only";

impl Deref for Asked {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        self.stream.as_ref().expect(IN_PLACE)
    }
}

impl DerefMut for Asked {
    fn deref_mut(&mut self) -> &mut Stream {
        self.stream.as_mut().expect(IN_PLACE)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let (Some(stream), true) = (&self.stream, self.by_client) {
            stream.give_up();
        }
    }
}
