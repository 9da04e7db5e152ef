//! What holds for open sessions: each key from the route, else from `defaults`, else its own default.

use std::time::Duration;

use crate::config::model::{OnProtocolError, Ping, WebSocket};
use crate::config::reading::Setting;
use crate::config::schema;
use crate::config::values::choice::PingTarget;

/// Bytes of a message by default.
const MAX_MESSAGE_SIZE: usize = 16 << 20;
/// How long an end may take no byte by default.
const STALL: Duration = Duration::from_secs(30);

pub(super) fn resolve(own: schema::WebSocket, inherited: &schema::WebSocket) -> WebSocket {
    let max_message_size = own.max_message_size.or_inherit(&inherited.max_message_size);
    let messages = own
        .max_messages_per_second
        .or_inherit(&inherited.max_messages_per_second);
    let max_age_jitter = own.max_age_jitter.or_inherit(&inherited.max_age_jitter);
    let on_protocol_error = own
        .on_protocol_error
        .or_inherit(&inherited.on_protocol_error);
    let backend_lost_code = own
        .backend_lost_code
        .or_inherit(&inherited.backend_lost_code);
    WebSocket {
        idle: own.idle.or_inherit(&inherited.idle).or(None),
        ping: ping(own.ping, &inherited.ping),
        max_message_size: max_message_size
            .or(Some(MAX_MESSAGE_SIZE))
            .map(|bytes| bytes as u64),
        max_messages_per_second: messages.or(None),
        max_age: own.max_age.or_inherit(&inherited.max_age).or(None),
        max_age_jitter: max_age_jitter.or(0.1),
        stall: stall(own.slow_consumer, &inherited.slow_consumer),
        on_protocol_error: on_protocol_error.or(OnProtocolError::Pass),
        backend_lost_code: backend_lost_code.or(Some(1014)),
    }
}

fn ping(own: Setting<schema::Ping>, inherited: &Setting<schema::Ping>) -> Option<Ping> {
    let own = own.or_default();
    let absent = schema::Ping::default();
    let inherited = inherited.given().map_or(&absent, |placed| &placed.value);
    let target = own.target.or_inherit(&inherited.target);
    let (client, backend) = match target.or(PingTarget::Client) {
        PingTarget::Client => (true, false),
        PingTarget::Backend => (false, true),
        PingTarget::Both => (true, true),
        PingTarget::None => return None,
    };
    Some(Ping {
        interval: own.interval.or_inherit(&inherited.interval).or_seconds(30),
        timeout: own.timeout.or_inherit(&inherited.timeout).or_seconds(20),
        client,
        backend,
    })
}

fn stall(
    own: Setting<schema::SlowConsumer>,
    inherited: &Setting<schema::SlowConsumer>,
) -> Option<Duration> {
    let absent = schema::SlowConsumer::default();
    let inherited = inherited.given().map_or(&absent, |placed| &placed.value);
    let stall = own.or_default().stall.or_inherit(&inherited.stall);
    stall.or(Some(STALL))
}
