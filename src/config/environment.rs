//! `${NAME}` in values: taken from the environment; `$${` stands for `${`.

use std::ffi::OsString;

use super::tree::quote;

/// Where the values of variables come from; the environment of the process is read in `main` only.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// Replaces each `${NAME}` by its value; `None` if the text contains none.
pub(super) fn expand(text: &str, environment: Environment<'_>) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(literal) = before.strip_suffix('$') {
            expanded.push_str(literal);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').ok_or("`${` has no `}` after it")?;
        expanded.push_str(before);
        expanded.push_str(&look_up(name, environment)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn look_up(name: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut characters = name.chars();
    let begins_well = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !begins_well || !characters.all(|next| next.is_ascii_alphanumeric() || next == '_') {
        return Err("`${…}` must hold a name of letters, digits and `_`".to_owned());
    }
    let variable = || quote(&format!("${{{name}}}"));
    environment(name)
        .ok_or_else(|| format!("{} is not set in the environment", variable()))?
        .into_string()
        .map_err(|_value| format!("{} is not UTF-8 in the environment", variable()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn expanded(text: &str) -> Result<Option<String>, String> {
        expand(text, &|name| match name {
            "NAME" => Some("value".into()),
            "LATIN" => Some(OsString::from_vec(b"caf\xe9".to_vec())),
            _ => None,
        })
    }

    #[test]
    fn names_give_way_to_their_values() {
        assert_eq!(expanded("plain $NAME }"), Ok(None));
        assert_eq!(expanded("${NAME}"), Ok(Some("value".to_owned())));
        assert_eq!(
            expanded("a ${NAME}${NAME} b"),
            Ok(Some("a valuevalue b".to_owned()))
        );
    }

    #[test]
    fn a_second_dollar_keeps_the_text() {
        assert_eq!(
            expanded("$${NAME} ${NAME}"),
            Ok(Some("${NAME} value".to_owned()))
        );
        assert_eq!(expanded("$${"), Ok(Some("${".to_owned())));
    }

    #[test]
    fn what_is_no_name_is_told() {
        assert_eq!(
            expanded("${OTHER}"),
            Err("`${OTHER}` is not set in the environment".to_owned())
        );
        assert_eq!(
            expanded("${LATIN}"),
            Err("`${LATIN}` is not UTF-8 in the environment".to_owned())
        );
        assert_eq!(
            expanded("${NAME"),
            Err("`${` has no `}` after it".to_owned())
        );
        for text in ["${}", "${1}", "${A B}", "${${NAME}}", "${\u{e9}}"] {
            assert!(
                expanded(text).is_err_and(|message| message.contains("letters")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        let value = expand("${A}", &|_| Some("${B}".into()));
        assert_eq!(value, Ok(Some("${B}".to_owned())));
    }
}
