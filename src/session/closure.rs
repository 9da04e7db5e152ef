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

/// Who began the end of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Initiator {
    /// The client closed, ended or broke its side.
    Client,
    /// The backend closed, ended or broke its side.
    Backend,
    /// The gateway ended the tunnel.
    Gateway,
}

impl Initiator {
    /// Every initiator, in the order of the enumeration.
    pub const ALL: [Self; 3] = [Self::Client, Self::Backend, Self::Gateway];

    /// The value of the `initiator` label and log field.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Gateway => "gateway",
        }
    }
}

/// Why a tunnel ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// Both sides sent a Close.
    Finished,
    /// One side was reset, or ended without a Close.
    Lost,
    /// One side sent a Close and the other did not answer it within `timeouts.half_close`.
    HalfClose,
    /// No data frame passed for `websocket.idle`.
    Idle,
    /// One side sent no byte within `websocket.ping.timeout` after a Ping.
    PongOverdue,
    /// The session reached `websocket.max_age`, or its TLS 1.2 key its limit.
    MaxAge,
    /// The gateway is stopping, or the listener, route or backend was drained or removed.
    Drain,
    /// Its backend had more than its share of the sessions, and another one had room.
    Rebalance,
    /// A message was larger than `websocket.max_message_size`.
    MessageTooBig,
    /// The client sent more than `websocket.max_messages_per_second`.
    TooManyMessages,
    /// One side broke the protocol, and `websocket.on_protocol_error` is `close`.
    ProtocolError,
    /// One side took no byte for `websocket.slow_consumer.stall`.
    Stalled,
    /// Reset: a frame was not complete at the deadline, so no Close could be sent.
    Stuck,
    /// Closed without a Close: the drain's deadline came, or a second signal.
    Cut,
}

impl Reason {
    /// Every reason, in the order of the enumeration.
    pub const ALL: [Self; 14] = [
        Self::Finished,
        Self::Lost,
        Self::HalfClose,
        Self::Idle,
        Self::PongOverdue,
        Self::MaxAge,
        Self::Drain,
        Self::Rebalance,
        Self::MessageTooBig,
        Self::TooManyMessages,
        Self::ProtocolError,
        Self::Stalled,
        Self::Stuck,
        Self::Cut,
    ];

    /// The value of the `reason` label and log field.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::HalfClose => "half_close",
            Self::Idle => "idle",
            Self::PongOverdue => "pong_overdue",
            Self::MaxAge => "max_age",
            Self::Drain => "drain",
            Self::Rebalance => "rebalance",
            Self::MessageTooBig => "message_too_big",
            Self::TooManyMessages => "too_many_messages",
            Self::ProtocolError => "protocol_error",
            Self::Stalled => "stalled",
            Self::Stuck => "stuck",
            Self::Cut => "cut",
        }
    }
}
