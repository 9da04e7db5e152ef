//! Sec-WebSocket-* towards clients as the RFC spells them.
//!
//! hyper writes field names in title case, `Sec-Websocket-Accept`, unless an answer carries the spelling of
//! a message that hyper itself has read; there is no other way to give it one. So it is given a message to
//! read, once.

use http::Extensions;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The names that a backend may say twice stand here twice: hyper spells a repeated field by its place.
const TEMPLATE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Sec-WebSocket-Accept: x\r\n\
    Sec-WebSocket-Extensions: x\r\n\
    Sec-WebSocket-Extensions: x\r\n\
    Sec-WebSocket-Protocol: x\r\n\
    Sec-WebSocket-Protocol: x\r\n\
    Sec-WebSocket-Version: x\r\n\
    Sec-WebSocket-Version: x\r\n\
    Content-Length: 0\r\n\r\n";

/// What an answer carries so that hyper spells its fields as RFC 6455 does. Empty, and the spelling title
/// case, should hyper ever no longer keep spellings.
pub(super) async fn of_the_rfc() -> Extensions {
    read_template().await.unwrap_or_default()
}

async fn read_template() -> Option<Extensions> {
    let (mut peer, stream) = tokio::io::duplex(TEMPLATE.len() * 2);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let connection = tokio::spawn(connection);
    let request = http::Request::new(Empty::<bytes::Bytes>::new());
    let (answer, ()) = tokio::join!(
        sender.send_request(request),
        answer_with_template(&mut peer)
    );
    connection.abort();
    Some(answer.ok()?.extensions().clone())
}

/// hyper takes an answer only once it has sent the request.
async fn answer_with_template(peer: &mut DuplexStream) {
    let mut request = [0; 64];
    if peer.read(&mut request).await.is_ok() {
        // An error leaves hyper without an answer, which is noticed there.
        let _ = peer.write_all(TEMPLATE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hyper_still_keeps_spellings() {
        assert!(
            read_template()
                .await
                .is_some_and(|spelling| !spelling.is_empty())
        );
    }
}
