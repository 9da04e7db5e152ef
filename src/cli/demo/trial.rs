//! A trial of the demo when it has started: sessions through the gateway, made with libraries that are not the
//! gateway's own, to show at once that it works.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::{Addresses, PATH};
use crate::tls::ClientTls;

/// Sessions over each of ws and wss, one after the other.
const SESSIONS: usize = 4;

/// For all sessions together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The message that each session sends and expects back.
const MESSAGE: &str = "hello";

/// Opens sessions over ws and wss. Returns lines that say which backends answered, or what went wrong.
pub async fn trial(addresses: &Addresses, tls: &ClientTls) -> String {
    let tried = timeout(TIMEOUT, async {
        let mut lines = String::from("Tried, with an echo each:\n");
        for (scheme, address, tls) in [
            ("ws", addresses.ws, None),
            ("wss", addresses.wss, Some(tls)),
        ] {
            let backends = answering(address, tls).await;
            let backends = backends.with_context(|| format!("over {scheme}"))?;
            lines += &format!("  {SESSIONS} sessions over {scheme:<4} {backends}\n");
        }
        anyhow::Ok(lines)
    });
    match tried.await {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => format!("A trial of the demo did not work: {error:#}\n"),
        Err(_) => format!("A trial of the demo was not done within {TIMEOUT:?}\n"),
    }
}

/// The names of the backends that answered, in order.
async fn answering(gateway: SocketAddr, tls: Option<&ClientTls>) -> Result<String> {
    let mut names = Vec::new();
    for _ in 0..SESSIONS {
        let stream = TcpStream::connect(gateway).await?;
        names.push(match tls {
            None => converse(stream).await?,
            Some(tls) => {
                let host = ServerName::IpAddress(gateway.ip().into());
                let connector = TlsConnector::from(tls.config.clone());
                converse(connector.connect(host, stream).await?).await?
            }
        });
    }
    Ok(names.join(", "))
}

/// Runs one session. Returns the name of its backend.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<String> {
    let (mut session, _) = client_async(format!("ws://localhost{PATH}"), stream).await?;
    let Some(Ok(Message::Text(name))) = session.next().await else {
        bail!("no backend said its name");
    };
    session.send(Message::text(MESSAGE)).await?;
    let echo = session.next().await;
    ensure!(
        matches!(&echo, Some(Ok(Message::Text(text))) if text.as_str() == MESSAGE),
        "{name} sent another word back"
    );
    session.close(None).await?;
    while let Some(Ok(_)) = session.next().await {}
    Ok(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::{Backends, CERTIFICATE_NAMES, loopback};
    use super::*;
    use crate::tls;

    fn stranger() -> ClientTls {
        let (certificate, _) = tls::self_signed(&CERTIFICATE_NAMES).unwrap();
        tls::client_in_memory(certificate).unwrap()
    }

    #[tokio::test]
    async fn names_who_answered() {
        let backends = Backends::start().await.unwrap();
        let (name, address) = backends.addresses().next().unwrap();
        let names = answering(address, None).await.unwrap();
        assert_eq!(names, [name; SESSIONS].join(", "));
    }

    #[tokio::test]
    async fn says_what_went_wrong() {
        let backends = Backends::start().await.unwrap();
        let (_, backend) = backends.addresses().next().unwrap();
        let addresses = Addresses {
            page: loopback(0),
            ws: backend,
            wss: backend,
            admin: loopback(0),
        };
        let told = trial(&addresses, &stranger()).await;
        assert!(told.contains("did not work: over wss: "), "{told}");
    }
}
