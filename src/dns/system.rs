//! The name servers and suffixes of the system: /etc/resolv.conf.

use std::net::SocketAddr;
use std::path::Path;

use super::Resolver;

/// Where they are told.
const FILE: &str = "/etc/resolv.conf";
/// The port of name servers.
const PORT: u16 = 53;
/// More servers, and more suffixes, than the system's own resolver would use are not asked.
const SERVERS: usize = 3;
const SUFFIXES: usize = 6;

impl Resolver {
    /// Asks the name servers of the system; none where the file is missing or broken.
    #[must_use]
    pub fn system() -> Self {
        Self::of_file(Path::new(FILE))
    }

    fn of_file(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        let (file, _) = resolv_conf::Config::parse_with_errors(&text);
        let servers = file.nameservers.iter().take(SERVERS);
        let search = file.get_last_search_or_domain().take(SUFFIXES);
        Self {
            servers: servers
                .map(|server| SocketAddr::new(server.into(), PORT))
                .collect(),
            search: search
                .map(|suffix| suffix.trim_end_matches('.').to_owned())
                .filter(|suffix| !suffix.is_empty())
                .collect(),
            dots: usize::try_from(file.ndots).unwrap_or(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let text = "nameserver 10.96.0.10\nsearch chat.svc.cluster.local svc.cluster.local\n\
            options ndots:5\n";
        std::fs::write(&path, text).unwrap();
        let resolver = Resolver::of_file(&path);
        assert_eq!(resolver.servers, ["10.96.0.10:53".parse().unwrap()]);
        assert_eq!(
            resolver.full_names("chat"),
            [
                "chat.chat.svc.cluster.local",
                "chat.svc.cluster.local",
                "chat"
            ]
        );
        assert_eq!(resolver.full_names("chat.svc."), ["chat.svc"]);
        let nothing = Resolver::of_file(&folder.path().join("nowhere"));
        assert!(nothing.servers.is_empty());
    }
}
