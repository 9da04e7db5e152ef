//! `wsgate check`: all problems of a configuration and of the certificates it names.

use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use super::Exit;
use crate::config::{Environment, Written};
use crate::tls::{self, Tickets};

/// Reads the configuration at `path` and writes a line for every problem, or one that says that it is valid.
///
/// # Errors
/// When the output cannot be written.
pub fn check(
    path: &Path,
    environment: Environment<'_>,
    output: &mut dyn Write,
) -> io::Result<Exit> {
    let written = match Written::load(path, environment) {
        Ok(written) => written,
        Err(problems) => {
            writeln!(output, "{problems}")?;
            return Ok(Exit::Failed);
        }
    };
    let config = &written.config;
    for warning in config.warnings() {
        writeln!(output, "warning: {warning}")?;
    }
    let is_sound = check_certificates(&written, output)?;
    if !is_sound {
        return Ok(Exit::Failed);
    }
    let (listeners, routes, pools) = (
        config.listeners.len(),
        config.routes.len(),
        config.pools.len(),
    );
    writeln!(
        output,
        "{}: valid (listeners: {listeners}, routes: {routes}, pools: {pools})",
        path.display()
    )?;
    Ok(Exit::Done)
}

/// Whether the certificates and keys of all listeners and pools can be used; expired ones can.
fn check_certificates(written: &Written, output: &mut dyn Write) -> io::Result<bool> {
    let tickets = Tickets::default();
    match tls::material(&written.config, &tickets) {
        Ok(material) => {
            for warning in material.warnings(SystemTime::now()) {
                writeln!(output, "warning: {warning}")?;
            }
            Ok(true)
        }
        Err(errors) => {
            writeln!(output, "{}", written.problems(tls::problems(&errors)))?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    fn written(folder: &TempDir, text: &str) -> (Exit, String) {
        let path: PathBuf = folder.path().join("wsgate.yaml");
        std::fs::write(&path, text).unwrap();
        let mut output = Vec::new();
        let exit = check(&path, &|_| None, &mut output).unwrap();
        (exit, String::from_utf8(output).unwrap())
    }

    #[test]
    fn says_that_a_sound_configuration_is_sound() {
        let text = include_str!("../../config/wsgate.yaml");
        let (exit, output) = written(&tempfile::tempdir().unwrap(), text);
        assert_eq!(exit, Exit::Done, "{output}");
        assert!(
            output.ends_with("valid (listeners: 1, routes: 1, pools: 1)\n"),
            "{output}"
        );
    }

    #[test]
    fn prints_what_is_wrong_with_the_file() {
        let text = include_str!("../../config/wsgate.yaml").replace("backends:", "backend:");
        let (exit, output) = written(&tempfile::tempdir().unwrap(), &text);
        assert_eq!(exit, Exit::Failed);
        assert!(output.contains("did you mean `backends`?"), "{output}");
    }

    #[test]
    fn warns_of_what_is_sound_and_may_surprise() {
        let text = include_str!("../../config/wsgate.yaml")
            .replace("    backends:", "    sticky: {}\n    backends:");
        let (exit, output) = written(&tempfile::tempdir().unwrap(), &text);
        assert_eq!(exit, Exit::Done, "{output}");
        let lines: Vec<&str> = output.lines().collect();
        assert!(lines[0].starts_with("warning: pools."), "{output}");
        assert!(lines[0].contains("do not survive a restart"), "{output}");
        assert_eq!(lines.len(), 2, "{output}");
    }

    #[test]
    fn prints_what_is_wrong_with_every_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let tls = "127.0.0.1:8443\n    tls:\n      certificates:\n        \
            - { certificate: a.crt, key: a.key }\n        - { certificate: b.crt, key: a.key }";
        let text = include_str!("../../config/wsgate.yaml")
            .replace("127.0.0.1:8080\n", &format!("{tls}\n"));
        let (exit, output) = written(&folder, &text);
        assert_eq!(exit, Exit::Failed);
        let told = output.replace(&format!("{}/", folder.path().display()), "");
        let told: Vec<_> = told
            .lines()
            .filter_map(|line| line.split_once(": cannot be read"))
            .map(|(begin, _)| begin)
            .collect();
        let key = "listeners.public.tls.certificates";
        assert_eq!(
            told,
            [
                format!("wsgate.yaml:9:26: {key}[0].certificate: a.crt"),
                format!("wsgate.yaml:9:38: {key}[0].key: a.key"),
                format!("wsgate.yaml:10:26: {key}[1].certificate: b.crt"),
                format!("wsgate.yaml:10:38: {key}[1].key: a.key"),
            ]
        );
    }
}
