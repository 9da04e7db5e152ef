//! What GET /readyz says.

use std::fmt::{self, Display, Formatter};

use http::StatusCode;

use crate::config::Name;

/// Whether the gateway accepts new sessions, and if not, why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// It does.
    Ready,
    /// Not yet: discovery has had no answer for these pools since the start.
    Discovering(Vec<Name>),
    /// No longer.
    Draining,
}

impl Readiness {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Ready => StatusCode::OK,
            Self::Discovering(_) | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Display for Readiness {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => formatter.write_str("ready"),
            Self::Discovering(pools) => write!(formatter, "discovering {}", pools.join(", ")),
            Self::Draining => formatter.write_str("draining"),
        }
    }
}
