//! Addresses to listen at, and that no two of them are in each other's way.

use std::path::Path;

use super::Context;
use crate::config::model::{Address, Admin};
use crate::config::problems::Place;
use crate::config::reading::Setting;
use crate::config::schema;
use crate::config::values::ListenAddress;

/// An address whose path begins at the root.
pub(super) fn absolute(address: ListenAddress, context: &Context<'_>) -> Address {
    match address {
        ListenAddress::Tcp(address) => Address::Tcp(address),
        ListenAddress::Unix(path) => Address::Unix(context.absolute(&path)),
    }
}

/// Notes paths of sockets that are too long, and addresses that cannot both be listened at.
pub(super) fn check(file: &schema::File, context: &mut Context<'_>) {
    let mut bound: Vec<(Place, Address)> = Vec::new();
    for (place, address) in all(file, context) {
        if let Address::Unix(path) = &address {
            check_length(&place, path, context);
        }
        if let Some((other, _)) = bound.iter().find(|(_, other)| other.collides(&address)) {
            let holder = if other.path.is_empty() {
                "admin.address (by default)"
            } else {
                &other.path
            };
            context
                .findings
                .add(&place, format!("{holder} listens there already"));
        }
        bound.push((place, address));
    }
}

fn all(file: &schema::File, context: &Context<'_>) -> Vec<(Place, Address)> {
    let admin = file
        .admin
        .given()
        .map_or(&Setting::Absent, |admin| &admin.value.address);
    let admin = match admin {
        Setting::Absent => Some((Place::default(), Admin::default().address)),
        given => placed(given, context),
    };
    let entries = file
        .listeners
        .given()
        .into_iter()
        .flat_map(|named| &named.value.0);
    let listeners = entries.filter_map(|entry| placed(&entry.value.as_ref()?.address, context));
    admin.into_iter().chain(listeners).collect()
}

fn placed(setting: &Setting<ListenAddress>, context: &Context<'_>) -> Option<(Place, Address)> {
    let given = setting.given()?;
    Some((given.place.clone(), absolute(given.value.clone(), context)))
}

/// Notes the path of a socket that is too long.
pub(super) fn check_length(place: &Place, path: &Path, context: &mut Context<'_>) {
    /// `sun_path` of unix(7), without the zero at its end.
    const LONGEST: usize = 107;
    if path.as_os_str().len() > LONGEST {
        let message = format!(
            "{} is longer than the {LONGEST} bytes of a socket's path",
            path.display()
        );
        context.findings.add(place, message);
    }
}
