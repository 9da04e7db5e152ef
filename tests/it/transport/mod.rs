//! How backends are reached: what a connection is, and what is said on it before the first byte of HTTP.

mod proxy_protocol;
