//! The metrics of a route in one direction.

use prometheus::IntCounter;

use super::enumerated::Enumerated;
use super::families::RouteFamilies;
use super::labels::{control_opcodes, message_opcodes};
use super::sizes::MessageSizes;
use crate::telemetry::DirectionTraffic;
use crate::websocket::{Opcode, Side};

/// The series of a route and a direction.
pub(super) struct DirectionSeries {
    bytes: IntCounter,
    messages: Enumerated,
    control_frames: Enumerated,
    message_sizes: MessageSizes,
    protocol_errors: IntCounter,
}

impl DirectionSeries {
    pub(super) fn new(families: &RouteFamilies, route: &str, sender: Side) -> Self {
        let labels = &[route, label(sender)];
        Self {
            bytes: families.bytes.with_label_values(labels),
            messages: Enumerated::new(&families.messages, labels, message_opcodes()),
            control_frames: Enumerated::new(&families.control_frames, labels, control_opcodes()),
            message_sizes: families.message_sizes.with_label_values(labels),
            protocol_errors: families.protocol_errors.with_label_values(labels),
        }
    }

    /// Adds what passed since the last report.
    pub(super) fn add(&self, traffic: &DirectionTraffic) {
        self.bytes.inc_by(traffic.bytes);
        if traffic.messages() > 0 {
            self.messages
                .add(Opcode::Text.label(), u64::from(traffic.text));
            self.messages
                .add(Opcode::Binary.label(), u64::from(traffic.binary));
            self.message_sizes.add(traffic);
        }
        for (opcode, frames) in [
            (Opcode::Close, traffic.close),
            (Opcode::Ping, traffic.ping),
            (Opcode::Pong, traffic.pong),
        ] {
            self.control_frames.add(opcode.label(), u64::from(frames));
        }
        self.protocol_errors
            .inc_by(u64::from(traffic.protocol_errors));
    }
}

/// The value of the `direction` label.
fn label(sender: Side) -> &'static str {
    match sender {
        Side::Client => "client_to_backend",
        Side::Backend => "backend_to_client",
    }
}
