//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Parser;

use crate::cases::{CASES, Case};
use crate::machine::Cores;
use crate::proxy::{self, Proxy};

/// Runs wsgate and, where installed, nginx and HAProxy under the same load in turn.
#[derive(Parser)]
#[command(name = "cargo bench --bench proxies --")]
pub(crate) struct Options {
    /// Cases to run; all when none is named
    cases: Vec<String>,

    /// Proxies to run, comma separated; all that are installed when none is named
    #[arg(long, value_delimiter = ',')]
    proxies: Vec<String>,

    /// How often each proxy has its turn; medians are quoted
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,

    /// Length of a measurement
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,

    /// Sessions, instead of each case's own number
    #[arg(long)]
    sessions: Option<NonZeroUsize>,

    /// Messages per second in the latency case, over all sessions
    #[arg(long, default_value_t = 20_000)]
    pub(crate) rate: u32,

    /// Cores of the proxy and of the generator
    #[arg(long, value_delimiter = ',', num_args = 1, default_value = "0,1")]
    cores: Vec<usize>,

    /// The wsgate to run, instead of the one built with the benchmark
    #[arg(long, default_value = env!("CARGO_BIN_EXE_wsgate"))]
    wsgate: PathBuf,

    /// A second build of wsgate to compare with
    #[arg(long)]
    other: Option<PathBuf>,

    /// Let idle cores halt: then waking them is part of the figures
    #[arg(long)]
    pub(crate) halt: bool,

    /// Print the names of cases and proxies
    #[arg(long)]
    pub(crate) list: bool,

    /// Given by cargo
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Options {
    /// The cases asked for.
    pub(crate) fn cases(&self) -> Result<Vec<Case>> {
        let known = || CASES.iter().map(|case| case.name);
        check_names(&self.cases, known().collect())?;
        let chosen = CASES
            .iter()
            .filter(|case| is_chosen(case.name, &self.cases));
        let resized = |case: &Case| Case {
            sessions: self.sessions.map_or(case.sessions, NonZeroUsize::get),
            ..*case
        };
        Ok(chosen.map(resized).collect())
    }

    /// The proxies asked for, as far as they are installed.
    pub(crate) fn proxies(&self) -> Result<Vec<Proxy>> {
        check_names(&self.proxies, proxy::names().collect())?;
        let mut proxies = proxy::installed(&self.wsgate, self.other.as_deref());
        proxies.retain(|proxy| is_chosen(proxy.name, &self.proxies));
        Ok(proxies)
    }

    /// The cores of proxy and generator.
    pub(crate) fn cores(&self) -> Result<Cores> {
        let [proxy, generator] = self.cores[..] else {
            bail!("--cores takes two numbers: 0,1")
        };
        ensure!(proxy != generator, "proxy and generator need a core each");
        Ok(Cores { proxy, generator })
    }
}

fn is_chosen(name: &str, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

fn check_names(names: &[String], known: Vec<&str>) -> Result<()> {
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => bail!("{unknown} is none of: {}", known.join(" ")),
        None => Ok(()),
    }
}
