//! How tunnels end.

/// How a tunnel ended: who began it, with which close code, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closure {
    /// Who began the end.
    pub initiator: Initiator,
    /// The code of the first Close frame (RFC 6455 section 7.1.5); `None` without a Close.
    pub code: Option<u16>,
    /// Why it ended.
    pub reason: Reason,
    /// Details; empty if the reason says it all.
    pub detail: &'static str,
}

impl Closure {
    /// The end of a session that is cut: at the deadline of a drain, or with the process.
    pub const CUT: Self = Self {
        initiator: Initiator::Gateway,
        code: None,
        reason: Reason::Cut,
        detail: "",
    };
}

enumeration! {
    /// Who began the end of a tunnel.
    pub enum Initiator {
        /// The client closed, ended or broke its side.
        Client => "client",
        /// The backend closed, ended or broke its side.
        Backend => "backend",
        /// The gateway ended the tunnel.
        Gateway => "gateway",
    }
    /// The value of the `initiator` label and log field.
    pub fn label;
}

enumeration! {
    /// Why a tunnel ended.
    pub enum Reason {
        /// Both sides sent a Close.
        Finished => "finished",
        /// One side was reset, or ended without a Close.
        Lost => "lost",
        /// One side sent a Close and the other did not answer it within `timeouts.half_close`.
        HalfClose => "half_close",
        /// No data frame passed for `websocket.idle`.
        Idle => "idle",
        /// One side sent no byte within `websocket.ping.timeout` after a Ping.
        PongOverdue => "pong_overdue",
        /// The session reached `websocket.max_age`, or its TLS 1.2 key its limit.
        MaxAge => "max_age",
        /// The gateway is stopping, or the listener, route or backend was drained or removed.
        Drain => "drain",
        /// Its backend had more than its share of the sessions, and another one had room.
        Rebalance => "rebalance",
        /// A message was larger than `websocket.max_message_size`.
        MessageTooBig => "message_too_big",
        /// The client sent more than `websocket.max_messages_per_second`.
        TooManyMessages => "too_many_messages",
        /// One side broke the protocol, and `websocket.on_protocol_error` is `close`.
        ProtocolError => "protocol_error",
        /// One side took no byte for `websocket.slow_consumer.stall`.
        Stalled => "stalled",
        /// Reset: a frame was not complete at the deadline, so no Close could be sent.
        Stuck => "stuck",
        /// Closed without a Close: the drain's deadline came, or a second signal.
        Cut => "cut",
    }
    /// The value of the `reason` label and log field.
    pub fn label;
}
