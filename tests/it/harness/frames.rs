//! Frames, written and read by hand: byte for byte, so that it shows what the gateway puts between them.

use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::Wire;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const TEXT_BEGUN: u8 = 0x01;
pub(crate) const TEXT_ENDED: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One of the two ends of a session: a client masks its frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Speaker {
    Client,
    Backend,
}

impl Speaker {
    /// The other end.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }

    /// As in logs and metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
        }
    }

    /// A frame as this end sends it.
    pub(crate) fn frame(self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.header(first, payload.len() as u64);
        match self {
            Self::Client => frame.extend(applied(KEY, payload)),
            Self::Backend => frame.extend(payload),
        }
        frame
    }

    /// The header of such a frame, the masking key included.
    pub(crate) fn header(self, first: u8, length: u64) -> Vec<u8> {
        let mut header = vec![first];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ ..=125), _) => header.push(length),
            (_, Ok(length)) => {
                header.push(126);
                header.extend(length.to_be_bytes());
            }
            _ => {
                header.push(127);
                header.extend(length.to_be_bytes());
            }
        }
        if self == Self::Client {
            header[1] |= 0x80;
            header.extend(KEY);
        }
        header
    }

    /// A text.
    pub(crate) fn text(self, text: &str) -> Vec<u8> {
        self.frame(TEXT, text.as_bytes())
    }

    /// A Close with a code and a reason.
    pub(crate) fn close(self, code: u16, reason: &str) -> Vec<u8> {
        self.frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
    }
}

/// A frame that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Its first byte.
    pub(crate) first: u8,
    /// The end that sends so: masked or not.
    pub(crate) speaker: Speaker,
    /// Its payload, unmasked.
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// A Close that `speaker` could have sent.
    pub(crate) fn close(speaker: Speaker, code: u16, reason: &str) -> Self {
        Self {
            first: CLOSE,
            speaker,
            payload: [&code.to_be_bytes(), reason.as_bytes()].concat(),
        }
    }

    /// The code of a Close, if it has one.
    pub(crate) fn close_code(&self) -> Option<u16> {
        assert_eq!(self.first, CLOSE, "something else than a Close: {self:?}");
        let code = self.payload.first_chunk();
        code.map(|code| u16::from_be_bytes(*code))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        let head = self.take(2).await;
        let length = match head[1] & 0x7f {
            126 => number(&self.take(2).await),
            127 => number(&self.take(8).await),
            short => usize::from(short),
        };
        let key = match head[1] & 0x80 {
            0 => None,
            _ => self.take(4).await.first_chunk().copied(),
        };
        let payload = self.take(length).await;
        Frame {
            first: head[0],
            speaker: key.map_or(Speaker::Backend, |_| Speaker::Client),
            payload: applied(key.unwrap_or_default(), &payload),
        }
    }

    /// Reads exactly these bytes.
    pub(crate) async fn expect(&mut self, wanted: impl AsRef<[u8]>) {
        let wanted = wanted.as_ref();
        let got = self.take(wanted.len()).await;
        if got != wanted {
            let mut pairs = got.iter().zip(wanted);
            let differs = pairs.position(|(got, wanted)| got != wanted);
            panic!("other bytes than those sent, from {differs:?} on");
        }
    }

    /// Reads a Close with this code and reason, as the gateway says it: in the place of the other end, and
    /// with a key of its own.
    pub(crate) async fn expect_close(&mut self, speaker: Speaker, code: u16, reason: &str) {
        assert_eq!(self.frame().await, Frame::close(speaker, code, reason));
    }

    /// Waits for the end of the other side's half, with nothing before it.
    pub(crate) async fn expect_end(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "something before the end: {rest:x?}");
    }
}

fn applied(key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let pairs = payload.iter().zip(key.iter().cycle());
    pairs.map(|(byte, key)| byte ^ key).collect()
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}
