//! What a file says for a key: nothing, something wrong, or a value and its place.

use std::time::Duration;

use crate::config::problems::{Findings, Place};

/// A value and its place.
#[derive(Clone, Debug)]
pub(in crate::config) struct Placed<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) place: Place,
}

impl<T> Placed<T> {
    /// The values of a list, whose places need not be known any more.
    pub(in crate::config) fn values(list: Vec<Self>) -> Vec<T> {
        list.into_iter().map(|placed| placed.value).collect()
    }
}

/// What the file says for a key.
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
    /// The value with its place, where it is given and sound.
    pub(in crate::config) fn given(&self) -> Option<&Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// Where it is given, if it is sound.
    pub(in crate::config) fn place(&self) -> Option<&Place> {
        self.given().map(|placed| &placed.place)
    }

    /// The value with its place, where it is given and sound.
    pub(in crate::config) fn placed(self) -> Option<Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The value, or what holds where the file says nothing; `None` where it says something wrong.
    pub(in crate::config) fn sound(self, default: impl FnOnce() -> T) -> Option<T> {
        match self {
            Self::Given(placed) => Some(placed.value),
            Self::Absent => Some(default()),
            Self::Invalid => None,
        }
    }

    /// The value, where it is given and sound.
    pub(in crate::config) fn value(self) -> Option<T> {
        self.placed().map(|placed| placed.value)
    }

    /// The value, or what holds where the file says nothing.
    pub(in crate::config) fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    /// This setting, or the other where the file says nothing here.
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

    /// The value with its place, noting a problem at the holder where the file says nothing.
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
    /// The duration, or so many seconds where the file says nothing.
    pub(in crate::config) fn or_seconds(self, default: u64) -> Duration {
        self.or(Duration::from_secs(default))
    }
}

impl<T: Default> Setting<T> {
    /// The value, or an empty one.
    pub(in crate::config) fn or_default(self) -> T {
        self.value().unwrap_or_default()
    }
}
