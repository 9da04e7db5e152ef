//! Detects by the first bytes of a plain connection whether its client speaks HTTP/2.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::deadline::timeout_at;
use crate::stream::Socket;

/// The connection preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is clear whether the connection begins with the preface; at the deadline the answer is no. What was read is
/// put back.
///
/// # Errors
/// If reading fails.
pub(super) async fn read(mut socket: Socket, deadline: Instant) -> io::Result<(Socket, bool)> {
    let mut received = [0; PREFACE.len()];
    let mut length = 0;
    let reading = async {
        while length < PREFACE.len() && PREFACE.starts_with(&received[..length]) {
            match socket.read(&mut received[length..]).await? {
                0 => break,
                count => length += count,
            }
        }
        io::Result::Ok(())
    };
    timeout_at(deadline, reading).await.unwrap_or(Ok(()))?;
    Ok((socket.replay(&received[..length]), received == PREFACE))
}
