//! wsgate, a reverse proxy and WebSocket gateway with load balancing.

pub mod config;
pub mod drain;
pub mod session;
pub mod stream;
pub mod websocket;
