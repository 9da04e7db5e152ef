//! What passed through a tunnel since it was last reported.

use crate::websocket::Opcode;

/// What passed through a tunnel since it was last reported: plain integers, both directions.
#[derive(Clone, Default, Debug)]
pub struct Traffic {
    /// From the client to the backend.
    pub client_to_backend: DirectionTraffic,
    /// From the backend to the client.
    pub backend_to_client: DirectionTraffic,
}

/// What passed in one direction.
#[derive(Clone, Default, Debug)]
pub struct DirectionTraffic {
    /// Bytes on the wire.
    pub bytes: u64,
    messages: u64,
}

impl DirectionTraffic {
    /// Counts a complete message of `length` payload bytes on the wire.
    #[inline]
    pub fn message(&mut self, _opcode: Opcode, _length: u64) {
        self.messages += 1;
    }

    /// Counts a control frame.
    pub fn control(&mut self, _opcode: Opcode) {}

    /// Counts a stream that broke the protocol.
    pub fn protocol_error(&mut self) {}
}
