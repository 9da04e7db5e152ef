//! The gateway as its clients, its backends and its operator meet it: one scenario per row of what it
//! promises.
//!
//! `harness` starts gateways and plays clients, `backends` plays backends, one per misbehaviour. Every
//! other file is scenarios. Where one has to wait it waits for what happens; a sleep only shows that something does not.
//! Nothing here uses a fixed port, or leaves loopback.

mod access_log;
mod admin;
mod answer_fields;
mod backends;
mod balancing;
mod deploy;
mod discovery;
mod endings;
mod forwarded;
mod handshake;
mod harness;
mod headers;
mod health;
mod http;
mod http2;
mod listener;
mod metrics;
mod origin;
mod pools;
mod process;
mod program;
mod reload;
mod routes;
mod slow;
mod stop;
mod tls;
mod tls_stream;
mod transport;
mod tunnel;
mod upstream;
mod venue;
