//! The command `demo`: puts together what `cli` has for it, and serves.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use wsgate::cli::{DemoPorts, Exit, demo};
use wsgate::config::{Address, Config};
use wsgate::server::{Hangup, Loaded, Server, Source};
use wsgate::tls::{self, Material, Tickets};

use super::{environment, serve};

/// How long a TLS handshake with the demo may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Runs four backends, a gateway in front of them, and a page to try it with.
pub(super) async fn run(wanted: DemoPorts) -> anyhow::Result<Exit> {
    let wanted = wanted.without_clashes();
    let ports = DemoPorts {
        page: free(wanted.page),
        ws: free(wanted.ws),
        wss: free(wanted.wss),
        admin: free(wanted.admin),
    };
    let backends = demo::Backends::start()
        .await
        .context("a backend cannot be started")?;
    let page = demo::Page::bind(ports.page)
        .await
        .context("the page cannot be served")?;
    let page_address = page.address();
    let text = demo::configuration(&backends, page_address, ports);
    let (certificate, key) = tls::self_signed(&demo::CERTIFICATE_NAMES)?;
    let client = tls::client_in_memory(certificate.clone())?;
    let source = DemoSource {
        text,
        certificate,
        key,
        tickets: Tickets::default(),
    };
    let mut serving = None;
    serve(source, Hangup::Stop, |server| {
        let addresses = demo::Addresses {
            page: page_address,
            ws: address_of(server, "ws")?,
            wss: address_of(server, demo::SECURE_LISTENER)?,
            admin: tcp(server.admin_address())?,
        };
        serving = Some(page.serve(&addresses));
        let words = demo::words(&backends, &addresses);
        writeln!(io::stdout().lock(), "{words}")?;
        tokio::spawn(async move {
            let tried = demo::trial(&addresses, &client).await;
            // Whoever closed the output does not want to read it.
            let _ = writeln!(io::stdout().lock(), "{tried}");
        });
        Ok(())
    })
    .await
}

/// The demo's configuration, and a certificate made in memory.
struct DemoSource {
    text: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    tickets: Tickets,
}

impl Source for DemoSource {
    fn load(&self) -> Result<Loaded, Vec<String>> {
        let config = Config::parse(&self.text, &self.name(), Path::new("."), &environment)
            .map_err(|problems| problems.lines())?;
        let chain = vec![self.certificate.clone()];
        let key = self.key.clone_key();
        let tls = tls::server_in_memory(chain, key, HANDSHAKE, &self.tickets)
            .map_err(|problem| vec![problem.to_string()])?;
        let tls = Material {
            listeners: [(demo::SECURE_LISTENER.into(), tls)].into(),
            ..Material::default()
        };
        Ok(Loaded::new(config, tls))
    }

    fn name(&self) -> String {
        "demo".to_owned()
    }
}

/// `port`, or 0 for any free port if it is in use; the port that was bound is printed.
fn free(port: u16) -> u16 {
    let is_free = TcpListener::bind(("127.0.0.1", port)).is_ok();
    if is_free { port } else { 0 }
}

fn address_of(server: &Server, listener: &str) -> anyhow::Result<SocketAddr> {
    let addresses = server.addresses();
    tcp(addresses
        .get(listener)
        .context("the demo has this listener")?)
}

fn tcp(address: &Address) -> anyhow::Result<SocketAddr> {
    match address {
        Address::Tcp(address) => Ok(*address),
        Address::Unix(_) => Err(anyhow!("the demo listens at TCP addresses")),
    }
}
