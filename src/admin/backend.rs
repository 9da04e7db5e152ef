//! The target of POST /pools/NAME/backends/NAME/drain and /resume.

/// What to do with a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackendOrder {
    /// Give it no new sessions, and ask those it has to leave.
    Drain,
    /// Give it new sessions again.
    Resume,
}

/// One backend of one pool, by their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackendTarget {
    /// The pool.
    pub pool: String,
    /// The backend.
    pub backend: String,
}

impl BackendTarget {
    /// Reads a path with percent-encoded names. The name of a backend may be its address, which can contain slashes.
    pub(super) fn read(path: &str) -> Option<(Self, BackendOrder)> {
        let (pool, rest) = path.strip_prefix("/pools/")?.split_once("/backends/")?;
        let (backend, order) = rest.rsplit_once('/')?;
        let order = match order {
            "drain" => BackendOrder::Drain,
            "resume" => BackendOrder::Resume,
            _ => return None,
        };
        let target = Self {
            pool: decoded(pool)?,
            backend: decoded(backend)?,
        };
        Some((target, order))
    }
}

/// Decodes a percent-encoded name (RFC 3986 section 2.1); `None` if it is empty or not UTF-8.
pub(super) fn decoded(name: &str) -> Option<String> {
    let mut parts = name.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(is_number.then(|| u8::from_str_radix(digits, 16).ok())??);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_pool_a_backend_and_an_order() {
        for (path, backend, order) in [
            ("/pools/chat/backends/a/drain", "a", BackendOrder::Drain),
            ("/pools/chat/backends/a/resume", "a", BackendOrder::Resume),
            (
                "/pools/chat/backends/drain/drain",
                "drain",
                BackendOrder::Drain,
            ),
            (
                "/pools/chat/backends/[::1]:90/drain",
                "[::1]:90",
                BackendOrder::Drain,
            ),
            (
                "/pools/chat/backends/%5B::1%5d%3A90/drain",
                "[::1]:90",
                BackendOrder::Drain,
            ),
            (
                "/pools/chat/backends/unix:/run/a/drain",
                "unix:/run/a",
                BackendOrder::Drain,
            ),
        ] {
            let target = BackendTarget {
                pool: "chat".to_owned(),
                backend: backend.to_owned(),
            };
            assert_eq!(BackendTarget::read(path), Some((target, order)), "{path}");
        }
    }

    #[test]
    fn other_paths_are_none_of_its_business() {
        for path in [
            "/pools",
            "/pools/chat",
            "/pools/chat/backends/a",
            "/pools/chat/backends/a/",
            "/pools/chat/backends/a/stop",
            "/pools/chat/backends//drain",
            "/pools//backends/a/drain",
            "/pools/chat/backends/%/drain",
            "/pools/chat/backends/%+1/drain",
            "/pools/chat/backends/%ff/drain",
            "/pools/chat/drain",
        ] {
            assert_eq!(BackendTarget::read(path), None, "{path}");
        }
    }
}
