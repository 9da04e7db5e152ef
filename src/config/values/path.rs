//! Paths of files and of sockets.

use std::path::{Path, PathBuf};

use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::quote;

/// The path of a file.
pub(in crate::config) enum FilePath {}

impl FromText for FilePath {
    type Value = PathBuf;

    const WANTED: &'static str = "the path of a file";

    fn from_text(text: &str) -> Result<PathBuf, Complaint> {
        if text.is_empty() || text.contains('\0') {
            return Err("the path is empty or holds a zero byte".into());
        }
        Ok(text.into())
    }

    fn below(directory: &Path, path: PathBuf) -> Result<PathBuf, Complaint> {
        Ok(directory.join(path))
    }
}

/// The absolute path of a unix socket.
pub(super) fn socket_path(directory: &Path, path: &Path) -> Result<PathBuf, Complaint> {
    /// `sun_path` of unix(7), without the zero at its end.
    const LONGEST: usize = 107;
    let path = directory.join(path);
    if path.as_os_str().len() > LONGEST {
        let path = quote(&path.display().to_string());
        return Err(format!("{path} is longer than the {LONGEST} bytes of a socket's path").into());
    }
    Ok(path)
}
