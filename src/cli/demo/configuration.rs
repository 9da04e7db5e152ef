//! The configuration of the demo's gateway, as a user would write it.

use std::fmt::Write;
use std::net::SocketAddr;

use super::{Backends, PATH, loopback};
use crate::cli::DemoPorts;

/// The listener that speaks TLS. The file cannot say so, because the certificate is made in memory.
pub const SECURE_LISTENER: &str = "wss";

/// Writes the configuration for these backends and this page.
#[must_use]
pub fn configuration(backends: &Backends, page: SocketAddr, ports: DemoPorts) -> String {
    let (ws, wss, admin) = (
        loopback(ports.ws),
        loopback(ports.wss),
        loopback(ports.admin),
    );
    let mut text = format!(
        r#"# The configuration of `wsgate demo`.
admin: {{ address: "{admin}" }}
log: {{ format: text }}

listeners:
  ws: {{ address: "{ws}" }}
  {SECURE_LISTENER}: {{ address: "{wss}" }}    # TLS, with a certificate made in memory

routes:
  echo:
    match: {{ path: {PATH} }}
    # Pages of other sites are refused. Programs that are no browsers send no Origin and are let in.
    origins:
      allow: ["http://localhost:{port}", "http://{page}"]
      missing: allow
    protocols: [websocket]
    pool: echo
  hello:
    match: {{ path: /, exact: true }}
    respond: {{ status: 200, body: "The gateway is here. WebSockets are accepted at {PATH}." }}

pools:
  echo:
    backends:
"#,
        port = page.port(),
    );
    for (name, address) in backends.addresses() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "      - {{ name: {name}, url: \"ws://{address}\" }}");
    }
    text.push_str("\ndrain: { window: 2s, deadline: 5s }\n");
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn is_sound_and_names_the_secure_listener() {
        let backends = Backends::start().await.unwrap();
        let ports = DemoPorts {
            page: 0,
            ws: 0,
            wss: 0,
            admin: 0,
        };
        let text = configuration(&backends, loopback(8000), ports);
        let config = Config::parse(&text, "demo", Path::new("/"), &|_| None);
        let config = config.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert!(config.listeners.contains_key(SECURE_LISTENER));
        assert_eq!(config.pools["echo"].backends.len(), 4);
        assert_eq!(&*config.pools["echo"].backends[1].name, "backend-2");
    }
}
