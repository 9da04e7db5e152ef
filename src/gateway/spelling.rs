//! The spelling of Sec-WebSocket-* towards clients, as in RFC 6455.
//!
//! hyper writes header names in title case (`Sec-Websocket-Accept`), unless the answer carries the original spelling of a
//! message that hyper itself has read. There is no public way to make such a spelling, so hyper is given a template to read,
//! once.

use http::Extensions;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Repeatable fields are listed twice, because hyper keeps a spelling for each occurrence.
const TEMPLATE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Sec-WebSocket-Accept: x\r\n\
    Sec-WebSocket-Extensions: x\r\n\
    Sec-WebSocket-Extensions: x\r\n\
    Sec-WebSocket-Protocol: x\r\n\
    Sec-WebSocket-Protocol: x\r\n\
    Sec-WebSocket-Version: x\r\n\
    Sec-WebSocket-Version: x\r\n\
    Content-Length: 0\r\n\r\n";

/// The extensions that make hyper spell the fields of an answer as RFC 6455 does. Empty (title case) if hyper ever stops
/// keeping spellings.
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

/// hyper accepts an answer only after it has sent the request.
async fn answer_with_template(peer: &mut DuplexStream) {
    let mut request = [0; 64];
    if peer.read(&mut request).await.is_ok() {
        // On an error hyper gets no answer and reports that itself.
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
