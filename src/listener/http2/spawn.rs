//! Where hyper runs the streams of a connection, and finding the task that writes for a session.
//!
//! hyper has no way to reset a stream that it has given up as upgraded: dropped, its sending half ends as if
//! all were well. But the task that writes can be aborted, and a stream whose writer is gone is reset
//! (RST_STREAM, CANCEL). hyper begins that task while it runs the one that answered; so each of those
//! knows a place for it.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use hyper::rt::Executor;
use tokio::task::AbortHandle;

tokio::task_local! {
    static WRITER: Writer;
}

/// The task that writes for the session that a stream became, once it is one.
pub(super) type Writer = Arc<OnceLock<AbortHandle>>;

/// Runs the tasks of streams on this worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spawn;

impl<F> Executor<F> for Spawn
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        match WRITER.try_with(Arc::clone) {
            // Within a stream that is being answered: only its writer is begun there, and once.
            Ok(writer) => {
                let _ = writer.set(tokio::spawn(task).abort_handle());
            }
            Err(_) => {
                tokio::spawn(WRITER.scope(Writer::default(), task));
            }
        }
    }
}

/// The place for the writer of the stream that is being answered.
pub(super) fn writer() -> Writer {
    WRITER.try_with(Arc::clone).unwrap_or_default()
}
