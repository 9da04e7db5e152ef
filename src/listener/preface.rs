//! Detects by the first bytes of a plain connection whether its client speaks HTTP/2.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::deadline::timeout_at;
use crate::stream::Socket;

/// The connection preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The size of the first read: most heads come with it.
const FIRST_READ: usize = 1024;

/// Reads until it is clear whether the connection begins with the preface; at the deadline the answer is no. What was read is
/// put back.
///
/// # Errors
/// If reading fails.
pub(super) async fn read(mut socket: Socket, deadline: Instant) -> io::Result<(Socket, bool)> {
    let mut received = Vec::with_capacity(FIRST_READ);
    let reading = async {
        while received.len() < PREFACE.len() && PREFACE.starts_with(&received) {
            if socket.read_buf(&mut received).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    timeout_at(deadline, reading).await.unwrap_or(Ok(()))?;
    let is_http2 = received.starts_with(PREFACE);
    Ok((socket.replay(&received), is_http2))
}
