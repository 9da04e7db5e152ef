//! Keys of open sessions: keepalive, limits, ages.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::model::OnProtocolError;
use crate::config::reading::keys;
use crate::config::values::choice::PingTarget;
use crate::config::values::{CloseCode, OrNone, Percent, Size, Timeout, Whole};

keys! {
    /// What holds for sessions once they are open.
    WebSocket {
        /// A session ends after this long without a data frame either way; 0 for none, the default.
        idle: OrNone<Duration>,
        /// Pings of the gateway's own.
        ping: Ping,
        /// Bytes of a message as they pass; 16MiB by default, 0 for none.
        max_message_size: OrNone<Size>,
        /// Messages from one client in a second; 0 for none, the default.
        max_messages_per_second: Whole<Option<NonZeroU32>, 0, 1_000_000>,
        /// A session ends at this age; 0 for none, the default.
        max_age: OrNone<Duration>,
        /// The share of max_age by which ends are spread; 10% by default.
        max_age_jitter: Percent,
        /// What happens to a session of which one end takes no bytes.
        slow_consumer: SlowConsumer,
        /// Frames against RFC 6455: pass tunnels them, close ends the session; pass by default.
        on_protocol_error: OnProtocolError,
        /// The code of the Close frame that tells a client of the loss of its backend; 1014 by default, 0 for no frame.
        backend_lost_code: OrNone<CloseCode>,
    }

    /// Pings of the gateway's own.
    Ping {
        /// Between two of them; 30s by default.
        interval: Timeout,
        /// A session ends after this long without any byte since a Ping; 20s by default.
        timeout: Timeout,
        /// Which ends get them; client by default.
        target: PingTarget,
    }

    /// What happens to a session of which one end takes no bytes.
    SlowConsumer {
        /// The session ends after this long without a byte taken; 30s by default, 0 for none.
        stall: OrNone<Duration>,
    }
}
