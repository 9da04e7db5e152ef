//! What holds for open sessions: each key from the route, else from `defaults`, else its own default.

use std::num::NonZeroU32;
use std::time;

use super::routes::seconds;
use crate::config::model::{OnProtocolError, Ping, WebSocket};
use crate::config::reading::Setting;
use crate::config::schema;
use crate::config::values::choice::PingTarget;
use crate::config::values::{CloseCode, Duration, OrNone, Size};

/// Bytes of a message by default.
const MAX_MESSAGE_SIZE: usize = 16 << 20;
/// How long an end may take no byte by default.
const STALL: Duration = Duration(time::Duration::from_secs(30));

pub(super) fn resolve(own: schema::WebSocket, inherited: &schema::WebSocket) -> WebSocket {
    let rate = own
        .max_messages_per_second
        .or_inherit(&inherited.max_messages_per_second);
    let jitter = own.max_age_jitter.or_inherit(&inherited.max_age_jitter);
    let size = own.max_message_size.or_inherit(&inherited.max_message_size);
    let on_protocol_error = own
        .on_protocol_error
        .or_inherit(&inherited.on_protocol_error);
    let backend_lost_code = own
        .backend_lost_code
        .or_inherit(&inherited.backend_lost_code);
    WebSocket {
        idle: span(own.idle, &inherited.idle, None),
        ping: ping(own.ping, &inherited.ping),
        max_message_size: size
            .or(OrNone(Some(Size(MAX_MESSAGE_SIZE))))
            .0
            .map(|Size(bytes)| bytes as u64),
        max_messages_per_second: rate.value().and_then(|rate| NonZeroU32::new(rate.number())),
        max_age: span(own.max_age, &inherited.max_age, None),
        max_age_jitter: jitter.value().map_or(0.1, |share| share.fraction()),
        stall: stall(own.slow_consumer, &inherited.slow_consumer),
        on_protocol_error: on_protocol_error.or(OnProtocolError::Pass),
        backend_lost_code: backend_lost_code
            .or(OrNone(Some(CloseCode(1014))))
            .0
            .map(|CloseCode(code)| code),
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
        interval: seconds(own.interval, &inherited.interval, 30),
        timeout: seconds(own.timeout, &inherited.timeout, 20),
        client,
        backend,
    })
}

fn stall(
    own: Setting<schema::SlowConsumer>,
    inherited: &Setting<schema::SlowConsumer>,
) -> Option<time::Duration> {
    let absent = schema::SlowConsumer::default();
    let inherited = inherited.given().map_or(&absent, |placed| &placed.value);
    span(own.or_default().stall, &inherited.stall, Some(STALL))
}

fn span(
    own: Setting<OrNone<Duration>>,
    inherited: &Setting<OrNone<Duration>>,
    default: Option<Duration>,
) -> Option<time::Duration> {
    let OrNone(limit) = own.or_inherit(inherited).or(OrNone(default));
    limit.map(|Duration(span)| span)
}
