//! Keys that have a name already, for what wsgate does not do yet.

use serde_json::Value;

use crate::config::reading::{At, Definitions, FromNode, Reader};

/// Whatever stands behind such a key; null alone is none.
pub(in crate::config) enum NotYet {}

impl FromNode for NotYet {
    type Value = ();

    fn read(_: &At<'_>, _: &mut Reader<'_>) -> Option<()> {
        Some(())
    }

    fn forms(_: &mut Definitions) -> Vec<Value> {
        Vec::new()
    }
}
