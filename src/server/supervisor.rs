//! Notifications to the service manager that started the process (sd_notify(3)). Without one they do nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// How long a stop may take beyond its deadline, to write the last records and log lines.
const STOP_OVERHEAD: Duration = Duration::from_secs(10);

/// The configuration is in force and the listeners are open.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Announces that the process exits within `time` or shortly after. The manager's own timeout may be shorter, so it is
/// extended.
pub(super) fn stopping(time: Duration) {
    let micros = time.saturating_add(STOP_OVERHEAD).as_micros();
    // The library's own variant for this is limited to an hour.
    let extension = format!("EXTEND_TIMEOUT_USEC={micros}");
    tell(&[NotifyState::Stopping, NotifyState::Custom(&extension)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be notified");
    }
}
