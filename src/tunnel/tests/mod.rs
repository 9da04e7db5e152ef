//! What the parts of a tunnel do, each alone, and what a whole one does with streams at random.

mod ending;
mod follow;
mod frames;
mod peer;
mod properties;

use std::time::Duration;

use super::terms::{Terms, Words};
use crate::config::{OnProtocolError, WebSocket};
use crate::websocket::CloseCode;

/// Terms without keepalive, age or limits.
fn terms() -> Terms {
    Terms {
        close: Duration::from_secs(5),
        half_close: Duration::from_secs(10),
        websocket: WebSocket {
            idle: None,
            ping: None,
            max_message_size: None,
            max_messages_per_second: None,
            max_age: None,
            max_age_jitter: 0.0,
            stall: None,
            on_protocol_error: OnProtocolError::Close,
        },
        drain: Words {
            code: CloseCode::SERVICE_RESTART,
            reason: "service restart".into(),
        },
    }
}
