//! Keys of the health of a pool's backends.

use http::HeaderValue;

use crate::config::model::OnUnhealthy;
use crate::config::reading::{Named, OrNull, Placed, keys};
use crate::config::values::choice::CheckKind;
use crate::config::values::{CheckPath, HostField, Percent, Statuses, Timeout, Whole};

keys! {
    /// Which backends get sessions, and what becomes of open ones.
    Health {
        /// Active checks; null, the default, for none.
        active: ActiveHealth,
        /// Ejection of backends whose attempts fail; null for never.
        passive: OrNull<PassiveHealth>,
        /// What open sessions get when checks call their backend down; keep by default.
        on_unhealthy: OnUnhealthy,
    }

    /// Active checks.
    ActiveHealth {
        /// What a check does; websocket by default.
        r#type: CheckKind,
        /// Path and query of the request; / by default.
        path: CheckPath,
        /// The field Host of the request; the backend's address by default.
        host: HostField,
        /// Further fields of the request, by name.
        headers: Named<HeaderValue>,
        /// The statuses that pass a check of type http; 200-399 by default.
        statuses: Vec<Placed<Statuses>>,
        /// From the beginning of a check to that of the next; 5s by default.
        interval: Timeout,
        /// For a whole check; 2s by default.
        timeout: Timeout,
        /// Checks in a row that must pass until a backend counts as up; 2 by default.
        healthy_threshold: Whole<u32, 1, 100>,
        /// Checks in a row that must fail until a backend counts as down; 3 by default.
        unhealthy_threshold: Whole<u32, 1, 100>,
    }

    /// Ejection after attempts that fail in a row.
    PassiveHealth {
        /// Failed attempts that eject a backend; 5 by default.
        failures: Whole<usize, 1, 1000>,
        /// The longest time between the first and the last of them; 30s by default.
        window: Timeout,
        /// How long it gets no sessions, doubled with each relapse; 30s by default.
        eject: Timeout,
        /// The share of the backends that may be ejected at once; 50% by default.
        max_ejected: Percent,
    }
}
