//! RFC 6455 frames as the two ends of the benchmark need them. Deliberately not the gateway's own
//! code: what checks it must not share its mistakes.

pub(crate) const BINARY: u8 = 0x2;
/// Means nothing: a frame with it breaks the protocol.
pub(crate) const RESERVED: u8 = 0x3;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// The longest header: two bytes, eight of length, four of masking key.
const HEADER_MAX: usize = 14;

/// A frame's header, as far as the benchmark cares.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) opcode: u8,
    pub(crate) length: usize,
    pub(crate) mask: Option<[u8; 4]>,
}

impl Header {
    /// Appends the header of an unfragmented frame.
    pub(crate) fn write(&self, output: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        output.push(0x80 | self.opcode);
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short @ 0..=125), _) => output.push(masked | short),
            (_, Ok(medium)) => {
                output.push(masked | 126);
                output.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                output.push(masked | 127);
                output.extend_from_slice(&(self.length as u64).to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            output.extend_from_slice(&key);
        }
    }

    /// Reads a header and its size from the start of `bytes`; `None` when bytes are missing.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, second] = *bytes.first_chunk::<2>()?;
        let rest = &bytes[2..];
        let (length, size) = match second & 0x7F {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (
                usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?,
                10,
            ),
            short => (usize::from(short), 2),
        };
        let opcode = first & 0x0F;
        if second & 0x80 == 0 {
            return Some((
                Self {
                    opcode,
                    length,
                    mask: None,
                },
                size,
            ));
        }
        let key = *bytes[size..].first_chunk::<4>()?;
        Some((
            Self {
                opcode,
                length,
                mask: Some(key),
            },
            size + 4,
        ))
    }
}

/// A run of payload bytes of one frame, `at` bytes into its payload.
pub(crate) struct Piece<'a> {
    pub(crate) header: Header,
    pub(crate) at: usize,
    pub(crate) bytes: &'a [u8],
}

impl Piece<'_> {
    /// Whether the frame ends with this piece.
    pub(crate) fn is_last(&self) -> bool {
        self.at + self.bytes.len() == self.header.length
    }
}

/// Cuts a byte stream into pieces of frames, whatever way the stream is split.
#[derive(Default)]
pub(crate) struct FrameReader {
    /// The bytes of a header that is not complete.
    partial: Vec<u8>,
    /// The frame under way and how much of its payload was seen.
    current: Option<(Header, usize)>,
}

impl FrameReader {
    /// The next piece of `input`, which moves behind it; `None` when the input is used up.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Piece<'a>> {
        let (header, at) = match self.current.take() {
            Some(current) => current,
            None => (self.header(input)?, 0),
        };
        let count = input.len().min(header.length - at);
        if count == 0 && header.length > 0 {
            self.current = Some((header, at));
            return None;
        }
        let (bytes, rest) = input.split_at(count);
        *input = rest;
        if at + count < header.length {
            self.current = Some((header, at + count));
        }
        Some(Piece { header, at, bytes })
    }

    fn header(&mut self, input: &mut &[u8]) -> Option<Header> {
        if self.partial.is_empty()
            && let Some((header, size)) = Header::read(input)
        {
            *input = &input[size..];
            return Some(header);
        }
        let known = self.partial.len();
        let count = input.len().min(HEADER_MAX - known);
        self.partial.extend_from_slice(&input[..count]);
        let Some((header, size)) = Header::read(&self.partial) else {
            *input = &input[count..];
            return None;
        };
        *input = &input[size - known..];
        self.partial.clear();
        Some(header)
    }
}

/// Masks or unmasks `bytes`, which begin `at` bytes into the payload.
pub(crate) fn mask(bytes: &mut [u8], key: [u8; 4], at: usize) {
    let turned: [u8; 8] = std::array::from_fn(|index| key[(at + index) % 4]);
    let word = u64::from_ne_bytes(turned);
    let mut words = bytes.chunks_exact_mut(8);
    for chunk in &mut words {
        let chunk: &mut [u8; 8] = chunk
            .try_into()
            .expect("chunks_exact_mut(8) gives eight bytes");
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(turned) {
        *byte ^= key;
    }
}
