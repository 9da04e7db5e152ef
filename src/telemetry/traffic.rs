//! Counts of what passes through a tunnel, in plain integers: the task of the tunnel counts each frame here, and adds all of
//! it to the shared counters every few seconds and at the end.

use crate::websocket::{Opcode, Side};

/// Upper bounds of the message size buckets in bytes, each four times the one before. A further bucket is unbounded.
pub(super) const SIZE_BOUNDS: [u64; 11] = [
    1 << 4,
    1 << 6,
    1 << 8,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
];

/// The number of buckets, including the unbounded one.
pub(super) const SIZES: usize = SIZE_BOUNDS.len() + 1;

/// What passed through a tunnel since the last report.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// What the client sent.
    pub client_to_backend: DirectionTraffic,
    /// What the backend sent.
    pub backend_to_client: DirectionTraffic,
}

impl Traffic {
    /// The counts of what `sender` sends.
    pub fn direction_mut(&mut self, sender: Side) -> &mut DirectionTraffic {
        match sender {
            Side::Client => &mut self.client_to_backend,
            Side::Backend => &mut self.backend_to_client,
        }
    }

    /// As [`Traffic::direction_mut`], for reading.
    #[must_use]
    pub fn direction(&self, sender: Side) -> &DirectionTraffic {
        match sender {
            Side::Client => &self.client_to_backend,
            Side::Backend => &self.backend_to_client,
        }
    }
}

/// What passed in one direction.
///
/// 32 bits cannot overflow in the few seconds between two reports: even one frame per nanosecond would take four seconds.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct DirectionTraffic {
    /// Forwarded bytes, including frame headers.
    pub bytes: u64,
    pub(super) message_bytes: u64,
    /// Messages by size bucket.
    pub(super) sizes: [u32; SIZES],
    pub(super) text: u32,
    pub(super) binary: u32,
    pub(super) close: u32,
    pub(super) ping: u32,
    pub(super) pong: u32,
    pub(super) protocol_errors: u32,
}

impl DirectionTraffic {
    /// Counts a complete message. `opcode` is that of its first frame, text or binary; `wire_length` is the sum of its payload
    /// lengths in bytes on the wire, so after any compression.
    #[inline]
    pub fn message(&mut self, opcode: Opcode, wire_length: u64) {
        debug_assert!(
            matches!(opcode, Opcode::Text | Opcode::Binary),
            "{opcode:?} is no message"
        );
        if opcode == Opcode::Text {
            self.text += 1;
        } else {
            self.binary += 1;
        }
        self.message_bytes += wire_length;
        self.sizes[size_index(wire_length)] += 1;
    }

    /// Counts a complete control frame; opcodes of data frames are ignored.
    #[inline]
    pub fn control(&mut self, opcode: Opcode) {
        match opcode {
            Opcode::Close => self.close += 1,
            Opcode::Ping => self.ping += 1,
            Opcode::Pong => self.pong += 1,
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                debug_assert!(false, "{opcode:?} is no control frame");
            }
        }
    }

    /// Counts a protocol error. Frames behind it cannot be parsed any more, so there is at most one in each direction.
    pub fn protocol_error(&mut self) {
        self.protocol_errors += 1;
    }

    /// The number of messages.
    pub(super) fn messages(&self) -> u64 {
        u64::from(self.text) + u64::from(self.binary)
    }
}

/// The index of the smallest bound that is at least `length`. It needs no search, as the bounds are 2⁴, 2⁶, 2⁸ and so on.
#[inline]
fn size_index(length: u64) -> usize {
    let bits = u64::BITS - length.saturating_sub(1).leading_zeros();
    ((bits.saturating_sub(3) / 2) as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small_enough_to_be_made_when_a_session_wakes() {
        assert!(size_of::<Traffic>() <= 192, "{}", size_of::<Traffic>());
    }

    #[test]
    fn finds_the_size_that_a_search_finds() {
        let around = |bound: u64| [bound - 1, bound, bound + 1];
        let edges = SIZE_BOUNDS.into_iter().flat_map(around);
        for length in edges.chain([0, 1, 125, 126, 65_535, u64::MAX]) {
            let expected = SIZE_BOUNDS.partition_point(|&bound| bound < length);
            assert_eq!(size_index(length), expected, "{length}");
        }
    }

    #[test]
    fn tells_messages_and_control_frames_apart() {
        let mut traffic = Traffic::default();
        let direction = traffic.direction_mut(Side::Backend);
        direction.message(Opcode::Text, 5);
        direction.message(Opcode::Text, 17);
        direction.message(Opcode::Binary, 1 << 30);
        direction.control(Opcode::Ping);
        direction.control(Opcode::Pong);
        direction.control(Opcode::Pong);
        direction.control(Opcode::Close);
        direction.protocol_error();

        let mut sizes = [0; SIZES];
        (sizes[0], sizes[1], sizes[SIZES - 1]) = (1, 1, 1);
        let expected = DirectionTraffic {
            bytes: 0,
            message_bytes: 22 + (1 << 30),
            sizes,
            text: 2,
            binary: 1,
            close: 1,
            ping: 1,
            pong: 2,
            protocol_errors: 1,
        };
        assert_eq!(traffic.backend_to_client, expected);
        assert_eq!(traffic.client_to_backend, DirectionTraffic::default());
        assert_eq!(expected.messages(), 3);
    }
}
