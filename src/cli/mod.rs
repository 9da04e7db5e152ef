//! The command line: arguments and exit codes.
//!
//! Arguments are parsed into a [`Command`], which `main` runs. The commands that need no gateway in this process (`check`,
//! `reload` and the parts of `demo`) have files of their own.

pub mod check;
pub mod demo;
pub mod reload;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Address;

/// What the program is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum Command {
    /// Run the gateway (the default command)
    Run(ConfigFile),
    /// Check a configuration file and the certificates it names; print every problem
    Check(ConfigFile),
    /// Run a demo: four echo backends behind the gateway, over ws and wss, and a web page to try it
    Demo(DemoPorts),
    /// Ask a running gateway to reload its configuration, and print the result
    Reload(Gateway),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
}

/// The configuration file of a command.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct ConfigFile {
    /// The configuration, a YAML file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
}

/// The running gateway that a command talks to; without either option, one with the default admin address.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Gateway {
    /// The configuration file of the gateway, to find its admin address
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The admin address of the gateway; overrides --config [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDRESS", value_parser = admin_address)]
    pub admin: Option<Address>,
}

/// The ports of the demo if no others are given: page, ws, wss, admin side.
const DEMO_PORTS: [u16; 4] = [8000, 8080, 8443, 9901];

/// The ports of the demo, on the loopback address only. The system chooses a port that is 0 or in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Args)]
pub struct DemoPorts {
    /// Port for the page; the system chooses if it is 0 or in use
    #[arg(long = "page-port", value_name = "PORT", default_value_t = DEMO_PORTS[0])]
    pub page: u16,
    /// Port for ws; the system chooses if it is 0 or in use
    #[arg(long = "ws-port", value_name = "PORT", default_value_t = DEMO_PORTS[1])]
    pub ws: u16,
    /// Port for wss; the system chooses if it is 0 or in use
    #[arg(long = "wss-port", value_name = "PORT", default_value_t = DEMO_PORTS[2])]
    pub wss: u16,
    /// Port for the admin side; the system chooses if it is 0 or in use
    #[arg(long = "admin-port", value_name = "PORT", default_value_t = DEMO_PORTS[3])]
    pub admin: u16,
}

impl DemoPorts {
    /// Where two have the same port, the system chooses that of the one that has it by default.
    #[must_use]
    pub fn without_clashes(self) -> Self {
        let wanted = [self.page, self.ws, self.wss, self.admin];
        let [page, ws, wss, admin] = std::array::from_fn(|index| {
            let port = wanted[index];
            let yields = |other: usize| {
                port == DEMO_PORTS[index] || other < index && port != DEMO_PORTS[other]
            };
            let is_taken = (0..wanted.len())
                .any(|other| other != index && wanted[other] == port && yields(other));
            if is_taken { 0 } else { port }
        });
        Self {
            page,
            ws,
            wss,
            admin,
        }
    }
}

/// The address of an admin side, also as the URL under which a browser shows it.
fn admin_address(text: &str) -> Result<Address, String> {
    match text.strip_prefix("http://") {
        Some(address) => address.trim_end_matches('/').parse(),
        None => text.parse(),
    }
}

/// How the program exits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Success.
    Done,
    /// Failure, or sessions were cut.
    Failed,
    /// Wrong usage.
    Misused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::from(0),
            Exit::Failed => Self::from(1),
            Exit::Misused => Self::from(2),
        }
    }
}

/// Reads the arguments, the name of the program first.
///
/// # Errors
/// The exit code for `--help`, `--version` and wrong usage, whose output has been printed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
    read(arguments).map_err(|error| {
        let is_answer = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        // Printing fails if the terminal is gone; nobody is left to see it.
        let _ = error.print();
        if is_answer { Exit::Done } else { Exit::Misused }
    })
}

fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    match Arguments::try_parse_from(arguments)? {
        Arguments {
            command: Some(command),
            ..
        } => Ok(command),
        Arguments {
            run: Some(file), ..
        } => Ok(Command::Run(file)),
        Arguments {
            command: None,
            run: None,
        } => {
            let message = "a command is needed, or --config FILE";
            Err(Arguments::command().error(ErrorKind::MissingSubcommand, message))
        }
    }
}

/// A reverse proxy and WebSocket gateway with load balancing.
#[derive(Parser)]
#[command(name = "wsgate", version, args_conflicts_with_subcommands = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 success, 1 failure (or sessions were cut), 2 wrong usage.\n\
    Signals for `run`: SIGHUP reloads the configuration; SIGTERM, SIGINT and SIGQUIT drain and stop."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<ConfigFile>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(line: &str) -> Result<Command, ErrorKind> {
        read(line.split(' ').map(OsString::from)).map_err(|error| error.kind())
    }

    fn file(path: &str) -> ConfigFile {
        ConfigFile {
            config: path.into(),
        }
    }

    #[test]
    fn the_definitions_agree_with_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_command() {
        assert_eq!(
            read_words("wsgate run --config a.yaml"),
            Ok(Command::Run(file("a.yaml")))
        );
        assert_eq!(
            read_words("wsgate --config a.yaml"),
            Ok(Command::Run(file("a.yaml")))
        );
        assert_eq!(
            read_words("wsgate -c a.yaml"),
            Ok(Command::Run(file("a.yaml")))
        );
    }

    #[test]
    fn reads_the_other_commands() {
        assert_eq!(
            read_words("wsgate check -c a.yaml"),
            Ok(Command::Check(file("a.yaml")))
        );
        assert_eq!(read_words("wsgate schema"), Ok(Command::Schema));
        let gateway = Gateway {
            config: Some("a.yaml".into()),
            admin: None,
        };
        assert_eq!(
            read_words("wsgate reload -c a.yaml"),
            Ok(Command::Reload(gateway))
        );
        let ports = DemoPorts {
            page: 8000,
            ws: 8080,
            wss: 0,
            admin: 9901,
        };
        assert_eq!(
            read_words("wsgate demo --wss-port 0"),
            Ok(Command::Demo(ports))
        );
    }

    #[test]
    fn the_admin_side_may_be_given_as_a_url() {
        let asked = |words| match read_words(words) {
            Ok(Command::Reload(gateway)) => gateway.admin.map(|address| address.to_string()),
            other => panic!("{other:?}"),
        };
        let address = Some("127.0.0.1:9901".to_owned());
        assert_eq!(asked("wsgate reload --admin 127.0.0.1:9901"), address);
        assert_eq!(
            asked("wsgate reload --admin http://localhost:9901/"),
            address
        );
    }

    #[test]
    fn a_port_that_was_given_stays_and_a_default_moves() {
        let ports = |words| match read_words(words) {
            Ok(Command::Demo(ports)) => {
                let ports = ports.without_clashes();
                [ports.page, ports.ws, ports.wss, ports.admin]
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(ports("wsgate demo"), [8000, 8080, 8443, 9901]);
        assert_eq!(ports("wsgate demo --ws-port 8000"), [0, 8000, 8443, 9901]);
        assert_eq!(ports("wsgate demo --page-port 9901"), [9901, 8080, 8443, 0]);
        let both = "wsgate demo --ws-port 9000 --wss-port 9000";
        assert_eq!(ports(both), [8000, 9000, 0, 9901]);
    }

    #[test]
    fn refuses_what_is_no_command() {
        assert_eq!(
            read_words("wsgate run"),
            Err(ErrorKind::MissingRequiredArgument)
        );
        assert_eq!(
            read_words("wsgate serve"),
            Err(ErrorKind::InvalidSubcommand)
        );
        assert_eq!(read_words("wsgate --config"), Err(ErrorKind::InvalidValue));
        assert_eq!(
            read_words("wsgate schema --config a"),
            Err(ErrorKind::UnknownArgument)
        );
        assert_eq!(
            read_words("wsgate demo --ws-port 65536"),
            Err(ErrorKind::ValueValidation)
        );
        assert!(read_words("wsgate --config a.yaml check").is_err());
        assert!(read_words("wsgate").is_err());
    }

    #[test]
    fn tells_help_from_wrong_use() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(parse(words("wsgate --version")), Err(Exit::Done));
        assert_eq!(parse(words("wsgate serve")), Err(Exit::Misused));
        assert_eq!(parse(words("wsgate")), Err(Exit::Misused));
    }
}
