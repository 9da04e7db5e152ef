//! Closing a connection whose client may still be sending: the body of a request, or what it sends while it takes an answer
//! over HTTP/2.
//!
//! Closing a socket with unread bytes resets the connection, and the reset can overtake the last answer: a client that
//! uploads would see a broken connection instead of a 413 or 502, one with a head that is too large instead of a 431. So what
//! still arrives is read and dropped.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::stream::Stream;

/// How long in total.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest pause of a client that is sending.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
/// The size of a read, in bytes.
const PIECE: usize = 16 * 1024;

/// Shuts the sending half down, then reads and drops until the client closes, pauses for `pause`, or its time is over.
pub(super) async fn linger(mut stream: Stream, pause: Duration) {
    let farewell = async {
        stream.shutdown().await?;
        let mut dropped = vec![0; PIECE];
        while timeout(pause, stream.read(&mut dropped)).await?? > 0 {}
        std::io::Result::Ok(())
    };
    // On an error the client has left.
    let _ = timeout(LONGEST, farewell).await;
}
