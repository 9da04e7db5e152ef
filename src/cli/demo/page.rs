//! The page of the demo, and the smallest HTTP server that can show it.
//!
//! It has its own port, so that the browser's requests to the gateway come from another origin, as in a
//! real deployment. It answers one path and reads nothing but the request line.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Addresses, PATH, loopback};

/// Bytes of a request head.
const HEAD_MAX: usize = 16 << 10;

/// For one request and its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Concurrent requests; browsers open a few connections in advance.
const CONNECTIONS_MAX: usize = 64;

/// Pause after a failed accept, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port for the page; [`Page::serve`] starts to answer.
#[derive(Debug)]
pub struct Page {
    listener: TcpListener,
    address: SocketAddr,
}

/// The running server of the page.
#[derive(Debug)]
#[must_use = "the page is gone when this is dropped"]
pub struct Serving {
    _task: JoinSet<()>,
}

impl Page {
    /// Takes a port on the loopback address; 0 lets the system choose.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(loopback(port)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to answer with a page that contains the ports of the gateway.
    pub fn serve(self, addresses: &Addresses) -> Serving {
        let mut task = JoinSet::new();
        task.spawn(accept(self.listener, answers(addresses)));
        Serving { _task: task }
    }
}

/// The two possible answers.
#[derive(Debug)]
struct Answers {
    page: String,
    not_found: String,
}

fn answers(addresses: &Addresses) -> Arc<Answers> {
    let html = include_str!("page.html")
        .replace("WS_PORT", &addresses.ws.port().to_string())
        .replace("WSS_PORT", &addresses.wss.port().to_string())
        .replace("ADMIN", &addresses.admin.to_string())
        .replace("ECHO_PATH", PATH);
    Arc::new(Answers {
        page: answer("200 OK", "text/html; charset=utf-8", &html),
        not_found: answer(
            "404 Not Found",
            "text/plain; charset=utf-8",
            "Only / is here.\n",
        ),
    })
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; connect-src ws: wss:\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Accepts for ever. Dropping this aborts open requests.
async fn accept(listener: TcpListener, answers: Arc<Answers>) {
    let mut requests = JoinSet::new();
    loop {
        if requests.len() >= CONNECTIONS_MAX {
            requests.join_next().await;
        }
        while requests.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        requests.spawn(timeout(
            REQUEST_TIMEOUT,
            respond(stream, Arc::clone(&answers)),
        ));
    }
}

async fn respond(mut stream: TcpStream, answers: Arc<Answers>) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    let is_page = head.starts_with(b"GET / HTTP/1.") || head.starts_with(b"GET /? HTTP/1.");
    let answer = if is_page {
        &answers.page
    } else {
        &answers.not_found
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads up to the empty line: closing with unread bytes would reset the connection.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > HEAD_MAX || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn shows_one_page_that_knows_the_gateway() {
        let page = Page::bind(0).await.unwrap();
        let address = page.address();
        let (ws, wss, admin) = (loopback(18_080), loopback(18_443), loopback(19_901));
        let _serving = page.serve(&Addresses {
            page: address,
            ws,
            wss,
            admin,
        });
        let answer = ask(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for part in ["18080", "18443", "127.0.0.1:19901", "\"/echo\""] {
            assert!(answer.contains(part), "{part}");
        }
        for placeholder in ["WS_PORT", "WSS_PORT", "ADMIN", "ECHO_PATH"] {
            assert!(!answer.contains(placeholder), "{placeholder}");
        }
        let answer = ask(
            address,
            "GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    }
}
