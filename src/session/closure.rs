//! Every way in which a tunnel ends.

/// How a tunnel ended, by whom and with which close code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closure {
    /// Who began the end.
    pub initiator: Initiator,
    /// The code of the first Close frame (RFC 6455 section 7.1.5); none where none was seen.
    pub code: Option<u16>,
    /// Why it ended.
    pub reason: Reason,
    /// What exactly it was; empty where the reason says all.
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
    /// Both sides said Close.
    Finished,
    /// One side was reset, or ended without a Close.
    Lost,
    /// One side said Close and the other did not within `timeouts.half_close`.
    HalfClose,
    /// No data frame passed for `websocket.idle`.
    Idle,
    /// One side sent no byte within `websocket.ping.timeout` after a Ping.
    PongOverdue,
    /// The session was as old as `websocket.max_age`, or the keys of TLS 1.2, let it get.
    MaxAge,
    /// The gateway is stopping, or a part of the configuration was removed.
    Drain,
    /// Its backend had more than its share, and another one had room.
    Rebalance,
    /// A message was larger than `websocket.max_message_size`.
    MessageTooBig,
    /// The client sent more than `websocket.max_messages_per_second`.
    TooManyMessages,
    /// One side broke the protocol, and `websocket.on_protocol_error` is `close`.
    ProtocolError,
    /// One side took no byte for `websocket.slow_consumer.stall`.
    Stalled,
    /// Reset: the frame on its way did not end before the deadline, so no Close could be said.
    Stuck,
    /// Cut: the drain's deadline came, or a second signal.
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
