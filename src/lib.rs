//! wsgate, a reverse proxy and WebSocket gateway with load balancing.

pub mod admin;
pub mod config;
pub mod session;
pub mod telemetry;
