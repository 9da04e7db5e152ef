//! The client of the admin side, by which `wsgate reload` asks a running gateway.

use std::io;
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
/// The maximum size of an answer in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Has the gateway whose admin side listens at `admin` read its configuration again.
///
/// # Errors
/// When nothing listens there, or there is no such answer within a minute.
pub async fn ask_for_reload(admin: &Address) -> io::Result<ReloadReport> {
    let asking = async {
        match admin {
            Address::Tcp(address) => post_reload(TcpStream::connect(address).await?).await,
            Address::Unix(path) => post_reload(UnixStream::connect(path).await?).await,
        }
    };
    let answered = timeout(TIMEOUT, asking).await;
    answered.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
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
