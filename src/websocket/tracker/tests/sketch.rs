//! Frames to build streams from, valid or not.

/// A frame, valid or not.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub(super) first: u8,
    pub(super) masked: bool,
    pub(super) payload: Vec<u8>,
    /// Whether the length takes more bytes than it needs.
    pub(super) wide: bool,
}

impl Sketch {
    /// Appends the frame as it goes on the wire.
    pub(super) fn write(&self, stream: &mut Vec<u8>) {
        let length = self.payload.len();
        let mask_bit = u8::from(self.masked) << 7;
        stream.push(self.first);
        match u8::try_from(length) {
            Ok(short @ ..=125) if !self.wide => stream.push(mask_bit | short),
            _ if length < 1 << 16 && !self.wide => {
                stream.push(mask_bit | 126);
                stream.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                stream.push(mask_bit | 127);
                stream.extend((length as u64).to_be_bytes());
            }
        }
        let key = if self.masked {
            [0x37, 0xfa, 0x21, 0x3d]
        } else {
            [0; 4]
        };
        if self.masked {
            stream.extend(key);
        }
        stream.extend(
            self.payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
    }
}
