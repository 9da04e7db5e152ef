//! Certificates made on the spot, from files to whole handshakes in memory.

mod files;
mod handshakes;
mod streams;
mod workshop;
