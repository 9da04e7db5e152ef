//! Reserved keys of features that do not exist yet.

use serde_json::Value;

use crate::config::reading::{At, Definitions, FromNode, Reader};

/// Any value but null, which counts as no key; `resolve` says that the feature does not exist.
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
