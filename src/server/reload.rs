//! Puts a configuration that was read into force: compare, bind, swap. After any error everything stays as it was.

use std::borrow::Cow;
use std::sync::Arc;

use super::Server;
use super::listeners::{OpenListener, Prepared};
use super::source::Loaded;
use crate::admin::ReloadReport;
use crate::config::{self, Config, LogFormat};
use crate::snapshot::Snapshot;

/// How many changes the log line of a reload lists. Log collectors cut lines of some ten kilobytes.
const LOGGED_CHANGES: usize = 20;
/// How many bytes of each change it shows: one change lists all the backends of a pool that differ.
const LOGGED_BYTES: usize = 300;

impl Server {
    /// Puts a configuration into force. Sessions of removed listeners, routes and backends are drained, all others are not
    /// touched.
    pub(super) async fn reload(&self, outcome: Result<Loaded, Vec<String>>) -> ReloadReport {
        let report = match outcome {
            Ok(loaded) => self.take(loaded).await,
            Err(errors) => ReloadReport::Refused { errors },
        };
        self.telemetry.metrics.reloaded(report.result());
        tell(&report, &self.loading.source_name());
        report
    }

    async fn take(&self, loaded: Loaded) -> ReloadReport {
        let before = self.shared.current.load();
        let renewed = renewed_certificates(&before, &loaded);
        let differing = loaded.config.changes_since(&before.config);
        let is_same_config = loaded.config == before.config;
        let is_same = is_same_config && renewed.is_empty();
        let restored = self.shared.listeners().restore(&self.service);
        let restored = [restored, self.admin.restore()].concat();
        let deferred = self.booted.deferred(&loaded.config);
        // What must not be missed comes first: the log cuts the end.
        let changes = [restored.clone(), deferred, renewed, differing].concat();
        if is_same {
            return ReloadReport::Unchanged { changes };
        }
        let listeners = loaded.config.listeners.iter();
        let bound = self.shared.listeners().bind(
            listeners.map(|(name, listener)| (name, &listener.address)),
            Some(self.admin.address()),
            &self.service,
        );
        let bound = match bound {
            Ok(bound) => bound,
            Err(errors) => {
                return ReloadReport::Refused {
                    errors: [errors, restored].concat(),
                };
            }
        };
        let metrics = &self.telemetry.metrics;
        let after = Arc::new(Snapshot::build(
            loaded.config,
            loaded.tls,
            metrics,
            Some(&before),
        ));
        self.shared.replace(&after);
        self.exchange_listeners(&after.config, bound).await;
        self.shared.retire(&before, &after);
        drop(before);
        metrics.sweep();
        self.discover(&after.config);
        self.apply_logging(&after.config);
        super::warn(&loaded.warnings);
        if is_same_config {
            return ReloadReport::Unchanged { changes };
        }
        ReloadReport::Taken {
            generation: after.generation,
            changes,
        }
    }

    /// Starts and stops discovery tasks as `config` says.
    pub(super) fn discover(&self, config: &Config) {
        let (metrics, runtime) = (&self.telemetry.metrics, &self.shared.runtime);
        self.shared.discoveries.follow(config, metrics, runtime);
    }

    /// Opens new listeners, then closes removed ones. Ready when their addresses are free.
    async fn exchange_listeners(&self, config: &Config, bound: Vec<Prepared>) {
        let closing: Vec<_> = {
            let mut listeners = self.shared.listeners();
            let address = |name: &str| config.listeners.get(name).map(|to| to.address.clone());
            let mut gone = listeners.take_gone(address);
            for prepared in bound {
                listeners.open(prepared, &self.service);
            }
            for (_, open) in listeners.iter() {
                open.limit_changed();
            }
            let close = |gone: &mut OpenListener| {
                let closing = gone.close();
                self.shared.begin_drain(gone.drain(), &config.drain);
                closing
            };
            gone.iter_mut().map(close).collect()
        };
        for closing in closing {
            closing.await;
        }
    }

    fn apply_logging(&self, config: &Config) {
        self.telemetry.access_log.apply(&config.log.access);
        if let Some(logging) = &self.logging {
            logging.set_level(config.log.level);
        }
    }
}

/// The settings of the start that hold until a restart.
pub(super) struct Booted {
    admin: config::Admin,
    format: LogFormat,
    runtime: config::Runtime,
}

impl Booted {
    pub(super) fn with(config: &Config) -> Self {
        Self {
            admin: config.admin.clone(),
            format: config.log.format,
            runtime: config.runtime.clone(),
        }
    }

    /// A line for each of them that is another one in `after`, and takes effect only after a restart.
    fn deferred(&self, after: &Config) -> Vec<String> {
        let (before, runtime) = (&self.runtime, &after.runtime);
        let deferred = [
            ("admin.address", self.admin != after.admin),
            ("log.format", self.format != after.log.format),
            ("runtime.workers", before.workers != runtime.workers),
            ("runtime.io_uring", before.io_uring != runtime.io_uring),
        ];
        deferred
            .into_iter()
            .filter(|(_, is_changed)| *is_changed)
            .map(|(key, _)| format!("{key} takes effect after a restart"))
            .collect()
    }
}

/// A line for each listener and pool whose certificate files have changed.
fn renewed_certificates(before: &Snapshot, loaded: &Loaded) -> Vec<String> {
    let listeners = loaded.tls.listeners.iter().filter(|(name, tls)| {
        let settings = before.listeners.get(*name);
        settings
            .and_then(|settings| settings.tls.as_ref())
            .is_some_and(|before| before.fingerprint != tls.fingerprint)
    });
    let pools = loaded.tls.pools.iter().filter(|(name, tls)| {
        let transport = before.transports.get(*name);
        transport
            .and_then(|transport| transport.fingerprint())
            .is_some_and(|before| before != tls.fingerprint)
    });
    let listeners = listeners.map(|(name, _)| format!("listener {name}: new certificates"));
    let pools = pools.map(|(name, _)| format!("pool {name}: new certificates"));
    listeners.chain(pools).collect()
}

fn tell(report: &ReloadReport, source: &str) {
    match report {
        ReloadReport::Taken {
            generation,
            changes,
        } => {
            tracing::info!(
                generation,
                changes = summary(changes),
                "configuration reloaded"
            );
        }
        ReloadReport::Unchanged { changes } => {
            tracing::info!(changes = summary(changes), "configuration is the same");
        }
        ReloadReport::Refused { errors } => {
            for error in errors {
                tracing::error!(source, "configuration refused: {error}");
            }
        }
    }
}

/// The first changes, long ones cut, and how many more there are. POST /reload answers with all of them as they are.
/// `None`, which leaves the field out, if there are none.
fn summary(changes: &[String]) -> Option<String> {
    if changes.is_empty() {
        return None;
    }
    let shown = changes.len().min(LOGGED_CHANGES);
    let text: Vec<_> = changes[..shown].iter().map(|change| cut(change)).collect();
    let text = text.join("; ");
    Some(match changes.len() - shown {
        0 => text,
        more => format!("{text}; and {more} more"),
    })
}

/// `change`; if it is too long, only what is before its last comma that fits, and how many items follow.
fn cut(change: &str) -> Cow<'_, str> {
    if change.len() <= LOGGED_BYTES {
        return Cow::Borrowed(change);
    }
    let fits = &change[..change.floor_char_boundary(LOGGED_BYTES)];
    match fits.rfind(", ") {
        Some(end) => {
            let more = change[end..].matches(", ").count();
            Cow::Owned(format!("{} and {more} more", &change[..end]))
        }
        None => Cow::Owned(format!("{fits}…")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_lists_no_more_changes_than_a_line_can_hold() {
        let changes = vec!["changed".to_owned(); LOGGED_CHANGES + 5];
        let logged = |count: usize| summary(&changes[..count]).unwrap_or_default();
        assert_eq!(logged(2), "changed; changed");
        assert!(logged(LOGGED_CHANGES).ends_with("changed"));
        assert!(logged(LOGGED_CHANGES + 5).ends_with("changed; and 5 more"));
    }

    #[test]
    fn the_log_cuts_a_change_that_lists_thousands() {
        let backends = vec!["added backend 10.0.0.1:80"; 5000].join(", ");
        let logged = |change: String| summary(&[change]).unwrap_or_default();
        let cut = logged(format!("changed pool chat: {backends}"));
        assert!(cut.len() < 350, "{}", cut.len());
        assert!(cut.ends_with("added backend 10.0.0.1:80 and 4990 more"));
        let name = "é".repeat(5000);
        assert!(logged(format!("added route {name}")).ends_with("é…"));
    }
}
