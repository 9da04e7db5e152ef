//! wsgate, a reverse proxy and WebSocket gateway with load balancing.

pub mod config;
pub mod session;
