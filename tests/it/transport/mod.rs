//! How backends are reached: what a connection is, and what is said on it before the first byte of HTTP.

mod proxy_protocol;
mod sockets;
mod tls;
mod trust;

use tempfile::TempDir;

use crate::backends::{Backend, Front, ServerSettings};
use crate::harness::{Gateway, Identity, close, directory, echo, open};

/// A route for everything to a pool of one backend at `url`, with these keys, each ended by a comma.
fn yaml(url: &str, keys: &str) -> String {
    format!(
        "routes: {{ chat: {{ origins: any, timeouts: {{ connect: 2s }}, pool: chat }} }}\n\
         pools: {{ chat: {{ {keys} backends: [\"{url}\"] }} }}\n"
    )
}

/// An echoing backend behind TLS.
struct Site {
    front: Front,
    /// What it shows.
    identity: Identity,
    /// What the gateway may show.
    own: Identity,
    _backend: Backend,
    _directory: TempDir,
}

impl Site {
    /// One at `localhost` that shows a certificate for `name`.
    async fn named(name: &str) -> Self {
        Self::with("localhost", name, |settings, _| settings).await
    }

    /// One at `host` that speaks TLS as `conduct` says, which is given what the gateway may show.
    async fn with(
        host: &str,
        name: &str,
        conduct: impl for<'a> FnOnce(ServerSettings<'a>, &'a Identity) -> ServerSettings<'a>,
    ) -> Self {
        let (backend, directory) = (Backend::echo().await, directory());
        let identity = Identity::make(directory.path(), "site", &[name]);
        let own = Identity::make(directory.path(), "own", &["gateway.test"]);
        let settings = conduct(ServerSettings::of(&identity), &own);
        Self {
            front: Front::tls(settings, host, &backend).await,
            identity,
            own,
            _backend: backend,
            _directory: directory,
        }
    }

    /// A configuration that trusts its certificate, with more keys under `tls`, each after a comma.
    fn yaml(&self, more: &str) -> String {
        yaml(self.front.url(), &trusting(&self.identity, more))
    }

    /// A gateway with the configuration of [`Site::yaml`].
    async fn gateway(&self, more: &str) -> Gateway {
        Gateway::start(&self.yaml(more)).await
    }
}

/// Keys of a pool that trusts `identity`, with more keys under `tls`, each after a comma.
fn trusting(identity: &Identity, more: &str) -> String {
    format!("tls: {{ ca: {}{more} }},", identity.certificate.display())
}

/// Opens a session, has something sent back, and closes it.
async fn converse(gateway: &Gateway) {
    let mut session = open(gateway.address(), "/").await;
    echo(&mut session, "under TLS").await;
    close(session).await;
}
