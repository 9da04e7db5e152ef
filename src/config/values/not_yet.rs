//! Keys that have a name already, for what wsgate does not do yet.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::reading::{At, FromNode, Reader};

/// Whatever stands behind such a key; null alone is none.
#[derive(Debug)]
pub(in crate::config) struct NotYet;

impl FromNode for NotYet {
    fn read(_: &At<'_>, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self)
    }
}

impl JsonSchema for NotYet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NotYet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "null" })
    }
}
