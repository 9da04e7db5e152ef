//! How the backends of a pool are reached: a socket, and what is said on it before the first byte of HTTP.

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::connect::connect;
use super::handshake::Failure;
use crate::config::{self, BackendAddress, ProxyProtocol};
use crate::proxy_protocol::{Ends, Version, encode};
use crate::stream::{Socket, Stream};

/// How the backends of a pool are reached, as one configuration of the pool says.
#[derive(Debug)]
pub struct Transport {
    proxy_protocol: Option<Version>,
}

impl Transport {
    /// What `config` asks for.
    #[must_use]
    pub fn new(config: &config::Transport) -> Self {
        let proxy_protocol = match config.proxy_protocol {
            ProxyProtocol::None => None,
            ProxyProtocol::V1 => Some(Version::V1),
            ProxyProtocol::V2 => Some(Version::V2),
        };
        Self { proxy_protocol }
    }

    /// Whether each connection is told whose it is, and so serves one client alone.
    pub(super) fn introduces_clients(&self) -> bool {
        self.proxy_protocol.is_some()
    }

    /// Opens a connection to `address` before `deadline`, on behalf of a client or on the gateway's own.
    pub(super) async fn dial(
        &self,
        address: &BackendAddress,
        client: Option<Ends>,
        deadline: Instant,
    ) -> Result<Stream, Failure> {
        let mut socket = connect(address, deadline).await?;
        let prepared = self.introduce(&mut socket, client);
        timeout_at(deadline, prepared)
            .await
            .unwrap_or(Err(Failure::ConnectTimeout))?;
        Ok(Stream::Plain(socket))
    }

    /// Writes the PROXY header, where the pool wants one.
    async fn introduce(&self, socket: &mut Socket, client: Option<Ends>) -> Result<(), Failure> {
        let Some(version) = self.proxy_protocol else {
            return Ok(());
        };
        let header = encode(version, client);
        socket.write_all(&header).await.map_err(Failure::Lost)
    }
}
