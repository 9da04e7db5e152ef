//! What holds for plain HTTP requests.

use std::time::Duration;

/// What holds for the plain HTTP requests of a route.
#[derive(Clone, PartialEq, Debug)]
pub struct Http {
    /// To the head of the backend's answer, from the last byte of the request that was passed on.
    pub request_timeout: Duration,
    /// Bytes of a request's body; `None` where there is no limit.
    pub max_body: Option<u64>,
}
