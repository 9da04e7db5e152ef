//! wsgate, a reverse proxy and WebSocket gateway with load balancing.
//!
//! Where everything lives, who may know whom, and the way of a session: ARCHITECTURE.md.

/// Declares an enumeration together with the text of each variant: a metric label, or a detail for logs and answers.
macro_rules! enumeration {
    (
        $(#[$about:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident => $text:literal,)* }
        $(#[$text_about:meta])*
        pub fn $method:ident;
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every variant, in the order of the declaration.
            pub const ALL: [Self; Self::TEXTS.len()] = [$(Self::$variant),*];
            /// The texts of all of them.
            pub const TEXTS: [&'static str; [$($text),*].len()] = [$($text),*];

            $(#[$text_about])*
            #[must_use]
            pub const fn $method(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

pub mod admin;
pub mod admission;
pub mod cli;
pub mod config;
pub mod dns;
pub mod drain;
pub mod fields;
pub mod gateway;
pub mod listener;
pub mod mutex;
pub mod occupancy;
pub mod proxy_protocol;
pub mod route;
pub mod server;
pub mod session;
pub mod snapshot;
pub mod stream;
pub mod telemetry;
pub mod tls;
pub mod tunnel;
pub mod upstream;
pub mod websocket;
