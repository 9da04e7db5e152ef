//! The files of the repository as the rules see them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lexer;

/// A file, by its path from the root of the repository.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The text without comments and literals, every character at its place.
    pub(crate) fn code(&self) -> String {
        lexer::blank(&self.text)
    }

    /// The path below `src`, without the extension: `tls/pem`; `tls/mod.rs` is `tls`.
    pub(crate) fn module(&self) -> Option<&str> {
        let module = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        Some(module.strip_suffix("/mod").unwrap_or(module))
    }

    /// Where something was found, as `file:line`.
    pub(crate) fn place(&self, offset: usize) -> String {
        format!(
            "{}:{}",
            self.path,
            self.text[..offset].matches('\n').count() + 1
        )
    }
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file that must be there.
pub(crate) fn file(path: &str) -> Source {
    let text = std::fs::read_to_string(repository().join(path));
    Source::new(
        path,
        &text.unwrap_or_else(|error| panic!("{path}: {error}")),
    )
}

/// Every Rust file below these folders; missing folders have none.
pub(crate) fn rust_sources(folders: &[&str]) -> Vec<Source> {
    let folders = folders.iter().map(|folder| repository().join(folder));
    let files: Vec<_> = folders.flat_map(|folder| files_below(&folder)).collect();
    let sources: Vec<_> = read(files.into_iter().filter(|path| ends_in(path, "rs")));
    assert!(!sources.is_empty(), "no Rust file was found");
    sources
}

/// The documents at the root and under docs.
pub(crate) fn documents_of() -> Vec<Source> {
    let root = std::fs::read_dir(repository()).expect("the repository can be listed");
    let root = root.map(|entry| entry.expect("an entry of the repository").path());
    let files: Vec<_> = root
        .chain(files_below(&repository().join("docs")))
        .collect();
    let documents = read(
        files
            .into_iter()
            .filter(|path| path.is_file() && ends_in(path, "md")),
    );
    assert!(!documents.is_empty(), "no document was found");
    documents
}

/// Every text file that is, or is about to be, committed. Outside of a clone: every file but local certificates.
pub(crate) fn tracked() -> Vec<Source> {
    let files: Vec<PathBuf> = match listed(&["--cached", "--others", "--exclude-standard"]) {
        Some(names) => names.iter().map(|name| repository().join(name)).collect(),
        None => files_below(repository())
            .into_iter()
            .filter(|path| !path.starts_with(repository().join("certs")))
            .collect(),
    };
    read(files.into_iter())
}

/// The paths of all files that are committed, or were added to be. Outside of a clone: none.
pub(crate) fn committed() -> Vec<String> {
    listed(&["--cached"]).unwrap_or_default()
}

/// The paths that `git ls-files` lists with these options; `None` outside of a clone.
fn listed(which: &[&str]) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z"]).args(which);
    let listing = git.current_dir(repository()).output().ok()?;
    if !listing.status.success() {
        return None;
    }
    let names = String::from_utf8(listing.stdout).expect("file names are UTF-8");
    let names = names.split('\0').filter(|name| !name.is_empty());
    Some(names.map(str::to_owned).collect())
}

fn ends_in(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// Files that are not UTF-8 are left out.
fn read(paths: impl Iterator<Item = PathBuf>) -> Vec<Source> {
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        let path = path.strip_prefix(repository()).unwrap_or(&path);
        Some(Source::new(&path.display().to_string(), &text))
    };
    paths.filter_map(source).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    const NOT_OURS: [&str; 4] = ["target", "node_modules", ".git", "__pycache__"];
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        let is_ours = !NOT_OURS.iter().any(|name| path.ends_with(name));
        match path.is_dir() {
            true if is_ours => files.extend(files_below(&path)),
            true => {}
            false => files.push(path),
        }
    }
    files.sort();
    files
}
