//! wsgate, a reverse proxy and WebSocket gateway with load balancing.

pub mod admin;
pub mod config;
pub mod drain;
pub mod route;
pub mod session;
pub mod stream;
pub mod telemetry;
pub mod tls;
pub mod websocket;
pub mod config;
pub mod session;
