//! What holds for every text: nothing panics, and what is written out is read back.

use proptest::collection::vec;
use proptest::prelude::*;

use super::parse;
use super::written::{any_config, write};
use crate::config::{HostPattern, Origin, OriginPattern, json_schema};

const REFERENCE: &str = include_str!("../../../config/reference.yaml");

/// Reads a text; without a configuration there must be problems, each with a place in the file.
fn check(text: &str) -> Result<(), TestCaseError> {
    let Err(problems) = parse(text) else {
        return Ok(());
    };
    prop_assert!(problems.count() > 0);
    for problem in &problems {
        let line = problem.position.map_or(0, |position| position.line);
        prop_assert!(line <= text.lines().count() + 1, "{problem}");
    }
    Ok(())
}

/// Pieces that mean something to YAML or to us.
fn any_piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[-:{}\\[\\],&*!|>'\"%@`#?~ \n\t]{1,3}",
        "[a-z]{1,8}",
        "[0-9]{1,6}(ms|s|h|KiB)?",
        Just("null".to_owned()),
        Just("${PORT}".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        "\\PC{1,3}",
    ]
}

/// The reference with a few pieces removed or inserted.
fn any_damage() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..12_usize, any_piece());
    vec(change, 1..4).prop_map(|changes| {
        let mut characters: Vec<char> = REFERENCE.chars().collect();
        for (index, removed, added) in changes {
            let start = index.index(characters.len());
            let end = (start + removed).min(characters.len());
            characters.splice(start..end, added.chars());
        }
        characters.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        check(&text)?;
    }

    #[test]
    fn no_pieces_of_yaml_panic(pieces in vec(any_piece(), 0..60)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn no_damaged_file_panics(text in any_damage()) {
        check(&text)?;
    }

    #[test]
    fn what_is_written_is_read_back(config in any_config()) {
        let text = write(&config).to_string();
        let read = parse(&text).map_err(|problems| TestCaseError::fail(format!("{problems}\n{text}")))?;
        prop_assert_eq!(read, config);
    }

    #[test]
    fn an_origin_is_read_back_and_matches_itself(
        origin in "(https?|wss?|app|chrome-extension)://[a-zA-Z_-][a-zA-Z0-9_-]{0,8}(\\.[a-z]{1,5}){0,3}(:[1-9][0-9]{0,3})?",
    ) {
        let read = Origin::parse(&origin).expect("an origin");
        prop_assert_eq!(Origin::parse(&read.to_string()), Ok(read.clone()));
        prop_assert_eq!(Origin::parse(&origin.to_ascii_uppercase()), Ok(read.clone()));
        let pattern = OriginPattern::parse(&origin).expect("a pattern");
        prop_assert!(pattern.matches(&read));
        prop_assert_eq!(OriginPattern::parse(&pattern.to_string()), Ok(pattern));
    }

    #[test]
    fn no_text_that_is_an_origin_has_more_in_it(text in "(https://)?[a-z.:@/\\[\\]0-9*# ]{0,20}") {
        if let Ok(origin) = Origin::parse(&text) {
            prop_assert!(!text.contains(['@', '#', '*', ' ']));
            prop_assert_eq!(text.matches('/').count(), 2);
            prop_assert_eq!(Origin::parse(&origin.to_string()), Ok(origin));
        }
    }

    #[test]
    fn a_wildcard_matches_what_ends_in_it(labels in "([a-z]{1,5}\\.){0,3}", suffix in "[a-z]{1,5}\\.[a-z]{1,5}") {
        let pattern = HostPattern::parse(&format!("*.{suffix}")).expect("a pattern");
        prop_assert_eq!(pattern.matches(&format!("{labels}{suffix}")), !labels.is_empty());
        let (other, alike) = (format!("{labels}x{suffix}"), format!("{labels}{suffix}.x1"));
        prop_assert!(!pattern.matches(&other) && !pattern.matches(&alike));
    }
}

#[test]
fn the_schema_is_sound_json_and_describes_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    let definitions = schema["$defs"].as_object().expect("definitions").values();
    for definition in definitions.chain([&schema]) {
        for (key, value) in definition["properties"].as_object().into_iter().flatten() {
            assert!(value["description"].is_string(), "{key}");
        }
    }
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["$defs"]["Route"]["properties"]["match"].is_object());
}
