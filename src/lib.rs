//! wsgate, a reverse proxy and WebSocket gateway with load balancing.

pub mod admission;
pub mod config;
pub mod route;
pub mod session;
pub mod tls;
