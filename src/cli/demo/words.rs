//! The text that the demo prints.

use std::fmt::Write;

use super::{Addresses, Backends, PATH};

/// Says what was started, what to open, and which commands to try.
#[must_use]
pub fn words(backends: &Backends, addresses: &Addresses) -> String {
    let Addresses {
        page,
        ws,
        wss,
        admin,
    } = addresses;
    let (page_port, ws_port, wss_port) = (page.port(), ws.port(), wss.port());
    let started = started(backends, addresses);
    format!(
        r#"
This is the wsgate demo. It listens on this machine only, writes no file, and ends with Ctrl-C.

Started:
{started}
Open http://localhost:{page_port} in a browser. Every new session goes to the next of the four backends and
hears its name first; what you send after that comes back.

Or try a client; these lines can be copied as they are:

  a browser's console, on that page (other pages are refused by their Origin, try it):
    s = new WebSocket("ws://localhost:{ws_port}{PATH}"); s.onmessage = m => console.log(m.data)
    s.send("hello")

  websocat:
    websocat ws://{ws}{PATH}
    websocat -k wss://{wss}{PATH}

  Python (pip install websockets):
    python3 -m websockets ws://{ws}{PATH}

  what the gateway counts:
    curl http://{admin}/metrics

The certificate of the wss port was made in memory a moment ago and is self-signed: websocat needs -k
(do not verify), and in a browser open https://localhost:{wss_port}/ once and accept it. With a real
certificate none of that is needed.
"#
    )
}

/// A line for each address.
fn started(backends: &Backends, addresses: &Addresses) -> String {
    let Addresses {
        page,
        ws,
        wss,
        admin,
    } = addresses;
    let mut lines: Vec<(String, String)> = backends
        .addresses()
        .map(|(name, address)| {
            (
                format!("ws://{address}"),
                format!("{name}, an echo backend"),
            )
        })
        .collect();
    lines.extend([
        (
            format!("ws://{ws}{PATH}"),
            "the gateway, without TLS".to_owned(),
        ),
        (
            format!("wss://{wss}{PATH}"),
            "the gateway, with TLS".to_owned(),
        ),
        (
            format!("http://{admin}"),
            "its admin side: /metrics /healthz /readyz /status".to_owned(),
        ),
        (
            format!("http://{page}"),
            "a page that opens WebSockets through the gateway".to_owned(),
        ),
    ]);
    lines
        .iter()
        .fold(String::new(), |mut text, (address, what)| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {address:<30} {what}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::super::loopback;
    use super::*;

    #[tokio::test]
    async fn names_everything_that_was_started() {
        let backends = Backends::start().await.unwrap();
        let addresses = Addresses {
            page: loopback(18_000),
            ws: loopback(18_080),
            wss: loopback(18_443),
            admin: loopback(19_901),
        };
        let text = words(&backends, &addresses);
        for (name, address) in backends.addresses() {
            assert!(
                text.contains(name) && text.contains(&address.to_string()),
                "{text}"
            );
        }
        for line in [
            "http://localhost:18000",
            "websocat ws://127.0.0.1:18080/echo",
            "websocat -k wss://127.0.0.1:18443/echo",
            "http://127.0.0.1:19901/metrics",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }
}
