//! Keys of plain HTTP requests, of header fields, and of redirects.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::config::model::Forwarded;
use crate::config::reading::{Named, Placed, keys};
use crate::config::values::{Destination, OrNone, Size, Timeout, Whole};

keys! {
    /// What holds for plain HTTP requests.
    Http {
        /// To the head of the backend's answer; 60s by default. Time in which the body still moves is not counted.
        request_timeout: Timeout,
        /// Bytes of a request's body; 0 for none, the default.
        max_body: OrNone<Size>,
        /// Bytes of a body that have to come each second, on the average over request_timeout; 0 for any, the default.
        min_upload_rate: OrNone<Size>,
        /// What scripts of the route's origins may do; left to the backend by default.
        cors: Cors,
    }

    /// What scripts of the route's origins may do.
    Cors {
        /// Methods; GET, HEAD and POST by default.
        methods: Vec<Placed<Method>>,
        /// Fields of requests beyond the usual; none by default.
        headers: Vec<Placed<HeaderName>>,
        /// Fields of answers that scripts may read beyond the usual; none by default.
        expose: Vec<Placed<HeaderName>>,
        /// Whether cookies may be sent; false by default.
        credentials: bool,
        /// How long a browser remembers what it may; 10m by default.
        max_age: Duration,
    }

    /// What is said to backends in header fields, and in those of answers to clients.
    Headers {
        /// Which fields tell a backend about the client: x_forwarded, the default, forwarded, both or none.
        forwarded: Forwarded,
        /// Whether Host is passed on, or is the backend's address; true by default.
        preserve_host: bool,
        /// Fields that are set, by name.
        set: Named<HeaderValue>,
        /// Names of fields that are removed.
        remove: Vec<Placed<HeaderName>>,
        /// Fields of the answers that clients get.
        answer: FieldRules,
    }

    /// Fields of the answers that clients get.
    FieldRules {
        /// Fields that are set, by name.
        set: Named<HeaderValue>,
        /// Names of fields that are removed.
        remove: Vec<Placed<HeaderName>>,
    }

    /// Where a client is sent instead.
    Redirect needs [["to"]] {
        /// Required. A URL or a path; {host}, {path} and {query} stand for those of the request.
        to: Destination,
        /// 301, 302, 303, 307, or 308, the default.
        status: Whole<u16, 301, 308>,
    }
}
