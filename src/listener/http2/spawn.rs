//! Spawns hyper's stream tasks, and finds the task that writes for a session.
//!
//! hyper cannot reset a stream after an upgrade: dropping it ends the sending half in order. But if its writer task is
//! aborted, the stream is reset (RST_STREAM, CANCEL). hyper spawns the writer from within the task that answers the request,
//! so each such task carries a slot for the handle of its writer.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use hyper::rt::Executor;
use tokio::task::AbortHandle;

tokio::task_local! {
    static WRITER: Writer;
}

/// The slot for the writer task of a stream; filled once the stream is a session.
pub(super) type Writer = Arc<OnceLock<AbortHandle>>;

/// Spawns tasks on this worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spawn;

impl<F> Executor<F> for Spawn
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        match WRITER.try_with(Arc::clone) {
            // Within the task that answers a request, hyper only spawns its writer, and only once.
            Ok(writer) => {
                let _ = writer.set(tokio::spawn(task).abort_handle());
            }
            Err(_) => {
                tokio::spawn(WRITER.scope(Writer::default(), task));
            }
        }
    }
}

/// The slot of the stream that is being answered.
pub(super) fn writer() -> Writer {
    WRITER.try_with(Arc::clone).unwrap_or_default()
}
