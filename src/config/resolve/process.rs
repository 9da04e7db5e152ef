//! Settings of the process as a whole.

use std::time::Duration;

use tracing::Level;

use crate::config::model::{AccessLog, Admin, Drain, Log, LogFormat, Runtime};
use crate::config::problems::Findings;
use crate::config::reading::{Placed, Setting};
use crate::config::schema;
use crate::config::values::duration::spell;

/// Seconds of a drain by default.
const GRACE: u64 = 0;
const WINDOW: u64 = 30;
const DEADLINE: u64 = 60;

pub(in crate::config) fn admin(raw: schema::Admin) -> Admin {
    let address = raw.address.value();
    address.map_or_else(Admin::default, |address| Admin { address })
}

pub(super) fn log(raw: schema::Log) -> Log {
    let access = raw.access.or_default();
    Log {
        format: raw.format.or(LogFormat::Json),
        level: raw.level.or(Level::INFO),
        access: AccessLog {
            open: access.open.or(true),
            close: access.close.or(true),
            request: access.request.or(true),
            redact_query: access.redact_query.or(true),
        },
    }
}

pub(super) fn runtime(raw: schema::Runtime) -> Runtime {
    Runtime {
        workers: raw.workers.or(None),
        io_uring: raw.io_uring.or(true),
    }
}

pub(super) fn drain(raw: schema::Drain, findings: &mut Findings) -> Drain {
    let grace = seconds(&raw.grace, GRACE);
    let deadline = seconds(&raw.deadline, DEADLINE);
    let window = match raw.window.given() {
        Some(placed) => placed.value,
        None => Duration::from_secs(WINDOW).min(deadline.saturating_sub(grace)),
    };
    let drain = Drain {
        close_code: raw.close_code.or(1012),
        reason: reason(raw.reason, findings),
        grace,
        window,
        deadline,
    };
    check_times([&raw.window, &raw.deadline, &raw.grace], &drain, findings);
    drain
}

/// Notes a window that ends after the deadline.
fn check_times(settings: [&Setting<Duration>; 3], drain: &Drain, findings: &mut Findings) {
    let Some(place) = settings.iter().find_map(|setting| setting.place()) else {
        return;
    };
    let is_wrong = settings
        .iter()
        .any(|setting| matches!(setting, Setting::Invalid));
    let (grace, window, deadline) = (drain.grace, drain.window, drain.deadline);
    if !is_wrong && grace + window > deadline {
        let [grace, window, deadline] = [grace, window, deadline].map(spell);
        let message = format!(
            "`grace` ({grace}) and `window` ({window}) together are longer than `deadline` \
             ({deadline}), when whatever is left is cut"
        );
        findings.add(place, message);
    }
}

fn seconds(setting: &Setting<Duration>, default: u64) -> Duration {
    let given = setting.given().map(|placed| placed.value);
    given.unwrap_or(Duration::from_secs(default))
}

fn reason(setting: Setting<String>, findings: &mut Findings) -> String {
    /// RFC 6455 section 5.5: 125 bytes of a control frame, two of them the code.
    const LONGEST: usize = 123;
    let Some(Placed { value, place }) = setting.placed() else {
        return "service restart".to_owned();
    };
    if value.len() > LONGEST {
        let bytes = value.len();
        let message = format!("has {bytes} bytes; a Close frame has room for {LONGEST}");
        findings.add(&place, message);
    }
    value
}
