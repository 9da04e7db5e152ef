//! Certificates that live as long as a scenario, and clients that trust them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::patience::soon;

/// A certificate that signs itself, and its key, as files.
pub(crate) struct Identity {
    /// The file of the certificate.
    pub(crate) certificate: PathBuf,
    /// The file of the key.
    pub(crate) key: PathBuf,
    der: CertificateDer<'static>,
}

impl Identity {
    /// Makes one for `names` and writes it as `stem.crt` and `stem.key`, over what is there.
    pub(crate) fn make(directory: &Path, stem: &str, names: &[&str]) -> Self {
        Self::make_as(directory, stem, names, |_| {})
    }

    /// As [`Identity::make`], with more in the certificate.
    pub(crate) fn make_as(
        directory: &Path,
        stem: &str,
        names: &[&str],
        more: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(names).expect("the names are sound");
        more(&mut params);
        let signed = params.self_signed(&key).expect("it can sign itself");
        let identity = Self {
            certificate: directory.join(format!("{stem}.crt")),
            key: directory.join(format!("{stem}.key")),
            der: signed.der().clone(),
        };
        std::fs::write(&identity.certificate, signed.pem()).expect("the directory takes files");
        std::fs::write(&identity.key, key.serialize_pem()).expect("the directory takes files");
        identity
    }

    /// As an entry of `tls.certificates`.
    pub(crate) fn yaml(&self) -> String {
        let Self {
            certificate, key, ..
        } = self;
        format!(
            "{{ certificate: {}, key: {} }}",
            certificate.display(),
            key.display()
        )
    }

    /// A client's settings that trust this certificate and no other.
    pub(crate) fn trust(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a sound certificate");
        ClientConfig::builder_with_provider(wsgate::tls::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// The certificate as it is shown.
    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }
}

/// Connects and speaks TLS, asking for `name`.
pub(crate) async fn connect_tls(
    address: SocketAddr,
    name: &str,
    config: impl Into<Arc<ClientConfig>>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = soon("a connection", TcpStream::connect(address)).await?;
    speak_tls(stream, name, config).await
}

/// Speaks TLS over `stream`, asking for `name`.
pub(crate) async fn speak_tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    name: &str,
    config: impl Into<Arc<ClientConfig>>,
) -> std::io::Result<TlsStream<S>> {
    let name = ServerName::try_from(name.to_owned()).expect("a sound name");
    let connector = TlsConnector::from(config.into());
    soon("a TLS handshake", connector.connect(name, stream)).await
}
