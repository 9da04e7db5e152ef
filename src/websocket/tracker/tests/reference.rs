//! The slow, obvious reading of RFC 6455 section 5 that the tracker is held against.
//!
//! It sees the whole stream at once and shares no code with the tracker. The fuzzer uses this
//! file, too, so it names nothing outside of itself but the standard library.

/// What the two ends agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether the stream is one that a client sends.
    pub(super) from_client: bool,
    /// Whether permessage-deflate is used.
    pub(super) deflate: bool,
    /// Whether an extension is used that nothing is known of.
    pub(super) unknown: bool,
}

/// What is seen in a stream, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// A header ends before `end`.
    Header {
        end: usize,
        fin: bool,
        opcode: u8,
        payload_length: u64,
    },
    /// A data frame ends before `end`.
    DataEnd {
        end: usize,
        fin: bool,
        opcode: u8,
        message_length: u64,
    },
    /// A control frame ends before `end`.
    Control {
        end: usize,
        opcode: u8,
        payload: Vec<u8>,
    },
    /// The frame that begins at `start` breaks the protocol.
    Violation { start: usize, error: String },
}

/// Everything that is seen in `stream`, from its first frame.
pub(super) fn read(stream: &[u8], rules: Rules) -> Vec<Seen> {
    let mut reader = Reader {
        stream,
        rules,
        seen: Vec::new(),
        message: None,
    };
    let mut start = 0;
    loop {
        match reader.frame(start) {
            Ok(next) => start = next,
            Err(End::Stream) => return reader.seen,
            Err(End::Violation(error)) => {
                reader.seen.push(Seen::Violation {
                    start,
                    error: error.to_owned(),
                });
                return reader.seen;
            }
        }
    }
}

struct Reader<'a> {
    stream: &'a [u8],
    rules: Rules,
    seen: Vec<Seen>,
    /// The opcode and the length so far of an unfinished message.
    message: Option<(u8, u64)>,
}

enum End {
    Stream,
    Violation(&'static str),
}

impl Reader<'_> {
    /// Reads the frame at `start`; says where the next one begins.
    fn frame(&mut self, start: usize) -> Result<usize, End> {
        let first = self.byte(start)?;
        let fin = first >= 128;
        let reserved = first / 16 % 8;
        let opcode = first % 16;
        require([0, 1, 2, 8, 9, 10].contains(&opcode), "ReservedOpcode")?;
        let control = opcode >= 8;
        require(fin || !control, "FragmentedControl")?;

        let second = self.byte(start + 1)?;
        let masked = second >= 128;
        require(second % 128 <= 125 || !control, "ControlTooLong")?;
        let (length_bytes, minimum) = match second % 128 {
            126 => (2, 126),
            127 => (8, 65536),
            _ => (0, 0),
        };
        let mut payload_length = u64::from(second % 128);
        if length_bytes > 0 {
            payload_length = 0;
        }
        for position in 0..length_bytes {
            let byte = self.byte(start + 2 + position)?;
            payload_length = payload_length * 256 + u64::from(byte);
        }
        require(payload_length < 1 << 63, "LengthTooLarge")?;
        require(payload_length >= minimum, "LengthNotMinimal")?;

        let mut key = [0; 4];
        let mut end = start + 2 + length_bytes;
        if masked {
            for byte in &mut key {
                *byte = self.byte(end)?;
                end += 1;
            }
        }
        self.check(reserved, opcode, masked)?;
        self.seen.push(Seen::Header {
            end,
            fin,
            opcode,
            payload_length,
        });
        if control {
            self.control(opcode, end, payload_length, key)
        } else {
            self.data(opcode, fin, end, payload_length)
        }
    }

    fn check(&self, reserved: u8, opcode: u8, masked: bool) -> Result<(), End> {
        let compressed = self.rules.deflate && reserved == 4 && (opcode == 1 || opcode == 2);
        require(
            reserved == 0 || compressed || self.rules.unknown,
            "ReservedBits",
        )?;
        require(masked || !self.rules.from_client, "Unmasked")?;
        require(!masked || self.rules.from_client, "Masked")?;
        require(
            opcode != 0 || self.message.is_some(),
            "ContinuationWithoutStart",
        )?;
        let begins = opcode == 1 || opcode == 2;
        require(!begins || self.message.is_none(), "MessageInterrupted")
    }

    fn data(&mut self, opcode: u8, fin: bool, start: usize, length: u64) -> Result<usize, End> {
        let (opcode, before) = self.message.unwrap_or((opcode, 0));
        let message_length = before.saturating_add(length);
        let end = start as u64 + length;
        if end > self.stream.len() as u64 {
            return Err(End::Stream);
        }
        let end = usize::try_from(end).unwrap();
        self.message = if fin {
            None
        } else {
            Some((opcode, message_length))
        };
        self.seen.push(Seen::DataEnd {
            end,
            fin,
            opcode,
            message_length,
        });
        Ok(end)
    }

    fn control(
        &mut self,
        opcode: u8,
        start: usize,
        length: u64,
        key: [u8; 4],
    ) -> Result<usize, End> {
        let mut payload = Vec::new();
        let mut end = start;
        while (payload.len() as u64) < length {
            payload.push(self.byte(end)? ^ key[payload.len() % 4]);
            end += 1;
        }
        if opcode == 8 {
            check_close(&payload)?;
        }
        self.seen.push(Seen::Control {
            end,
            opcode,
            payload,
        });
        Ok(end)
    }

    fn byte(&self, position: usize) -> Result<u8, End> {
        self.stream.get(position).copied().ok_or(End::Stream)
    }
}

fn check_close(payload: &[u8]) -> Result<(), End> {
    if payload.is_empty() {
        return Ok(());
    }
    require(payload.len() >= 2, "ClosePayloadTooShort")?;
    let code = u32::from(payload[0]) * 256 + u32::from(payload[1]);
    let registered = (1000..=1014).contains(&code) && ![1004, 1005, 1006].contains(&code);
    require(
        registered || (3000..5000).contains(&code),
        "CloseCodeInvalid",
    )?;
    require(
        String::from_utf8(payload[2..].to_vec()).is_ok(),
        "CloseReasonNotUtf8",
    )
}

fn require(condition: bool, error: &'static str) -> Result<(), End> {
    if condition {
        Ok(())
    } else {
        Err(End::Violation(error))
    }
}
