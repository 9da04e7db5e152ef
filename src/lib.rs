//! wsgate, a reverse proxy and WebSocket gateway with load balancing.
//!
//! Where everything lives, who may know whom, and the way of a session: ARCHITECTURE.md.

pub mod admin;
pub mod admission;
pub mod cli;
pub mod config;
pub mod dns;
pub mod drain;
pub mod gateway;
pub mod listener;
pub mod occupancy;
pub mod proxy_protocol;
pub mod route;
pub mod server;
pub mod session;
pub mod snapshot;
pub mod stream;
pub mod telemetry;
pub mod tls;
pub mod tunnel;
pub mod upstream;
pub mod websocket;
