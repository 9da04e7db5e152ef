//! The PROXY protocol, versions 1 and 2, without I/O: a header before the first byte of a connection that names its original
//! source and destination.
//!
//! Only TCP over IPv4 and IPv6 is supported; for anything else the header has no addresses.

mod decode;
mod encode;

use std::net::SocketAddr;

pub use decode::{Decoded, LONGEST, decode, is_header};
pub use encode::encode;

/// The version of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// Source and destination of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// The address that it connected to.
    pub destination: SocketAddr,
}

impl Ends {
    /// Both addresses; IPv4-mapped IPv6 addresses become IPv4.
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

/// The first bytes of a header of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command LOCAL: the sender's own connection.
const LOCAL: u8 = 0x20;
/// Version 2, command PROXY: on behalf of a client.
const PROXY: u8 = 0x21;
/// Address family and transport are unspecified.
const UNSPECIFIED: u8 = 0x00;
/// TCP over IPv4, and the length of two addresses and two ports.
const TCP4: (u8, u8) = (0x11, 12);
/// TCP over IPv6, and the length of two addresses and two ports.
const TCP6: (u8, u8) = (0x21, 36);
