//! Drives a tracker as a relay does, and checks on the way what a relay relies on.
//!
//! The fuzzer uses this file, too: the types of the room come from the file that includes it.

use super::reference::{Rules, Seen};
use super::{Event, Extensions, FrameTracker, Side};

/// What a tracker sees in `stream` when it comes in pieces of these lengths, and then in one.
pub(super) fn follow(stream: &[u8], rules: Rules, pieces: &[usize]) -> Vec<Seen> {
    let mut follower = Follower::new(stream, rules);
    for piece in pieces {
        follower.take(*piece);
    }
    follower.take(stream.len());
    follower.seen
}

struct Follower<'a> {
    tracker: FrameTracker,
    stream: &'a [u8],
    position: usize,
    frame_start: usize,
    in_data: bool,
    seen: Vec<Seen>,
}

impl<'a> Follower<'a> {
    fn new(stream: &'a [u8], rules: Rules) -> Self {
        let sender = if rules.from_client {
            Side::Client
        } else {
            Side::Backend
        };
        let extensions = match (rules.unknown, rules.deflate) {
            (true, _) => Extensions::Unknown,
            (false, true) => Extensions::PermessageDeflate,
            (false, false) => Extensions::None,
        };
        let tracker = FrameTracker::new(sender, extensions);
        Self {
            tracker,
            stream,
            position: 0,
            frame_start: 0,
            in_data: false,
            seen: Vec::new(),
        }
    }

    fn take(&mut self, length: usize) {
        let end = self.stream.len().min(self.position.saturating_add(length));
        if length % 2 == 1 {
            self.skip(end);
        }
        loop {
            let input = &self.stream[self.position..end];
            let step = self.tracker.step(input);
            assert!(step.consumed <= input.len());
            self.position += step.consumed;
            match step.event {
                Event::NeedMore => break assert_eq!(self.position, end),
                Event::Violation(error) => return self.lose(format!("{error:?}")),
                event => self.see(event),
            }
            self.check();
        }
        self.check();
    }

    /// Skips to `end` without reading, as far as the tracker allows.
    fn skip(&mut self, end: usize) {
        let most = usize::try_from(self.tracker.remaining()).unwrap_or(usize::MAX);
        let count = most.min(end - self.position);
        self.tracker.skip(count as u64);
        self.position += count;
    }

    fn see(&mut self, event: Event) {
        let end = self.position;
        let seen = match event {
            Event::Header {
                opcode,
                fin,
                payload_length,
            } => {
                self.in_data = !opcode.is_control();
                Seen::Header {
                    end,
                    fin,
                    opcode: opcode.number(),
                    payload_length,
                }
            }
            Event::DataEnd {
                opcode,
                fin,
                message_length,
            } => {
                self.end_frame();
                Seen::DataEnd {
                    end,
                    fin,
                    opcode: opcode.number(),
                    message_length,
                }
            }
            Event::Control { opcode, payload } => {
                self.end_frame();
                let payload = payload.as_bytes().to_vec();
                Seen::Control {
                    end,
                    opcode: opcode.number(),
                    payload,
                }
            }
            Event::NeedMore | Event::Violation(_) => return,
        };
        self.seen.push(seen);
    }

    fn end_frame(&mut self) {
        self.in_data = false;
        self.frame_start = self.position;
    }

    /// Nothing comes after a violation, however often the tracker steps.
    fn lose(&mut self, error: String) {
        assert!(self.tracker.pending().is_empty() && !self.tracker.at_boundary());
        let violation = Seen::Violation {
            start: self.frame_start,
            error,
        };
        if self.seen.last() != Some(&violation) {
            self.seen.push(violation);
        }
    }

    /// A relay can hold back exactly the unfinished header or control frame, and nothing else.
    fn check(&self) {
        let frame = &self.stream[self.frame_start..self.position];
        let pending = if self.in_data { &[] } else { frame };
        assert_eq!(self.tracker.pending(), pending);
        assert!(pending.len() <= FrameTracker::MAX_PENDING);
        assert_eq!(
            self.tracker.at_boundary(),
            frame.is_empty() && !self.in_data
        );
    }
}
