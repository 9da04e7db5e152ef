//! Settings of the process as a whole: the admin side, logs, threads, the way it stops.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// The admin side: metrics, health, status, reload.
#[derive(Clone, PartialEq, Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: Address,
}

/// Never a public address unless asked for.
impl Default for Admin {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9901));
        Self {
            address: Address::Tcp(address),
        }
    }
}

/// A place to listen at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Address {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether both cannot be bound at the same time. Port 0 is another port each time.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => {
                one.port() == other.port() && one.port() != 0 && overlap(one, other)
            }
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Tcp(_), Self::Unix(_)) | (Self::Unix(_), Self::Tcp(_)) => false,
        }
    }
}

fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip(), other.ip());
    let is_same = ip == other_ip && interface(one) == interface(other);
    is_same || covers(ip, other_ip) || covers(other_ip, ip)
}

/// The number of the interface that has a link-local address; 0 for other addresses, for which it means nothing.
fn interface(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(address) if address.ip().is_unicast_link_local() => address.scope_id(),
        SocketAddr::V6(_) | SocketAddr::V4(_) => 0,
    }
}

/// A socket at `[::]` accepts IPv4 as well, and every interface.
fn covers(wide: IpAddr, narrow: IpAddr) -> bool {
    wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// What is logged and how.
#[derive(Clone, PartialEq, Debug)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least level that is written.
    pub level: tracing::Level,
    /// Access-log lines.
    pub access: AccessLog,
}

/// The form of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value` pairs for people.
    Text,
}

/// Which access-log lines are written.
#[derive(Clone, PartialEq, Debug)]
pub struct AccessLog {
    /// A line when a session opens.
    pub open: bool,
    /// A line when a session ends.
    pub close: bool,
    /// A line for each plain HTTP request, when its answer has ended or it is refused.
    pub request: bool,
    /// Whether values in query strings are replaced.
    pub redact_query: bool,
}

/// Threads.
#[derive(Clone, PartialEq, Debug)]
pub struct Runtime {
    /// The number of workers; `None` stands for one per core.
    pub workers: Option<NonZeroUsize>,
    /// Whether io_uring is used where the system has it.
    pub io_uring: bool,
}

/// How sessions are ended when something stops.
#[derive(Clone, PartialEq, Debug)]
pub struct Drain {
    /// How long `/readyz` fails while connections are still accepted.
    pub grace: Duration,
    /// The time over which the Close frames are spread.
    pub window: Duration,
    /// When whatever is left is cut, from the beginning of the drain.
    pub deadline: Duration,
    /// The code of the Close frame.
    pub close_code: u16,
    /// The reason in the Close frame; at most 123 bytes.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_link_is_another_on_another_interface() {
        for (one, other, collide) in [
            ("[fe80::1%1]:80", "[fe80::1%2]:80", false),
            ("[fe80::1%1]:80", "[fe80::1%1]:80", true),
            ("[fe80::1%1]:80", "[fe80::1%1]:81", false),
            ("[fe80::1%1]:80", "[::]:80", true),
            ("[2001:db8::1%1]:80", "[2001:db8::1%2]:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
        ] {
            let address = |text: &str| Address::Tcp(text.parse().expect("an address"));
            let (one, other) = (address(one), address(other));
            assert_eq!(one.collides(&other), collide, "{one} {other}");
            assert_eq!(other.collides(&one), collide, "{other} {one}");
        }
    }
}
