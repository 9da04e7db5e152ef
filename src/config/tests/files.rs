//! The files of `config/`, as an operator finds them.

use std::path::{Path, PathBuf};

use crate::config::Config;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn load(name: &str) -> Config {
    let loaded = Config::load(&directory().join(name), &|_| None);
    loaded.unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_small_file_is_sound() {
    let config = load("wsgate.yaml");
    assert_eq!(config.pools["chat"].backends.len(), 2);
}
