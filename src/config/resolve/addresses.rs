//! Checks that no two addresses to listen at collide.

use crate::config::model::{Address, Admin};
use crate::config::problems::{Findings, Place};
use crate::config::reading::Setting;
use crate::config::schema;

/// Notes addresses that cannot both be listened at.
pub(super) fn check(file: &schema::File, findings: &mut Findings) {
    let mut bound: Vec<(Place, Address)> = Vec::new();
    for (place, address) in all(file) {
        if let Some((other, _)) = bound.iter().find(|(_, other)| other.collides(&address)) {
            let holder = if other.path.is_empty() {
                "admin.address (by default)"
            } else {
                &other.path
            };
            findings.add(&place, format!("{holder} listens there already"));
        }
        bound.push((place, address));
    }
}

fn all(file: &schema::File) -> Vec<(Place, Address)> {
    let admin = match &file.admin {
        Setting::Absent => &Setting::Absent,
        Setting::Invalid => &Setting::Invalid,
        Setting::Given(admin) => &admin.value.address,
    };
    let admin = match admin {
        Setting::Absent => Some((Place::default(), Admin::default().address)),
        given => placed(given),
    };
    let entries = file
        .listeners
        .given()
        .into_iter()
        .flat_map(|named| &named.value.0);
    let listeners = entries.filter_map(|entry| placed(&entry.value.as_ref()?.address));
    admin.into_iter().chain(listeners).collect()
}

fn placed(setting: &Setting<Address>) -> Option<(Place, Address)> {
    let given = setting.given()?;
    Some((given.place.clone(), given.value.clone()))
}
