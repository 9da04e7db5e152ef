//! What other proxies call keys of this configuration. Keys that are misspelt are none of it: `problems` finds the nearest.

/// Words of nginx, HAProxy, Traefik, Caddy and Envoy, in lower case and without `_` and `-`, each row with the keys that
/// may be meant. A map has at most one of them.
const WORDS: [(&[&str], &[&str]); 9] = [
    (&["bind", "listen"], &["address"]),
    (&["ssl"], &["tls"]),
    (
        &["cert", "certs", "crt", "sslcertificate"],
        &["certificates", "certificate"],
    ),
    (&["allowedorigins"], &["origins"]),
    (
        &["upstream", "upstreams", "cluster", "clusters"],
        &["pools", "pool", "backends"],
    ),
    (&["backend", "proxypass", "service"], &["pool"]),
    (
        &["server", "servers", "endpoints", "targets"],
        &["backends"],
    ),
    (
        &[
            "algorithm",
            "balance",
            "lb",
            "lbpolicy",
            "loadbalancing",
            "policy",
        ],
        &["strategy"],
    ),
    (&["healthcheck", "healthchecks"], &["health"]),
];

/// The one of the known keys that stands for a word of another proxy.
pub(super) fn translated(word: &str, known: &[&str]) -> Option<String> {
    /// No word is longer, however it is spelt.
    const LONGEST: usize = 20;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.replace(['_', '-'], "").to_ascii_lowercase();
    let rows = WORDS.iter().filter(|(words, _)| words.contains(&&*word));
    let mut keys = rows.flat_map(|(_, keys)| *keys);
    keys.find(|key| known.contains(key)).map(|&key| key.into())
}
