//! TLS to a backend: the handshake, and why it fails in words for an operator.

use std::io;
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig, Error};
use rustls_pki_types::ServerName;

use super::failure::Failure;
use crate::config::{BackendAddress, BackendHost};
use crate::stream::{Socket, Stream, TlsStream};
use crate::tls::unsuitable;

/// Makes the TLS handshake on `socket` with a backend whose certificate must have this `name`.
pub(super) async fn secure(
    socket: Socket,
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Stream, Failure> {
    match TlsStream::connect(socket, Arc::clone(config), name).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(error) => Err(classify(error)),
    }
}

/// The name that the certificate of the backend at `address` must have: the `configured` one, or its host.
pub(super) fn name_of(
    address: &BackendAddress,
    configured: Option<&ServerName<'static>>,
) -> Result<ServerName<'static>, Failure> {
    configured.map_or_else(|| host(address), |name| Ok(name.clone()))
}

/// The name that the certificate must have if no other is configured.
fn host(address: &BackendAddress) -> Result<ServerName<'static>, Failure> {
    let host = match address {
        BackendAddress::Tcp { host, .. } => host,
        BackendAddress::Unix(_) => return Err(Failure::Tls("a unix socket has no name".into())),
    };
    match host {
        BackendHost::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        // Certificates have names without the trailing dot (RFC 6066 section 3).
        BackendHost::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
            .map_err(|_| Failure::Tls(format!("no certificate can bear the name {name}"))),
    }
}

/// The TLS error inside an error of a stream, if there is one.
pub(super) fn tls_fault(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn classify(error: io::Error) -> Failure {
    match tls_fault(&error) {
        Some(Error::InvalidCertificate(fault)) => Failure::BadCertificate(words(fault)),
        Some(other) => Failure::Tls(other.to_string()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::Tls("the backend ended the connection".into())
        }
        None => Failure::Tls(error.to_string()),
    }
}

/// What is wrong with a certificate, in words for an operator.
fn words(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".into()
        }
        CertificateError::UnknownIssuer => "its issuer is not trusted; `tls.ca` names one".into(),
        CertificateError::NotValidForName => {
            "it is for another name; `tls.server_name` says which".into()
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it bears no name (subjectAltName); its CN is not looked at".into()
        }
        CertificateError::NotValidForNameContext { expected, .. } => {
            let expected = expected.to_str();
            format!("it is not for {expected}; `tls.server_name` says which name it has to bear")
        }
        CertificateError::BadSignature => {
            "its signature does not fit, as none does of an RSA key below 2048 bits".into()
        }
        CertificateError::Revoked => "it has been revoked".into(),
        other => unsuitable(other).map_or_else(|| other.to_string(), Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_a_name_is_not_helped_by_another_name() {
        let fault = |presented| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("chat.internal").unwrap(),
            presented,
        };
        let told = words(&fault(Vec::new()));
        assert!(
            told.contains("subjectAltName") && !told.contains("server_name"),
            "{told}"
        );
        let told = words(&fault(vec!["other.internal".to_owned()]));
        assert!(
            told.contains("not for chat.internal; `tls.server_name`"),
            "{told}"
        );
    }
}
