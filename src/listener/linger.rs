//! The end of a connection whose client may still be sending.
//!
//! A socket that is closed with unread bytes is reset, and the reset can overtake the last answer: a client that
//! uploads would see a broken connection where it was told 413 or 502, one with too large a head where it was told
//! 431. So what still comes is read and dropped.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::stream::Stream;

/// How long such a client may go on.
const LONGEST: Duration = Duration::from_secs(30);
/// How long it may be quiet meanwhile.
const QUIET: Duration = Duration::from_secs(5);
/// How much is read at once, in bytes.
const PIECE: usize = 16 * 1024;

/// Ends the sending half, and drops what comes until the client ends too or has had its time.
pub(super) async fn linger(mut stream: Stream) {
    let farewell = async {
        stream.shutdown().await?;
        let mut dropped = vec![0; PIECE];
        while timeout(QUIET, stream.read(&mut dropped)).await?? > 0 {}
        std::io::Result::Ok(())
    };
    // Whatever goes wrong here: the client has left.
    let _ = timeout(LONGEST, farewell).await;
}
