//! The headers of HTTP/2 frames (RFC 9113 section 4.1), followed through any pieces of a stream.

/// The length of a client's connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// The length of a frame's header.
const HEADER: usize = 9;

/// The header of a frame, as far as anybody needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    /// The types that are looked for (RFC 9113 section 6).
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;

    /// The lowest flag: of DATA and HEADERS that they end their stream, of SETTINGS that it acknowledges the peer's.
    pub(super) fn has_first_flag(self) -> bool {
        self.flags & 1 != 0
    }
}

/// Where one direction of a connection stands.
#[derive(Debug)]
pub(super) struct Frames {
    /// How many bytes there are until the next header.
    rest: usize,
    /// The bytes of that header which have passed; all of them, while the rest of its frame passes.
    header: [u8; HEADER],
    passed: usize,
}

impl Frames {
    /// What a client sends.
    pub(super) fn of_client() -> Self {
        Self {
            rest: PREFACE,
            header: [0; HEADER],
            passed: 0,
        }
    }

    /// What a server sends.
    pub(super) fn of_server() -> Self {
        Self {
            rest: 0,
            ..Self::of_client()
        }
    }

    /// Tells `found` of the frames that end in `bytes`: nobody acts on a frame before.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut found: impl FnMut(Frame)) {
        loop {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            if self.rest == 0 && self.passed == HEADER {
                self.passed = 0;
                found(self.frame());
            }
            if bytes.is_empty() {
                return;
            }
            let (taken, after) = bytes.split_at((HEADER - self.passed).min(bytes.len()));
            self.header[self.passed..][..taken.len()].copy_from_slice(taken);
            self.passed += taken.len();
            bytes = after;
            if self.passed == HEADER {
                let [high, middle, low, ..] = self.header;
                self.rest = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            }
        }
    }

    /// The one whose header has passed.
    fn frame(&self) -> Frame {
        let [_, _, _, kind, flags, stream @ ..] = self.header;
        Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_same_in_any_pieces() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let settings = [0, 0, 6, Frame::SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1];
        let acknowledged = [0, 0, 0, Frame::SETTINGS, 1, 0, 0, 0, 0];
        // The payload looks like SETTINGS, and the reserved bit of the stream is set.
        let header = [0, 0, 9, Frame::DATA, 1, 0x80, 0, 1, 2];
        let payload = [0, 0, 0, Frame::SETTINGS, 0, 0, 0, 0, 0];
        let data = [header, payload].concat();
        let sent = [preface, &settings[..], &data, &acknowledged, &data].concat();
        let frame = |kind, flags, stream| Frame {
            kind,
            flags,
            stream,
        };
        let expected = [
            frame(Frame::SETTINGS, 0, 0),
            frame(Frame::DATA, 1, 258),
            frame(Frame::SETTINGS, 1, 0),
            frame(Frame::DATA, 1, 258),
        ];
        for size in 1..=sent.len() {
            let (mut frames, mut found) = (Frames::of_client(), Vec::new());
            for piece in sent.chunks(size) {
                frames.follow(piece, |frame| found.push(frame));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn finds_a_frame_when_it_is_complete() {
        let sent = [0, 0, 4, Frame::RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 8];
        let (mut frames, mut found) = (Frames::of_server(), 0);
        for (place, byte) in sent.iter().enumerate() {
            assert_eq!(found, 0, "after {place} bytes");
            frames.follow(&[*byte], |_| found += 1);
        }
        assert_eq!(found, 1);
    }
}
