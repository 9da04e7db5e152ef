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
    /// Both sides ended in order.
    Finished,
    /// One side was reset, or ended inside TLS without close_notify.
    Lost,
    /// One side ended its sending half and the other did not follow within `timeouts.half_close`.
    HalfClose,
    /// The gateway is stopping, or a part of the configuration was removed.
    Drain,
    /// Cut: the drain's deadline came, or a second signal.
    Cut,
}

impl Reason {
    /// Every reason, in the order of the enumeration.
    pub const ALL: [Self; 5] = [
        Self::Finished,
        Self::Lost,
        Self::HalfClose,
        Self::Drain,
        Self::Cut,
    ];

    /// The value of the `reason` label and log field.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::HalfClose => "half_close",
            Self::Drain => "drain",
            Self::Cut => "cut",
        }
    }
}
