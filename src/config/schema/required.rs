//! `required` in the JSON Schema: what is said of a key that must be there, said to the editor as well.

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::Value;

/// With this the description of a key begins that must be there. Where another one may take its place, the map lists them
/// as `anyOf`.
const REQUIRED: &str = "Required.";

/// Lists the required keys of each map.
pub(in crate::config) fn require_keys(schema: &mut Schema) {
    transform_subschemas(&mut require_keys, schema);
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return;
    };
    let is_required = |property: &Value| {
        let description = property["description"].as_str();
        description.is_some_and(|text| text.starts_with(REQUIRED))
    };
    let required = properties.iter().filter(|(_, it)| is_required(it));
    let required: Vec<Value> = required.map(|(key, _)| key.as_str().into()).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
}
