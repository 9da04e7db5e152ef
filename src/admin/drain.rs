//! What POST /drain is asked to drain.

use http::Uri;

/// What is to be drained: its sessions are asked to leave, and it gets no new ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DrainTarget<'a> {
    /// The whole gateway, as at a stop; the process stays.
    Gateway,
    /// The backends of this name, in whatever pool.
    Backend(&'a str),
    /// The route of this name.
    Route(&'a str),
}

impl<'a> DrainTarget<'a> {
    /// Reads the query: nothing, `backend=NAME` or `route=NAME`, the name as it is. None where it is
    /// anything else.
    pub(super) fn read(uri: &'a Uri) -> Option<Self> {
        let query = uri.query().unwrap_or_default();
        if query.is_empty() {
            return Some(Self::Gateway);
        }
        match query.split_once('=')? {
            (_, name) if name.is_empty() || name.contains('&') => None,
            ("backend", name) => Some(Self::Backend(name)),
            ("route", name) => Some(Self::Route(name)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &'static str) -> Option<DrainTarget<'static>> {
        let uri: &'static Uri = Box::leak(Box::new(Uri::from_static(uri)));
        DrainTarget::read(uri)
    }

    #[test]
    fn names_one_thing_or_all() {
        assert_eq!(read("/drain"), Some(DrainTarget::Gateway));
        assert_eq!(read("/drain?"), Some(DrainTarget::Gateway));
        assert_eq!(read("/drain?route=chat"), Some(DrainTarget::Route("chat")));
        let backend = DrainTarget::Backend("127.0.0.1:9001");
        assert_eq!(read("/drain?backend=127.0.0.1:9001"), Some(backend));
    }

    #[test]
    fn a_slip_of_the_pen_does_not_drain_everything() {
        for uri in [
            "/drain?rout=chat",
            "/drain?route=",
            "/drain?chat",
            "/drain?backend=a&route=all",
            "/drain?&backend=a",
        ] {
            assert_eq!(read(uri), None, "{uri}");
        }
    }
}
