//! Reading a configuration file, and turning its text into a `Config`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::model::{Admin, Config, NamedFile};
use super::problems::{Findings, Position, Problems};
use super::reading::{At, FromNode, Keys, Reader};
use super::resolve;
use super::tree::Node;
use super::{schema, yaml};

/// The largest configuration file, in bytes. `yaml` bounds what it may contain.
const LARGEST: usize = 4 << 20;

/// A configuration with the text that it was read from, to find the lines of its keys.
pub struct Written {
    /// The configuration.
    pub config: Config,
    name: String,
    text: String,
}

impl Written {
    /// Reads a file.
    ///
    /// # Errors
    /// All problems of the file, each with its place.
    pub fn load(path: &Path, environment: Environment<'_>) -> Result<Self, Problems> {
        let (name, directory, text) = read(path)?;
        Ok(Self {
            config: Config::parse(&text, &name, &directory, environment)?,
            name,
            text,
        })
    }

    /// Problems of files that the configuration names, each at the place where it names the file.
    #[must_use]
    pub fn problems<'f>(
        &self,
        found: impl IntoIterator<Item = (&'f NamedFile, String)>,
    ) -> Problems {
        let mut findings = Findings::default();
        for (file, message) in found {
            findings.add(&file.place, message);
        }
        findings.locate(&self.name, &self.text)
    }
}

impl Config {
    /// Reads the text of a file; `source_name` is what problems call it, and relative paths begin at
    /// `base_directory`.
    ///
    /// # Errors
    /// All problems of the text, each with its place.
    pub fn parse(
        text: &str,
        source_name: &str,
        base_directory: &Path,
        environment: Environment<'_>,
    ) -> Result<Self, Problems> {
        let root = root(text, source_name)?;
        let mut reader = Reader::new(base_directory, environment);
        let file = schema::File::read(&At::root(&root), &mut reader);
        let mut findings = reader.findings;
        let config = file.and_then(|file| resolve::file(file, &mut findings));
        match config {
            Some(config) if findings.is_empty() => Ok(config),
            _ => Err(findings.locate(source_name, text)),
        }
    }
}

impl Admin {
    /// Reads the settings of the admin side from a file; problems elsewhere in it do not matter.
    ///
    /// # Errors
    /// Problems of these settings, or why the file cannot be read.
    pub fn load(path: &Path, environment: Environment<'_>) -> Result<Self, Problems> {
        let (name, directory, text) = read(path)?;
        let root = root(&text, &name)?;
        let mut reader = Reader::new(&directory, environment);
        let keys = Keys::open(&At::root(&root), &mut reader);
        let admin = keys.map(|mut keys| keys.take::<schema::Admin>("admin", &mut reader));
        match admin {
            Some(admin) if reader.findings.is_empty() => Ok(resolve::admin(admin.or_default())),
            _ => Err(reader.findings.locate(&name, &text)),
        }
    }
}

/// The tree of a text that is not empty.
fn root(text: &str, source_name: &str) -> Result<Node, Problems> {
    let whole = |position, message| Problems::whole(source_name, position, message);
    if text.len() > LARGEST {
        return Err(whole(None, too_large()));
    }
    let root = yaml::parse(text).map_err(|fault| whole(fault.position, fault.message))?;
    if root.is_null() {
        let message = "is empty: `listeners` and `routes` are needed at least".to_owned();
        return Err(whole(None, message));
    }
    Ok(root)
}

fn too_large() -> String {
    format!("is larger than {} MiB", LARGEST >> 20)
}

/// The name of a file in problems, its directory and its text.
fn read(path: &Path) -> Result<(String, PathBuf, String), Problems> {
    let name = path.display().to_string();
    let whole = |position, message| Problems::whole(&name, position, message);
    let bytes = read_bytes(path).map_err(|message| whole(None, message))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let position = end_of(&String::from_utf8_lossy(sound));
        whole(Some(position), "is not UTF-8 from here on".to_owned())
    })?;
    let absolute = std::path::absolute(path).map_err(|error| {
        let message = format!("its directory cannot be determined: {error}");
        whole(None, message)
    })?;
    let directory = absolute.parent().unwrap_or(&absolute).to_owned();
    Ok((name, directory, text))
}

/// The bytes of a file.
fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    match not_a_file(path).map_err(cannot)? {
        // `/dev/stdin` usually is one.
        None | Some(PIPE) => {}
        Some(other) => return Err(format!("is {other}, not a file")),
    }
    let bytes = read_at_most(path, LARGEST).map_err(cannot)?;
    bytes.ok_or_else(too_large)
}

/// The bytes of a file; `None` if it has more than `most`.
///
/// # Errors
/// When it cannot be read.
pub fn read_at_most(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // One more, to know that it is too large.
    let mut file = File::open(path)?.take(most as u64 + 1);
    file.read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}

const PIPE: &str = "a pipe";

/// What is at `path` if it is not a regular file: reading it, or even opening it, could block forever.
///
/// # Errors
/// When the system cannot tell.
pub fn not_a_file(path: &Path) -> io::Result<Option<&'static str>> {
    let kind = fs::metadata(path)?.file_type();
    Ok(if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some(PIPE)
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    })
}

/// The position after the end of a text.
fn end_of(text: &str) -> Position {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position {
        line: text.matches('\n').count() + 1,
        column: last.chars().count() + 1,
    }
}
