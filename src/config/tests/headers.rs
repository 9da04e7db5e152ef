//! What is said of fields: inheritance, and what cannot be said.

use super::{SOUND, sound};
use crate::config::FieldRules;

/// What the sound text says of fields with these `headers` in `defaults` and in the route.
fn towards_backend(inherited: &str, own: &str) -> FieldRules {
    let text = SOUND.replacen("    pool:", &format!("    headers: {own}\n    pool:"), 1);
    let config = sound(&format!("defaults: {{ headers: {inherited} }}\n{text}"));
    let target = config.routes["chat"].target.pool().expect("a pool");
    target.headers.fields.clone()
}

/// Names and values that are set, and names that are taken out.
fn written(rules: &FieldRules) -> (String, String) {
    let set = rules.set.iter().map(|(name, value)| {
        let value = value.to_str().expect("visible ASCII");
        format!("{name}: {value}")
    });
    let removed: Vec<_> = rules.remove.iter().map(|name| name.as_str()).collect();
    (set.collect::<Vec<_>>().join(", "), removed.join(", "))
}

#[test]
fn fields_are_inherited_one_by_one() {
    let inherited = "{ set: { X-A: 1a, X-B: 1b, X-C: 1c }, remove: [X-D] }";
    for (own, set, removed) in [
        ("{}", "x-a: 1a, x-b: 1b, x-c: 1c", "x-d"),
        (
            "{ set: { x-b: 2b, X-D: 2d } }",
            "x-a: 1a, x-c: 1c, x-b: 2b, x-d: 2d",
            "x-d",
        ),
        ("{ remove: [x-b, X-E] }", "x-a: 1a, x-c: 1c", "x-b, x-e"),
        (
            "{ set: { X-B: 2b }, remove: [X-B] }",
            "x-a: 1a, x-c: 1c, x-b: 2b",
            "x-b",
        ),
        ("{ remove: [] }", "x-a: 1a, x-b: 1b, x-c: 1c", ""),
    ] {
        let rules = towards_backend(inherited, own);
        assert_eq!(written(&rules), (set.into(), removed.into()), "{own}");
    }
}
