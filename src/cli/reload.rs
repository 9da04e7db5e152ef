//! `wsgate reload`: asks a running gateway to reload its configuration, and prints the result.

use std::io::{self, Write};

use super::{Exit, Gateway};
use crate::admin::{ReloadReport, ask_for_reload};
use crate::config::{Admin, Environment};

/// Asks the gateway to reload, and writes a line for each change or error.
///
/// # Errors
/// When the file cannot be read, no gateway answers there, or nothing can be written.
pub async fn reload(
    gateway: Gateway,
    environment: Environment<'_>,
    output: &mut dyn Write,
) -> io::Result<Exit> {
    let admin = match (gateway.admin, gateway.config) {
        (Some(address), _) => address,
        (None, Some(file)) => {
            let admin = Admin::load(&file, environment).map_err(io::Error::other)?;
            admin.address
        }
        (None, None) => Admin::default().address,
    };
    let asked = ask_for_reload(&admin).await;
    let report =
        asked.map_err(|error| io::Error::new(error.kind(), format!("{admin}: {error}")))?;
    let (lines, summary, exit) = match report {
        ReloadReport::Taken { changes, .. } => (changes, "reloaded", Exit::Done),
        ReloadReport::Unchanged { changes } => {
            (changes, "the configuration is the same", Exit::Done)
        }
        ReloadReport::Refused { errors } => (
            errors,
            "refused: the configuration before stays in force",
            Exit::Failed,
        ),
    };
    for line in lines {
        writeln!(output, "{line}")?;
    }
    writeln!(output, "{summary}")?;
    Ok(exit)
}
