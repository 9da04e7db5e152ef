//! Keys that have a name already, for what wsgate does not do yet.

use serde_json::Value;

use crate::config::reading::{At, Definitions, FromNode, Reader};

/// Whatever stands behind such a key; null alone is none.
#[derive(Debug)]
pub(in crate::config) struct NotYet;

impl FromNode for NotYet {
    fn read(_: &At<'_>, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self)
    }

    fn forms(_: &mut Definitions) -> Vec<Value> {
        Vec::new()
    }
}
