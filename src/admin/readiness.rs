//! What GET /readyz says.

use std::fmt::{self, Display, Formatter};

use http::StatusCode;

use crate::config::Name;

/// Whether new sessions are wanted, and why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// They are.
    Ready,
    /// Not yet: the DNS has not told of the backends of these pools since the start.
    Discovering(Vec<Name>),
    /// Not any more.
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
