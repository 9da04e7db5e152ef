//! The last exchange with one side: it gets what is left and an end, and is heard until it ends too.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::buffer::with_scratch;
use super::relay::Relay;
use crate::stream::Stream;

/// Ready when `side` has got all that `relay` kept for it and an end, and has ended itself or broken.
///
/// What it still sends is read and dropped: a socket closed with unread bytes would be reset, and the reset
/// could overtake the last words.
pub(super) fn poll_farewell(
    context: &mut Context<'_>,
    relay: &mut Relay,
    side: &mut Stream,
) -> Poll<()> {
    if ready!(relay.poll_end(context, side)).is_err() {
        return Poll::Ready(());
    }
    with_scratch(|scratch| {
        loop {
            let mut buffer = ReadBuf::new(scratch);
            match ready!(Pin::new(&mut *side).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    })
}
