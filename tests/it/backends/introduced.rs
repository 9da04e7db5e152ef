//! Backends that want a PROXY header first.

use super::{Backend, Visitor};

/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

impl Backend {
    /// Agrees, and says in the field X-Introduction which PROXY header came first, as hexadecimal digits.
    pub(crate) async fn introduced() -> Self {
        Self::start(|mut visitor| async move {
            let header = visitor.introduction().await;
            let digits: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
            visitor
                .agree(&format!("X-Introduction: {digits}\r\n"), "")
                .await;
            visitor.wire.mirror().await;
        })
        .await
    }
}

impl Visitor {
    /// The PROXY header that the connection begins with, whole.
    async fn introduction(&mut self) -> Vec<u8> {
        let mut header = self.wire.take(SIGNATURE.len()).await;
        if header != SIGNATURE {
            while !header.ends_with(b"\r\n") {
                header.extend(self.wire.take(1).await);
            }
            return header;
        }
        header.extend(self.wire.take(4).await);
        let length = u16::from_be_bytes([header[14], header[15]]);
        header.extend(self.wire.take(usize::from(length)).await);
        header
    }
}
