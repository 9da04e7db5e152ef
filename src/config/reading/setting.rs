//! The setting of a key: absent, invalid, or a value and its place.

use std::time::Duration;

use crate::config::problems::{Findings, Place};

/// A value and its place.
#[derive(Clone, Debug)]
pub(in crate::config) struct Placed<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) place: Place,
}

impl<T> Placed<T> {
    /// The values of a list without their places.
    pub(in crate::config) fn values(list: Vec<Self>) -> Vec<T> {
        list.into_iter().map(|placed| placed.value).collect()
    }
}

/// What the file has for a key.
#[derive(Default, Debug)]
pub(in crate::config) enum Setting<T> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// Something that is wrong and has been noted.
    Invalid,
    /// This.
    Given(Placed<T>),
}

impl<T> Setting<T> {
    /// The value with its place, if it is given and valid.
    pub(in crate::config) fn given(&self) -> Option<&Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The place of a value that is given and valid.
    pub(in crate::config) fn place(&self) -> Option<&Place> {
        self.given().map(|placed| &placed.place)
    }

    /// As [`Setting::given`], by value.
    pub(in crate::config) fn placed(self) -> Option<Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The value, or the default if absent; `None` if invalid.
    pub(in crate::config) fn unless_invalid(self, default: impl FnOnce() -> T) -> Option<T> {
        match self {
            Self::Given(placed) => Some(placed.value),
            Self::Absent => Some(default()),
            Self::Invalid => None,
        }
    }

    /// The value, if it is given and valid.
    pub(in crate::config) fn value(self) -> Option<T> {
        self.placed().map(|placed| placed.value)
    }

    /// The value, or the default if absent or invalid.
    pub(in crate::config) fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    /// This setting, or the inherited one if absent.
    pub(in crate::config) fn or_inherit(self, inherited: &Self) -> Self
    where
        T: Clone,
    {
        match (self, inherited) {
            (Self::Absent, Self::Given(placed)) => Self::Given(placed.clone()),
            (Self::Absent, Self::Invalid) => Self::Invalid,
            (own, _) => own,
        }
    }

    /// The value with its place; notes a missing key at the holder if absent.
    pub(in crate::config) fn require(
        self,
        key: &str,
        holder: &Place,
        findings: &mut Findings,
    ) -> Option<Placed<T>> {
        if matches!(self, Self::Absent) {
            findings.add(holder, format!("the key `{key}` is missing"));
        }
        self.placed()
    }
}

impl Setting<Duration> {
    /// The duration, or `default` seconds if absent or invalid.
    pub(in crate::config) fn or_seconds(self, default: u64) -> Duration {
        self.or(Duration::from_secs(default))
    }
}

impl<T: Default> Setting<T> {
    /// The value, or an empty one if absent or invalid.
    pub(in crate::config) fn or_default(self) -> T {
        self.value().unwrap_or_default()
    }
}
