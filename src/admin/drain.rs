//! The target of POST /drain.

use http::Uri;

use super::backend::decoded;

/// What to drain: it gets no new sessions, and those it has are asked to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DrainTarget {
    /// The whole gateway, as for a stop; the process keeps running.
    Gateway,
    /// The backends of this name, in all pools.
    Backend(String),
    /// The route of this name.
    Route(String),
}

impl DrainTarget {
    /// Reads the query: none at all, `backend=NAME` or `route=NAME`, with the name percent-encoded. `None` if it is anything
    /// else.
    pub(super) fn read(uri: &Uri) -> Option<Self> {
        let Some(query) = uri.query() else {
            return Some(Self::Gateway);
        };
        match query.split_once('=')? {
            (_, name) if name.contains('&') => None,
            ("backend", name) => decoded(name).map(Self::Backend),
            ("route", name) => decoded(name).map(Self::Route),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &'static str) -> Option<DrainTarget> {
        DrainTarget::read(&Uri::from_static(uri))
    }

    #[test]
    fn names_one_thing_or_all() {
        assert_eq!(read("/drain"), Some(DrainTarget::Gateway));
        let route = DrainTarget::Route("chat".to_owned());
        assert_eq!(read("/drain?route=chat"), Some(route));
        let backend = DrainTarget::Backend("127.0.0.1:9001".to_owned());
        for written in ["127.0.0.1:9001", "127.0.0.1%3A9001"] {
            let uri = format!("/drain?backend={written}");
            let target = DrainTarget::read(&uri.parse().unwrap());
            assert_eq!(target.as_ref(), Some(&backend), "{written}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_does_not_drain_everything() {
        for uri in [
            "/drain?",
            "/drain?rout=chat",
            "/drain?route=",
            "/drain?chat",
            "/drain?backend=a&route=all",
            "/drain?backend=a%",
            "/drain?&backend=a",
        ] {
            assert_eq!(read(uri), None, "{uri}");
        }
    }
}
