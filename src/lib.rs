//! wsgate, a reverse proxy and WebSocket gateway with load balancing.

pub mod admission;
pub mod cli;
pub mod config;
pub mod route;
pub mod session;
pub mod tls;
