//! wsgate, a reverse proxy and WebSocket gateway with load balancing.

pub mod session;
pub mod config;
