//! main
use std::sync::Arc;
use wsgate::server::{FileSource, Server, Source, Outcome, forward};
use wsgate::telemetry::{Telemetry, Logging};
fn main() -> std::process::ExitCode {
    let path = std::env::args().last().unwrap();
    let source = FileSource::new(path.into(), Box::new(|n| std::env::var(n).ok()), wsgate::tls::Tickets::new().unwrap());
    let loaded = source.load().unwrap();
    let (telemetry, _g) = Telemetry::start(&loaded.config.log);
    let logging = Logging::start(&loaded.config.log).unwrap();
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = Arc::clone(&telemetry);
    rt.block_on(async {
        let server = Server::start(Box::new(source), loaded, telemetry, Some(logging)).await.unwrap();
        forward(server.commands()).unwrap();
        match server.run().await { Outcome::Drained => 0.into(), Outcome::Cut(_) => 1.into() }
    })
}
