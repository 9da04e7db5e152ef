//! `${NAME}` in the JSON Schema: whatever a value is to be, it may come from the environment, and is a string then.

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::{Value, json};

/// A text in which a variable stands.
const VARIABLE: &str = r"\$\{";

/// Lets a variable stand for each number, truth value and word; the patterns of texts let it in by themselves.
pub(in crate::config) fn take_variables(schema: &mut Schema) {
    transform_subschemas(&mut take_variables, schema);
    if let Some(words) = schema.remove("enum") {
        let either = json!([{ "enum": words }, { "type": "string", "pattern": VARIABLE }]);
        schema.insert("anyOf".to_owned(), either);
        return;
    }
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.clone(),
        Some(kind) => vec![kind.clone()],
        None => return,
    };
    if kinds
        .iter()
        .any(|kind| kind == "integer" || kind == "boolean")
    {
        let kinds: Vec<_> = kinds.into_iter().chain([json!("string")]).collect();
        schema.insert("type".to_owned(), kinds.into());
        // It holds for strings only, as bounds do for numbers.
        schema.insert("pattern".to_owned(), VARIABLE.into());
    }
}

#[cfg(test)]
mod tests {
    use schemars::json_schema;

    use super::*;

    fn taken(mut schema: Schema) -> Value {
        take_variables(&mut schema);
        schema.to_value()
    }

    #[test]
    fn numbers_truth_values_and_words_may_be_variables() {
        assert_eq!(
            taken(json_schema!({ "type": ["integer", "null"], "minimum": 1 })),
            json!({ "type": ["integer", "null", "string"], "minimum": 1, "pattern": r"\$\{" })
        );
        assert_eq!(
            taken(json_schema!({ "items": { "type": "boolean" } })),
            json!({ "items": { "type": ["boolean", "string"], "pattern": r"\$\{" } })
        );
        assert_eq!(
            taken(json_schema!({ "enum": ["json", null], "description": "The form" })),
            json!({
                "anyOf": [{ "enum": ["json", null] }, { "type": "string", "pattern": r"\$\{" }],
                "description": "The form",
            })
        );
    }

    #[test]
    fn texts_stay_as_they_are() {
        let text = json_schema!({ "type": "string", "pattern": "^[a-z]+$" });
        assert_eq!(taken(text.clone()), text.to_value());
    }
}
