//! A stream to a backend whose answer somebody waits for.

use std::ops::{Deref, DerefMut};

use crate::stream::Stream;

/// A stream that is reset on Drop, unless it is taken out before.
///
/// Whoever closes a connection first keeps its local port for a minute, and a client that asks and leaves at once, a thousand
/// times a second, would use all of them up. Nothing is lost by a reset: nobody waits for the answer any more, or it is there.
#[derive(Debug)]
pub(super) struct Awaited(Option<Stream>);

impl Awaited {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Some(stream))
    }

    /// The stream, which is closed in order from now on.
    pub(super) fn into_stream(mut self) -> Stream {
        self.0.take().expect(IN_PLACE)
    }
}

const IN_PLACE: &str = "taken out by value only";

impl Deref for Awaited {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        self.0.as_ref().expect(IN_PLACE)
    }
}

impl DerefMut for Awaited {
    fn deref_mut(&mut self) -> &mut Stream {
        self.0.as_mut().expect(IN_PLACE)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.0 {
            stream.reset_on_close();
        }
    }
}
