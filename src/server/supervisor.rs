//! What a service manager that started the process is told of its life (sd_notify(3)). Where there is none nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// What a stop takes beyond its deadline: the last records, the last lines of the log.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The configuration is in force and the listeners are open.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The process ends within `patience`, or a little later. That may be longer than the manager would wait, so its patience
/// is extended.
pub(super) fn stopping(patience: Duration) {
    let micros = patience.saturating_add(LAST_WORDS).as_micros();
    // The library's own word for it ends at an hour.
    let extension = format!("EXTEND_TIMEOUT_USEC={micros}");
    tell(&[NotifyState::Stopping, NotifyState::Custom(&extension)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
