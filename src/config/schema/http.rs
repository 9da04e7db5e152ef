//! Keys of plain HTTP requests.

use crate::config::reading::keys;
use crate::config::values::{OrNone, Size, Timeout};

keys! {
    /// What holds for plain HTTP requests.
    Http {
        /// To the head of the backend's answer; 60s by default. Time in which the body still moves is not counted.
        request_timeout: Timeout,
        /// Bytes of a request's body; 0 for none, the default.
        max_body: OrNone<Size>,
    }
}
