//! The client of the admin side, by which `wsgate reload` asks a running gateway.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::ReloadReport;
use crate::config::Address;

/// How long a gateway may take to read its configuration and answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of an answer in bytes. It tells each change in words, so it can be some ten times the size of the file.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Has the gateway whose admin side listens at `admin` read its configuration again.
///
/// # Errors
/// When nothing listens there, or there is no such answer within a minute.
pub async fn ask_for_reload(admin: &Address) -> io::Result<ReloadReport> {
    let asking = async {
        match admin {
            Address::Tcp(address) => {
                post_reload(TcpStream::connect(&*destinations(*address)).await?).await
            }
            Address::Unix(path) => post_reload(UnixStream::connect(path).await?).await,
        }
    };
    let answered = timeout(TIMEOUT, asking).await;
    answered.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

/// The addresses at which to try a gateway that listens at `address`. Loopback replaces an unspecified address: with IPv6
/// disabled a gateway can listen at `[::]`, and accepts IPv4 there, but nobody can connect to `[::]`.
fn destinations(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
    let v4 = at(Ipv4Addr::LOCALHOST.into());
    match address {
        SocketAddr::V4(_) => vec![v4],
        SocketAddr::V6(_) => vec![at(Ipv6Addr::LOCALHOST.into()), v4],
    }
}

async fn post_reload<S>(stream: S) -> io::Result<ReloadReport>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let exchange = async {
        let request = Request::post("/reload")
            .header(header::HOST, "localhost")
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        read(status, &body.map_err(io::Error::other)?.to_bytes())
    };
    tokio::pin!(exchange);
    tokio::select! {
        report = &mut exchange => report,
        // The connection task has ended, so the exchange ends at once, with an answer or an error.
        _ = connection => exchange.await,
    }
}

fn read(status: StatusCode, body: &[u8]) -> io::Result<ReloadReport> {
    let report = serde_json::from_slice(body).ok();
    let report = report.and_then(|json| ReloadReport::from_json(&json));
    report
        .ok_or_else(|| io::Error::other(format!("answered {status}, which is not how wsgate does")))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_tells_of_a_whole_file_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let changes = vec!["x".repeat(1024); 8 * 1024];
        let report = ReloadReport::Unchanged { changes };
        let body = report.to_json().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        });
        let answer = ask_for_reload(&Address::Tcp(address)).await;
        assert_eq!(answer.unwrap(), report);
    }

    #[test]
    fn a_gateway_at_any_address_is_asked_over_loopback() {
        for (address, expected) in [
            ("192.0.2.1:9901", &["192.0.2.1:9901"][..]),
            ("0.0.0.0:9901", &["127.0.0.1:9901"]),
            ("[::]:9901", &["[::1]:9901", "127.0.0.1:9901"]),
        ] {
            let found = destinations(address.parse().unwrap());
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
    }
}
