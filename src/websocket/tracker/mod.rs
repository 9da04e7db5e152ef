//! Follows the frames of one direction, in whatever pieces the stream arrives.
//!
//! Payloads are skipped by count. Only what a relay may have to hold back is stored: an incomplete header or control
//! frame, at most [`FrameTracker::MAX_PENDING`] bytes.
//!
//! The functions for data frames are marked `#[inline]`, the others `#[cold]`: together that halves the cost of a
//! frame (`benches/frame_tracker.rs`).

mod event;
mod held;
#[cfg(test)]
mod tests;

pub use event::{ControlPayload, Event, Step};

use self::held::{HeldControl, HeldHeader};
use super::close::Close;
use super::extensions::Extensions;
use super::frame::{FrameHeader, MAX_CONTROL_FRAME};
use super::opcode::{Opcode, Side};
use super::protocol_error::ProtocolError;

/// Knows at every byte where in a frame the stream is.
///
/// # How a relay drives it
///
/// Read a chunk and call [`step`](Self::step) until [`Event::NeedMore`]. A frame ends at [`Event::DataEnd`] or
/// [`Event::Control`], and the next one begins there. At the end of a chunk, hold back the bytes that
/// [`pending`](Self::pending) returns and forward them in front of the next chunk, without stepping over them again.
/// Then, at every event except `DataEnd`, nothing of the current frame has been forwarded and it can still be dropped.
#[derive(Debug)]
pub struct FrameTracker {
    place: Place,
    header: HeldHeader,
    /// Whether the message in progress is text or binary.
    message: Option<Opcode>,
    message_length: u64,
    sender: Side,
    extensions: Extensions,
}

/// Where in a frame the stream is.
#[derive(Debug)]
enum Place {
    /// Between two frames, or inside a header.
    Header,
    /// Inside a data frame, or at its end before that was reported.
    Data(DataFrame),
    /// Inside a control frame, after its header.
    Control(HeldControl),
    /// After a violation: where the following frames begin is unknown.
    Invalid(ProtocolError),
}

/// What is left to skip of a data frame, and what its [`Event::DataEnd`] will contain.
#[derive(Clone, Copy, Debug)]
struct DataFrame {
    remaining: u64,
    fin: bool,
    /// That of its message: text or binary.
    opcode: Opcode,
}

impl FrameTracker {
    /// The most bytes that [`pending`](Self::pending) returns: the longest control frame without its last byte.
    pub const MAX_PENDING: usize = MAX_CONTROL_FRAME - 1;

    /// Follows a stream from its first frame.
    #[must_use]
    pub fn new(sender: Side, extensions: Extensions) -> Self {
        Self {
            place: Place::Header,
            header: HeldHeader::new(),
            message: None,
            message_length: 0,
            sender,
            extensions,
        }
    }

    /// Follows `input` up to the next event.
    ///
    /// The caller repeats this with what the step did not consume, even if that is empty, until the event is
    /// [`Event::NeedMore`] or [`Event::Violation`].
    #[inline]
    pub fn step(&mut self, input: &[u8]) -> Step {
        match &mut self.place {
            Place::Header => self.step_header(input),
            Place::Data(frame) => {
                let frame = *frame;
                self.step_data(frame, input)
            }
            Place::Control(control) => {
                let opcode = control.opcode();
                let (consumed, payload) = control.take(&self.header, input);
                self.step_control(opcode, consumed, payload)
            }
            Place::Invalid(error) => Step {
                consumed: 0,
                event: Event::Violation(*error),
            },
        }
    }

    /// Whether the stream is between two frames, also inside a fragmented message: where another frame may be
    /// inserted.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        matches!(self.place, Place::Header) && self.header.len() == 0
    }

    /// Whether the stream is inside a data frame, behind its header.
    #[must_use]
    pub fn is_in_data(&self) -> bool {
        matches!(self.place, Place::Data(_))
    }

    /// The bytes of a data frame's payload that are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        match &self.place {
            Place::Data(frame) => frame.remaining,
            Place::Header | Place::Control(_) | Place::Invalid(_) => 0,
        }
    }

    /// Skips `count` bytes of the [`remaining`](Self::remaining) payload. The caller must then call
    /// [`step`](Self::step), if only with no input: the frame may have ended.
    pub fn skip(&mut self, count: u64) {
        if let Place::Data(frame) = &mut self.place {
            frame.remaining = frame.remaining.saturating_sub(count);
        }
    }

    /// How the stream broke the protocol, if it did: where its frames end is unknown from there on.
    #[must_use]
    pub fn violation(&self) -> Option<ProtocolError> {
        match self.place {
            Place::Invalid(error) => Some(error),
            Place::Header | Place::Data(_) | Place::Control(_) => None,
        }
    }

    /// The consumed bytes of an incomplete header or control frame, as they came; at most
    /// [`MAX_PENDING`](Self::MAX_PENDING). Empty at a boundary, inside a data payload, and after a violation.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        match &self.place {
            Place::Header => self.header.as_bytes(),
            Place::Control(control) => control.as_bytes().unwrap_or(self.header.as_bytes()),
            Place::Data(_) | Place::Invalid(_) => &[],
        }
    }

    /// The payload bytes on the wire of the message in progress, as announced by the headers seen so far; 0 between
    /// two messages.
    ///
    /// At [`Event::Header`] the payload of that frame is included already.
    #[must_use]
    pub fn message_length(&self) -> u64 {
        self.message_length
    }

    #[inline]
    fn step_header(&mut self, input: &[u8]) -> Step {
        let held = self.header.len();
        let read = if held == 0 {
            FrameHeader::parse(input)
        } else {
            self.header.append(input);
            FrameHeader::parse(self.header.as_bytes())
        };
        match read {
            Ok(Some(header)) => self.begin(&header, input, held),
            Ok(None) => {
                if held == 0 {
                    self.header.append(input);
                }
                Step {
                    consumed: input.len(),
                    event: Event::NeedMore,
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// Begins the frame of `header`, whose first `held` bytes came before `input`.
    #[inline]
    fn begin(&mut self, header: &FrameHeader, input: &[u8], held: usize) -> Step {
        if let Err(error) = self.check(header) {
            return self.fail(error);
        }
        let length = usize::from(header.header_length);
        let consumed = length - held;
        if header.opcode.is_control() {
            if held == 0 {
                self.header.append(input);
            }
            self.header.truncate(header.header_length);
            self.place = Place::Control(HeldControl::new(header));
        } else {
            self.header.truncate(0);
            let opcode = *self.message.get_or_insert(header.opcode);
            self.message_length = self.message_length.saturating_add(header.payload_length);
            self.place = Place::Data(DataFrame {
                remaining: header.payload_length,
                fin: header.fin,
                opcode,
            });
        }
        Step {
            consumed,
            event: Event::Header {
                opcode: header.opcode,
                fin: header.fin,
                payload_length: header.payload_length,
            },
        }
    }

    /// Checks what depends on the sender, the extensions and earlier frames.
    #[inline]
    fn check(&self, header: &FrameHeader) -> Result<(), ProtocolError> {
        if !self.extensions.allow(header.reserved, header.opcode) {
            return Err(ProtocolError::ReservedBits);
        }
        match self.sender {
            Side::Client if header.mask.is_none() => return Err(ProtocolError::Unmasked),
            Side::Backend if header.mask.is_some() => return Err(ProtocolError::Masked),
            Side::Client | Side::Backend => {}
        }
        match header.opcode {
            Opcode::Continuation if self.message.is_none() => {
                Err(ProtocolError::ContinuationWithoutStart)
            }
            Opcode::Text | Opcode::Binary if self.message.is_some() => {
                Err(ProtocolError::MessageInterrupted)
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => Ok(()),
            Opcode::Close | Opcode::Ping | Opcode::Pong => Ok(()),
        }
    }

    #[inline]
    fn step_data(&mut self, frame: DataFrame, input: &[u8]) -> Step {
        let DataFrame {
            remaining,
            fin,
            opcode,
        } = frame;
        match usize::try_from(remaining) {
            Ok(consumed) if consumed <= input.len() => {
                self.place = Place::Header;
                let message_length = self.message_length;
                if fin {
                    self.message = None;
                    self.message_length = 0;
                }
                Step {
                    consumed,
                    event: Event::DataEnd {
                        opcode,
                        fin,
                        message_length,
                    },
                }
            }
            _ => {
                let remaining = remaining - input.len() as u64;
                self.place = Place::Data(DataFrame {
                    remaining,
                    fin,
                    opcode,
                });
                Step {
                    consumed: input.len(),
                    event: Event::NeedMore,
                }
            }
        }
    }

    /// Ends a control frame if its `payload` is complete.
    #[cold]
    fn step_control(
        &mut self,
        opcode: Opcode,
        consumed: usize,
        payload: Option<ControlPayload>,
    ) -> Step {
        let Some(payload) = payload else {
            return Step {
                consumed,
                event: Event::NeedMore,
            };
        };
        if opcode == Opcode::Close
            && let Err(error) = Close::parse(payload.as_bytes())
        {
            return self.fail(error);
        }
        self.place = Place::Header;
        self.header.truncate(0);
        Step {
            consumed,
            event: Event::Control { opcode, payload },
        }
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError) -> Step {
        self.place = Place::Invalid(error);
        Step {
            consumed: 0,
            event: Event::Violation(error),
        }
    }
}
