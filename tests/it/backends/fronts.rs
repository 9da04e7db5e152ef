//! What stands before a backend: TLS, a unix socket, a PROXY header.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Backend;
use crate::harness::Identity;

/// A place before a sound backend that the gateway connects to.
pub(crate) struct Front {
    url: String,
    seen: Arc<Mutex<Seen>>,
    accepting: JoinHandle<()>,
}

/// What is seen of connections under TLS.
#[derive(Default)]
struct Seen {
    shown: Vec<Shown>,
    /// Whether each that has ended did so in order.
    ends: Vec<bool>,
}

/// What a TLS handshake showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    /// What SNI asked for.
    pub(crate) server_name: Option<String>,
    /// What ALPN agreed on.
    pub(crate) protocol: Option<String>,
    /// Whether a certificate was shown.
    pub(crate) certificate: bool,
    /// Whether an earlier session was resumed.
    pub(crate) resumed: bool,
}

/// How TLS is spoken before a backend.
pub(crate) struct ServerSettings<'a> {
    /// What is shown.
    pub(crate) identity: &'a Identity,
    /// Whose certificates are required.
    pub(crate) client: Option<&'a Identity>,
    /// Which versions are spoken; all where there is none.
    pub(crate) version: Option<&'static SupportedProtocolVersion>,
}

impl<'a> ServerSettings<'a> {
    pub(crate) fn of(identity: &'a Identity) -> Self {
        Self {
            identity,
            client: None,
            version: None,
        }
    }

    /// The same, but `client` has to be shown.
    pub(crate) fn demanding(self, client: &'a Identity) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }

    fn build(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_file(&self.identity.key).expect("a key");
        let versions = match self.version {
            Some(version) => vec![version],
            None => rustls::ALL_VERSIONS.to_vec(),
        };
        let builder = ServerConfig::builder_with_provider(wsgate::tls::provider())
            .with_protocol_versions(&versions)
            .expect("the provider has the versions");
        let builder = match self.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(client.der().clone())
                    .expect("a sound certificate");
                let provider = wsgate::tls::provider();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
            }
        };
        let chain = vec![self.identity.der().clone()];
        let mut config = builder.with_single_cert(chain, key).expect("they fit");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Front {
    /// TLS before `backend`, reached by the name `host`.
    pub(crate) async fn tls(settings: ServerSettings<'_>, host: &str, backend: &Backend) -> Self {
        Self::tls_behind(settings, host, backend, 0).await
    }

    /// As [`Front::tls`], after `bytes` bytes of something else.
    pub(crate) async fn tls_behind(
        settings: ServerSettings<'_>,
        host: &str,
        backend: &Backend,
        bytes: usize,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("a bound socket").port();
        let acceptor = TlsAcceptor::from(settings.build());
        let seen = Arc::<Mutex<Seen>>::default();
        let (address, kept) = (backend.address(), Arc::clone(&seen));
        let accepting = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                tokio::spawn(serve(stream, bytes, acceptor, kept, address));
            }
        };
        Self {
            url: format!("wss://{host}:{port}"),
            seen,
            accepting: tokio::spawn(accepting),
        }
    }

    /// A unix socket at `path` before `backend`.
    pub(crate) fn unix(path: &Path, backend: &Backend) -> Self {
        let listener = UnixListener::bind(path).expect("the path is free");
        let address = backend.address();
        let accepting = async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, address));
            }
        };
        Self {
            url: format!("unix:{}", path.display()),
            seen: Arc::default(),
            accepting: tokio::spawn(accepting),
        }
    }

    /// As a configuration names it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What the TLS handshakes so far showed.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        lock(&self.seen).shown.clone()
    }

    /// Whether each connection under TLS that has ended did so in order (RFC 8446 section 6.1).
    pub(crate) fn ends(&self) -> Vec<bool> {
        lock(&self.seen).ends.clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    bytes: usize,
    acceptor: TlsAcceptor,
    seen: Arc<Mutex<Seen>>,
    address: SocketAddr,
) {
    let mut before = vec![0; bytes];
    if stream.read_exact(&mut before).await.is_err() {
        return;
    }
    if let Ok(stream) = acceptor.accept(stream).await {
        let shown = facts(&stream);
        lock(&seen).shown.push(shown);
        let is_in_order = pass(stream, address).await;
        lock(&seen).ends.push(is_in_order);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn facts(stream: &TlsStream<TcpStream>) -> Shown {
    let session = stream.get_ref().1;
    let protocol = session.alpn_protocol().map(String::from_utf8_lossy);
    Shown {
        server_name: session.server_name().map(str::to_owned),
        protocol: protocol.map(|protocol| protocol.into_owned()),
        certificate: session.peer_certificates().is_some(),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}

/// Whether both ended in order. However one ends, both do.
async fn pass<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, address: SocketAddr) -> bool {
    match TcpStream::connect(address).await {
        Ok(mut backend) => copy_bidirectional(&mut stream, &mut backend).await.is_ok(),
        Err(_) => false,
    }
}
