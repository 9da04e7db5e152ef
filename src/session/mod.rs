//! The words of a session: who came, why one was refused, how one ended.
//!
//! No behaviour lives here, only types that every room may name.

mod closure;
mod id;
mod peer;
mod rejection;

pub use closure::{Closure, Initiator, Reason};
pub use id::SessionId;
pub use peer::Peer;
pub use rejection::Rejection;
