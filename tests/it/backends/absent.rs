//! A backend that is not there.

use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};

use super::Backend;

impl Backend {
    /// Connections are refused. The port stays taken, so that nobody else answers there.
    pub(crate) fn absent() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&loopback.into()).expect("a free port");
        let address = socket.local_addr().expect("a bound socket").as_socket();
        Self {
            address: address.expect("a TCP address"),
            seen: Arc::default(),
            accepting: None,
            _port: Some(socket),
        }
    }
}
