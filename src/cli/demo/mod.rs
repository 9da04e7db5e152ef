//! The parts of `wsgate demo`: backends, a page, a configuration, and the text that explains them.
//!
//! Everything listens on the loopback address, and nothing is written to disk. `main` starts the gateway between page
//! and backends from the configuration made here, like any other.

mod backends;
mod configuration;
mod page;
mod trial;
mod words;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use self::backends::Backends;
pub use self::configuration::{SECURE_LISTENER, configuration};
pub use self::page::Page;
pub use self::trial::trial;
pub use self::words::words;

/// The names for which the certificate of the demo is made.
pub const CERTIFICATE_NAMES: [&str; 4] = ["localhost", "*.localhost", "127.0.0.1", "::1"];

/// The path at which the gateway takes WebSockets.
const PATH: &str = "/echo";

/// The addresses of a running demo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// The page.
    pub page: SocketAddr,
    /// The gateway without TLS.
    pub ws: SocketAddr,
    /// The gateway with TLS.
    pub wss: SocketAddr,
    /// The gateway's admin side.
    pub admin: SocketAddr,
}

/// An address that only this machine reaches.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
