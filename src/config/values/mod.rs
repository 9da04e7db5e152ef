//! Kinds of single values: how each is written, and what it is read as.

pub(super) mod address;
pub(super) mod backend;
pub(super) mod check;
pub(super) mod choice;
pub(super) mod close_code;
pub(super) mod duration;
pub(super) mod field;
pub(super) mod name;
pub(super) mod network;
pub(super) mod not_yet;
pub(super) mod number;
pub(super) mod or_none;
pub(super) mod path;
pub(super) mod pattern;
pub(super) mod percent;
pub(super) mod size;
pub(super) mod text;
pub(super) mod token;
pub(super) mod transport;

pub(super) use backend::BackendUrl;
pub(super) use check::{CheckPath, HostField, Statuses};
pub(super) use choice::Scheme;
pub(super) use close_code::CloseCode;
pub(super) use duration::Timeout;
pub(super) use field::Destination;
pub(super) use name::GivenName;
pub(super) use network::TrustedProxy;
pub(super) use not_yet::NotYet;
pub(super) use number::{Whole, Workers};
pub(super) use or_none::OrNone;
pub(super) use path::FilePath;
pub(super) use pattern::PathText;
pub(super) use percent::{Percent, Rate, Surplus};
pub(super) use size::Size;
pub(super) use token::{CookieName, QueryName};
pub(super) use transport::{DnsName, LocalAddress, NameServer};
