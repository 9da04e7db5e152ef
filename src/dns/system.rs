//! The name servers and search suffixes of the system: /etc/resolv.conf.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;

use resolv_conf::ScopedIp;
use rustix::net::netdevice::name_to_index;

use super::Resolver;

const FILE: &str = "/etc/resolv.conf";
/// The port of name servers.
const PORT: u16 = 53;
/// No more servers are used than the system's own resolver would use.
const SERVERS: usize = 3;
/// The most suffixes that are used. The system's resolver has no limit (resolv.conf(5)), Kubernetes allows this many for a
/// pod.
const SUFFIXES: usize = 32;

impl Resolver {
    /// A resolver that asks the name servers of the system; without any if the file is missing or broken.
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
            servers: servers.map(address).collect(),
            search: search
                .map(|suffix| suffix.trim_end_matches('.').to_owned())
                .filter(|suffix| !suffix.is_empty())
                .collect(),
            dots: usize::try_from(file.ndots).unwrap_or(1),
        }
    }
}

fn address(server: &ScopedIp) -> SocketAddr {
    match server {
        ScopedIp::V4(ip) => SocketAddr::new((*ip).into(), PORT),
        ScopedIp::V6(ip, zone) => {
            let interface = zone.as_ref().map_or(0, |zone| interface(zone));
            SocketAddrV6::new(*ip, PORT, 0, interface).into()
        }
    }
}

/// The index of the network interface in a link-local address such as `fe80::1%eth0`; 0 if there is none of this name.
fn interface(zone: &str) -> u32 {
    let look_up = || -> io::Result<u32> {
        // Any socket will do.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(name_to_index(&socket, zone)?)
    };
    zone.parse().or_else(|_| look_up()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_interface_of_a_link_local_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let text = "nameserver fe80::1%lo\nnameserver fe80::2%7\nnameserver fe80::3%nowhere\n";
        std::fs::write(&path, text).unwrap();
        let addresses = ["[fe80::1%1]:53", "[fe80::2%7]:53", "[fe80::3]:53"];
        let addresses = addresses.map(|it| it.parse::<SocketAddr>().unwrap());
        assert_eq!(Resolver::of_file(&path).servers, addresses);
    }

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
        let suffixes: Vec<String> = (0..32).map(|it| format!("s{it}.test")).collect();
        std::fs::write(&path, format!("search {}\n", suffixes.join(" "))).unwrap();
        assert_eq!(Resolver::of_file(&path).search, suffixes);
        let nothing = Resolver::of_file(&folder.path().join("nowhere"));
        assert!(nothing.servers.is_empty());
    }
}
