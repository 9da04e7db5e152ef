//! The rules of ARCHITECTURE.md and of the style, checked as tests.
//!
//! Every rule is a function from sources to findings. Its own file tests it on samples that break it; here it is applied to
//! the repository.

mod arrows;
mod borders;
mod documents;
mod form;
mod lexer;
mod names;
mod places;
mod secrets;
mod sources;

use sources::{Source, documents_of, repository, rust_sources};

/// A broken rule: where, and what to do about it.
type Finding = String;

fn expect_none(findings: &[Finding]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn architecture() -> String {
    sources::file("ARCHITECTURE.md").text
}

fn check_each(sources: &[Source], rule: impl Fn(&Source) -> Vec<Finding>) {
    let findings: Vec<_> = sources.iter().flat_map(rule).collect();
    expect_none(&findings);
}

#[test]
fn imports_point_down() {
    let layers = arrows::Layers::read(&architecture()).expect("the table of rooms");
    check_each(&rust_sources(&["src"]), |source| {
        arrows::check(source, &layers)
    });
}

#[test]
fn libraries_stay_in_their_rooms() {
    let borders = borders::read(&architecture()).expect("the table of libraries");
    check_each(&rust_sources(&["src"]), |source| {
        borders::check(source, &borders)
    });
}

#[test]
fn files_are_short_and_say_what_they_hold() {
    check_each(
        &rust_sources(&["src", "tests", "benches", "fuzz"]),
        form::check,
    );
}

#[test]
fn names_say_what_things_are() {
    check_each(
        &rust_sources(&["src", "tests", "benches", "fuzz"]),
        names::check,
    );
}

#[test]
fn links_in_documents_lead_somewhere() {
    let exists = |path: &std::path::Path| repository().join(path).exists();
    check_each(&documents_of(), |document| {
        documents::check(document, exists)
    });
}

#[test]
fn the_readme_shows_the_small_configuration() {
    let [readme, configuration] = ["README.md", "config/wsgate.yaml"].map(sources::file);
    expect_none(&documents::check_shown(&readme, &configuration));
}

#[test]
fn everything_is_in_its_place() {
    let committed = sources::committed();
    let findings: Vec<_> = committed
        .iter()
        .filter_map(|it| places::check(it))
        .collect();
    expect_none(&findings);
}

#[test]
fn no_private_key_is_committed() {
    check_each(&sources::tracked(), secrets::check);
}

/// Without it every release build would be the slower one, and nobody would know.
#[test]
fn the_profile_that_cargo_names_is_there() {
    let configuration = sources::file(".cargo/config.toml").text;
    let name = configuration.split("wsgate_profile=\"").nth(1);
    let name = name.and_then(|rest| rest.split('"').next());
    let path = format!("benches/profile/{}.profdata", name.expect("a name"));
    assert!(repository().join(&path).exists(), "{path}");
}
