//! `wsgate check`: everything that is wrong with a configuration and the files it names.

use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use super::Exit;
use crate::config::{Config, Environment};
use crate::tls::{self, Tickets};

/// Reads the configuration at `path` and writes a line for every problem, or one that says all is well.
///
/// # Errors
/// When nothing can be written.
pub fn check(
    path: &Path,
    environment: Environment<'_>,
    output: &mut dyn Write,
) -> io::Result<Exit> {
    let config = match Config::load(path, environment) {
        Ok(config) => config,
        Err(problems) => {
            writeln!(output, "{problems}")?;
            return Ok(Exit::Failed);
        }
    };
    for warning in config.warnings() {
        writeln!(output, "warning: {warning}")?;
    }
    let is_sound = check_certificates(&config, output)?;
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
        "{}: sound (listeners: {listeners}, routes: {routes}, pools: {pools})",
        path.display()
    )?;
    Ok(Exit::Done)
}

/// Whether the certificates and keys of all listeners and pools can be used. An expired one can.
fn check_certificates(config: &Config, output: &mut dyn Write) -> io::Result<bool> {
    let tickets = Tickets::new().map_err(io::Error::other)?;
    match tls::material(config, &tickets) {
        Ok(material) => {
            for (name, server) in &material.listeners {
                warn_of_expired(name, server, output)?;
            }
            Ok(true)
        }
        Err(errors) => {
            for (key, error) in errors {
                writeln!(output, "{key}: {error}")?;
            }
            Ok(false)
        }
    }
}

fn warn_of_expired(
    listener: &str,
    server: &tls::ServerTls,
    output: &mut dyn Write,
) -> io::Result<()> {
    let now = SystemTime::now();
    for certificate in server.certificates.iter().filter(|one| one.is_expired(now)) {
        let name = &certificate.name;
        writeln!(
            output,
            "warning: the certificate {name} has expired (listener {listener})"
        )?;
    }
    Ok(())
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
            output.ends_with("sound (listeners: 1, routes: 1, pools: 1)\n"),
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
        for file in [
            "a.crt: cannot be read",
            "a.key: cannot be read",
            "b.crt: cannot be read",
        ] {
            assert!(output.contains(file), "{output}");
        }
        let mut lines = output.lines();
        assert!(
            lines.all(|line| line.starts_with("listeners.public.tls: ")),
            "{output}"
        );
    }
}
