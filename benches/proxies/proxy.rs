//! The proxies that are compared: how each is found, configured and started.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cases::Load;
use crate::generator::Target;
use crate::process::Process;
use crate::run::Bench;

/// Descriptors a process may use; two a session.
const DESCRIPTORS: usize = 20_000;

/// A program to be configured as one of the contestants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Wsgate,
    Nginx,
    Haproxy,
    Caddy,
}

/// One contestant: a program with a configuration.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    program: Program,
    template: &'static str,
    path: PathBuf,
}

/// What the ratios are taken to.
pub(crate) const REFERENCE: &str = "nginx";

/// wsgate with sessions that it has stopped following: what it needs without.
pub(crate) const UNFOLLOWED: &str = "wsgate-unfollowed";

const KNOWN: [(&str, Program, &str); 8] = [
    (
        "wsgate",
        Program::Wsgate,
        include_str!("../configs/wsgate.yaml"),
    ),
    (
        UNFOLLOWED,
        Program::Wsgate,
        include_str!("../configs/wsgate.yaml"),
    ),
    (
        "wsgate-other",
        Program::Wsgate,
        include_str!("../configs/wsgate.yaml"),
    ),
    (
        "nginx",
        Program::Nginx,
        include_str!("../configs/nginx.conf"),
    ),
    (
        "nginx-64k",
        Program::Nginx,
        include_str!("../configs/nginx-64k.conf"),
    ),
    (
        "haproxy",
        Program::Haproxy,
        include_str!("../configs/haproxy.cfg"),
    ),
    (
        "haproxy-64k",
        Program::Haproxy,
        include_str!("../configs/haproxy-64k.cfg"),
    ),
    (
        "caddy",
        Program::Caddy,
        include_str!("../configs/Caddyfile"),
    ),
];

/// The names of all contestants.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, ..)| *name)
}

/// The contestants present on this machine; `other` is a second build of wsgate, if given.
pub(crate) fn installed(wsgate: &Path, other: Option<&Path>) -> Vec<Proxy> {
    KNOWN
        .iter()
        .filter_map(|&(name, program, template)| {
            let path = match (program, name) {
                (Program::Wsgate, "wsgate" | UNFOLLOWED) => Some(wsgate.to_owned()),
                (Program::Wsgate, _) => other.map(Path::to_owned),
                (Program::Nginx, _) => find("nginx"),
                (Program::Haproxy, _) => find("haproxy"),
                (Program::Caddy, _) => find("caddy"),
            }?;
            Some(Proxy {
                name,
                program,
                template,
                path,
            })
        })
        .collect()
}

/// Debian keeps servers where an ordinary user's PATH does not look.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// A contestant that runs, and where it listens.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    unfollowed: bool,
}

impl Running {
    /// Where clients connect to in a case with or without TLS.
    pub(crate) fn target(&self, bench: &Bench, tls: bool) -> Target {
        Target {
            address: if tls { self.tls } else { self.plain },
            tls: tls.then(|| bench.client_config.clone()),
            unfollowed: self.unfollowed,
        }
    }
}

impl Proxy {
    /// Whether it takes part under this load.
    pub(crate) fn takes_part(&self, load: Load) -> bool {
        self.name != UNFOLLOWED || matches!(load, Load::Echo { .. })
    }

    /// The version the program gives of itself.
    pub(crate) fn version(&self) -> String {
        let unknown = || "unknown version".to_owned();
        let flag = match self.program {
            Program::Wsgate => "--version",
            Program::Nginx | Program::Haproxy => "-v",
            Program::Caddy => "version",
        };
        let Ok(output) = Command::new(&self.path).arg(flag).output() else {
            return unknown();
        };
        // nginx writes it to the error output.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .find(|line| !line.is_empty())
            .map_or_else(unknown, str::to_owned)
    }

    /// Starts it in front of `backend`.
    pub(crate) fn start(&self, bench: &Bench, backend: SocketAddr) -> Result<Running> {
        let directory = bench.directory.path();
        let [plain, tls, admin] = free_addresses()?;
        let configuration = self
            .template
            .replace("{directory}", &directory.display().to_string())
            .replace("{plain}", &plain.port().to_string())
            .replace("{tls}", &tls.port().to_string())
            .replace("{admin}", &admin.port().to_string())
            .replace("{backend}", &backend.port().to_string())
            .replace("{descriptors}", &DESCRIPTORS.to_string())
            .replace("{sessions}", &(DESCRIPTORS / 2 - 100).to_string());
        let file = directory.join(self.name);
        fs::write(&file, configuration)?;
        let process = Process::start(self.command(&file), bench.cores, plain, directory)?;
        Ok(Running {
            process,
            plain,
            tls,
            unfollowed: self.name == UNFOLLOWED,
        })
    }

    fn command(&self, file: &Path) -> Command {
        let mut command = Command::new(&self.path);
        match self.program {
            Program::Wsgate => command.args(["run", "--config"]).arg(file),
            Program::Nginx => command.arg("-c").arg(file),
            Program::Haproxy => command.arg("-db").arg("-f").arg(file),
            Program::Caddy => command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(file)
                // It wants a place for what it keeps.
                .env("HOME", file.with_extension("home")),
        };
        command
    }
}

/// Loopback addresses that were free a moment ago.
fn free_addresses() -> Result<[SocketAddr; 3]> {
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?);
    }
    let addresses = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<Vec<_>, _>>()?;
    addresses
        .try_into()
        .map_err(|_| anyhow::anyhow!("three listeners have three addresses"))
}
