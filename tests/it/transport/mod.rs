//! How backends are reached: what a connection is, and what is said on it before the first byte of HTTP.

mod proxy_protocol;
mod sockets;
mod tls;
mod trust;

/// A route for everything to a pool of one backend at `url`, with these keys, each ended by a comma.
fn yaml(url: &str, keys: &str) -> String {
    format!(
        "routes: {{ chat: {{ origins: any, timeouts: {{ connect: 2s }}, pool: chat }} }}\n\
         pools: {{ chat: {{ {keys} backends: [\"{url}\"] }} }}\n"
    )
}
