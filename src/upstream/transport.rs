//! How the backends of a pool are connected to: a socket, then a PROXY header, then TLS.

use std::os::fd::RawFd;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::connect::connect;
use super::failure::Failure;
use super::lookup::Lookups;
use super::secure::{name_of, secure};
use super::source::Sources;
use crate::config::{self, BackendAddress, ProxyProtocol};
use crate::proxy_protocol::{Ends, Version, encode};
use crate::stream::{Socket, Stream};
use crate::tls::{ClientTls, Fingerprint, TlsSessions};

/// How many connections of a pool may write the rest of a request whose client has left: each holds a descriptor and some 100 KB,
/// and its client may come again meanwhile.
const MOST_FINISHING: usize = 256;

/// How the backends of a pool are connected to, by one configuration of the pool.
#[derive(Debug)]
pub struct Transport {
    proxy_protocol: Option<Version>,
    sources: Arc<Sources>,
    lookups: Lookups,
    tls: Option<ClientTls>,
    finishing: Arc<Semaphore>,
}

impl Transport {
    /// The transport of `config`; `tls` is needed for backends with TLS.
    #[must_use]
    pub fn new(config: &config::Transport, tls: Option<ClientTls>) -> Self {
        let proxy_protocol = match config.proxy_protocol {
            ProxyProtocol::None => None,
            ProxyProtocol::V1 => Some(Version::V1),
            ProxyProtocol::V2 => Some(Version::V2),
        };
        Self {
            proxy_protocol,
            sources: Arc::new(Sources::new(&config.source_addresses)),
            lookups: Lookups::default(),
            tls,
            finishing: Arc::new(Semaphore::new(MOST_FINISHING)),
        }
    }

    /// A place among the connections that write the rest of a request whose client has left; `None` if too many do.
    pub(super) fn place_to_finish(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.finishing).try_acquire_owned().ok()
    }

    /// Differs if the TLS files have changed, even if the configuration has not.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.tls.as_ref().map(|tls| tls.fingerprint)
    }

    /// Whether each connection begins with a PROXY header, and so serves one client only.
    pub(super) fn introduces_clients(&self) -> bool {
        self.proxy_protocol.is_some()
    }

    /// Whether few connections should be kept that have such a descriptor.
    pub(super) fn is_high(&self, descriptor: RawFd) -> bool {
        self.sources.is_high(descriptor)
    }

    /// The settings for TLS with one backend; `None` if the pool uses none.
    pub(super) fn tls(&self, sessions: &TlsSessions) -> Option<Arc<ClientConfig>> {
        self.tls.as_ref().map(|tls| tls.resuming(sessions))
    }

    /// Opens a connection to `address` before `deadline`, on behalf of a client or for the gateway itself. `tls` is what
    /// [`tls`](Self::tls) gave for it.
    pub(super) async fn dial(
        &self,
        address: &BackendAddress,
        tls: Option<&Arc<ClientConfig>>,
        client: Option<Ends>,
        deadline: Instant,
    ) -> Result<Stream, Failure> {
        let connecting = async {
            let mut socket = connect(address, &self.sources, &self.lookups, deadline).await?;
            self.introduce(&mut socket, client).await?;
            Ok(socket)
        };
        let connected = timeout_at(deadline, connecting).await;
        let socket = connected.unwrap_or(Err(Failure::ConnectTimeout))?;
        match tls {
            _ if !address.is_tls() => Ok(Stream::Plain(socket)),
            Some(config) => {
                let name = self.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
                let securing = secure(socket, config, name_of(address, name)?);
                // Boxed, as it needs far more memory than the rest of a request that waits for its backend.
                let secured = Box::pin(timeout_at(deadline, securing)).await;
                secured.unwrap_or(Err(Failure::TlsTimeout))
            }
            // Not reached, as such backends are not kept; but it must never fall back to plain text.
            None => Err(Failure::Tls("the pool has no settings for it".to_owned())),
        }
    }

    /// Writes the PROXY header, if the pool has one configured.
    async fn introduce(&self, socket: &mut Socket, client: Option<Ends>) -> Result<(), Failure> {
        let Some(version) = self.proxy_protocol else {
            return Ok(());
        };
        let header = encode(version, client);
        socket.write_all(&header).await.map_err(Failure::Lost)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::config::BackendHost;

    fn plain() -> config::Transport {
        config::Transport {
            proxy_protocol: ProxyProtocol::None,
            source_addresses: Vec::new(),
            tls: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_not_looked_up_in_time_is_told_apart() {
        let address = BackendAddress::Tcp {
            tls: false,
            host: BackendHost::Name("backend.invalid".to_owned()),
            port: 80,
        };
        let transport = Transport::new(&plain(), None);
        let (_end, hanging) = std::sync::mpsc::channel::<()>();
        let look_up = move |_: &str| {
            let _ = hanging.recv();
            Ok(Vec::new())
        };
        let name = Arc::from("backend.invalid");
        transport.lookups.join(&name, look_up).unwrap();
        let dialled = transport.dial(&address, None, None, Instant::now()).await;
        assert!(matches!(dialled, Err(Failure::LookupTimeout)));
    }

    /// After a reload from `wss` to `ws`, until the DNS has answered again.
    #[tokio::test]
    async fn never_speaks_plainly_where_tls_is_wanted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = BackendAddress::Tcp {
            tls: true,
            host: BackendHost::Ip(Ipv4Addr::LOCALHOST.into()),
            port: listener.local_addr().unwrap().port(),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let transport = Transport::new(&plain(), None);
        let dialled = transport.dial(&address, None, None, deadline).await;
        assert!(matches!(dialled, Err(Failure::Tls(_))));
    }
}
