//! What a connection to a backend takes of this machine: a local address, and a descriptor.
//!
//! One `unsafe`: a socket option that no library here sets makes the system choose the port of a bound socket only when it
//! connects.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::Socket;

use super::failure::Failure;
use crate::stream::last_descriptor;

/// The local addresses of a pool, used in turn, and the descriptors that its connections may have.
#[derive(Debug)]
pub(super) struct Sources {
    addresses: Vec<IpAddr>,
    turn: AtomicUsize,
    last_descriptor: RawFd,
}

impl Sources {
    pub(super) fn new(addresses: &[IpAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            turn: AtomicUsize::new(0),
            last_descriptor: last_descriptor(),
        }
    }

    /// Whether a connection may have the descriptor of `socket`: the last ones are kept for other uses.
    pub(super) fn admit(&self, socket: &impl AsRawFd) -> Result<(), Failure> {
        let may_have = socket.as_raw_fd() <= self.last_descriptor;
        may_have.then_some(()).ok_or(Failure::NoDescriptor)
    }

    /// Whether a descriptor is in the upper half of those that connections may have. The system assigns the lowest free one, so
    /// these are in use only when there are many.
    pub(super) fn is_high(&self, descriptor: RawFd) -> bool {
        descriptor > self.last_descriptor / 2
    }

    /// The sources of the destination's family, beginning with the next in turn.
    pub(super) fn in_turn(&self, destination: SocketAddr) -> Vec<IpAddr> {
        let is_fitting = |source: &&IpAddr| source.is_ipv4() == destination.is_ipv4();
        let mut fitting: Vec<IpAddr> = self.addresses.iter().filter(is_fitting).copied().collect();
        if fitting.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % fitting.len();
            fitting.rotate_left(turn);
        }
        fitting
    }
}

/// Binds `socket` to `source`. Its port is chosen when it connects, so that one port can serve many destinations.
pub(super) fn bind(socket: &Socket, source: IpAddr) -> io::Result<()> {
    choose_port_at_connect(socket)?;
    socket.bind(&SocketAddr::new(source, 0).into())
}

/// Sets IP_BIND_ADDRESS_NO_PORT (ip(7)), which applies to IPv6 as well.
fn choose_port_at_connect(socket: &Socket) -> io::Result<()> {
    let enabled: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&enabled)).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "a socket option; see the head of the file")]
    // SAFETY: the descriptor is open while `socket` is borrowed, and the pointer and the size are those of
    // `enabled`, which lives through the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            std::ptr::from_ref(&enabled).cast(),
            size,
        )
    };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(addresses: &[&str]) -> Sources {
        let parsed: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Sources::new(&parsed)
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn takes_sources_of_the_destinations_family_in_turn() {
        let sources = sources(&["127.0.0.2", "::1", "127.0.0.3"]);
        let first = || sources.in_turn(at("127.0.0.1:80"))[0].to_string();
        assert_eq!(
            [first(), first(), first()],
            ["127.0.0.2", "127.0.0.3", "127.0.0.2"]
        );
        assert_eq!(
            sources.in_turn(at("[::1]:80")),
            ["::1".parse::<IpAddr>().unwrap()]
        );
    }
}
