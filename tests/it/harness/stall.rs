//! A sender whom the other side is to slow.

use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// What the buffers of four sockets and those of the gateway may hold together.
const BOUND: usize = 64 << 20;
/// So long without progress is a stall.
const STALL: Duration = Duration::from_millis(500);

/// Sends what `bytes_at` says of each place in the stream until no more is taken, which has to come soon; how many
/// bytes were taken.
pub(crate) async fn send_until_stalled<B: AsRef<[u8]>>(
    sender: &mut (impl AsyncWrite + Unpin),
    bytes_at: impl Fn(usize) -> B,
) -> usize {
    let mut sent = 0;
    while let Ok(count) = timeout(STALL, sender.write(bytes_at(sent).as_ref())).await {
        sent += count.expect("the connection is open");
        assert!(sent < BOUND, "{sent} bytes were taken");
    }
    sent
}
