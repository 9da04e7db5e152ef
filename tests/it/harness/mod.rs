//! What scenarios are told with: a gateway, clients, and patience.

mod configuration;
mod dns;
mod frames;
mod gateway;
mod http2;
mod log;
mod metrics;
mod opening;
mod patience;
mod stall;
mod tls;
mod websocket;
mod wire;

pub(crate) use configuration::{PATIENT, before, impatient, pool, routed};
pub(crate) use dns::{Conduct, NameServer, Place};
pub(crate) use frames::{BINARY, CLOSE, Frame, PING, PONG, Speaker, TEXT, TEXT_BEGUN, TEXT_ENDED};
pub(crate) use gateway::{Gateway, Refusal, directory, expect_few_words};
pub(crate) use http2::{Http2, Stream as Http2Stream, connect as http2_connect};
pub(crate) use metrics::Metrics;
pub(crate) use opening::{ACCEPT, KEY, Opening};
pub(crate) use patience::{eventually, eventually_some, repeatedly, soon};
pub(crate) use stall::send_until_stalled;
pub(crate) use tls::{Identity, connect_tls, speak_tls};
pub(crate) use websocket::{WebSocket, close, close_code, echo, open, open_by};
pub(crate) use wire::{Answer, Head, Wire, ask};
