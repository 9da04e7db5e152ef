//! Vocabulary of a session: who the client is, why a request was refused, how a session ended.
//!
//! Only types that every room may use; no behaviour.

mod closure;
mod id;
mod peer;
mod rejection;

pub use closure::{Closure, Initiator, Reason};
pub use id::SessionId;
pub use peer::Peer;
pub use rejection::Rejection;
