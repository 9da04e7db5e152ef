//! The PROXY protocol, versions 1 and 2, without I/O: a header before the first byte of a connection that
//! says between which ends the bytes are carried.
//!
//! Only stream sockets over IPv4 and IPv6 are known; of anything else a header says that it knows nothing.

mod decode;
mod encode;

use std::net::SocketAddr;

pub use decode::{Decoded, LONGEST, decode};
pub use encode::encode;

/// The version of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// The two ends of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Where the client is.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

impl Ends {
    /// Both ends, with IPv4-mapped IPv6 addresses written as IPv4.
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            source: canonical(source),
            destination: canonical(destination),
        }
    }
}

/// How a header of version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, the sender speaks for itself.
const LOCAL: u8 = 0x20;
/// Version 2, on behalf of somebody.
const PROXY: u8 = 0x21;
/// No address family, no transport.
const UNSPECIFIED: u8 = 0x00;
/// TCP over IPv4, and the bytes of two addresses and two ports.
const TCP4: (u8, u8) = (0x11, 12);
/// TCP over IPv6, and the bytes of two addresses and two ports.
const TCP6: (u8, u8) = (0x21, 36);
