//! Keys of the process as a whole.

use std::time::Duration;

use crate::config::model::{Address, LogFormat};
use crate::config::reading::keys;
use crate::config::values::{CloseCode, Workers};

keys! {
    /// The admin side: metrics, health, status, reload.
    Admin {
        /// Where it listens; 127.0.0.1:9901 by default.
        address: Address,
    }

    /// What is logged and how.
    Log {
        /// The form of a line; json by default.
        format: LogFormat,
        /// The least level that is written; info by default.
        level: tracing::Level,
        /// Access-log lines.
        access: AccessLog,
    }

    /// Access-log lines.
    AccessLog {
        /// A line when a session opens; true by default.
        open: bool,
        /// A line when a session ends; true by default.
        close: bool,
        /// A line for each plain HTTP request, when its answer has ended or it is refused; true by default.
        request: bool,
        /// Whether values in query strings are replaced; true by default.
        redact_query: bool,
    }

    /// Threads.
    Runtime {
        /// The number of workers; auto, one per core, by default.
        workers: Workers,
        /// Whether io_uring is used where the system has it, Linux 6.1 or later, and allows it; true by default.
        io_uring: bool,
    }

    /// How sessions are ended at a drain.
    Drain {
        /// How long /readyz fails while connections are still accepted; 0s by default.
        grace: Duration,
        /// The time over which the Close frames are spread; 30s by default, or what grace leaves of deadline.
        window: Duration,
        /// The code of the Close frame; 1012 by default.
        close_code: CloseCode,
        /// The reason in the Close frame, at most 123 bytes; "service restart" by default.
        reason: String,
        /// When whatever is left is cut; 60s by default.
        deadline: Duration,
    }
}
