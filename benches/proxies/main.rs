//! The gateway beside nginx and HAProxy under the same load. What is measured, how, and what to
//! mind stands in benches/README.md.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is the purpose"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts here are far below the 52 bits that a float holds"
)]

mod cases;
mod certificate;
mod generator;
mod machine;
mod options;
mod page;
mod process;
mod proxy;
mod report;
mod run;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use cases::{CASES, Case};
use machine::Awake;
use options::Options;
use proxy::Proxy;
use report::{Report, Row};
use run::Bench;

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if options.list {
        print_names();
        return Ok(ExitCode::SUCCESS);
    }
    if !options.bench {
        // cargo test --all-targets runs benchmarks too, and means a quick check.
        println!("a benchmark: run it with cargo bench --bench proxies");
        return Ok(ExitCode::SUCCESS);
    }
    let (cases, proxies) = (options.cases()?, options.proxies()?);
    ensure!(!proxies.is_empty(), "none of these proxies is installed");
    print_conditions(&options, &proxies);
    let _awake = keep_awake(&options);
    let bench = prepare(&options)?;
    let mut reports = Vec::new();
    for case in &cases {
        let report = run_case(&bench, case, &proxies, options.rounds);
        println!(
            "\n### {} ({} sessions)\n\n{}",
            case.name,
            case.sessions,
            report.text()
        );
        reports.push(report);
    }
    println!("\n{}", page::text(&reports));
    let complete = reports.iter().all(Report::is_complete);
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn prepare(options: &Options) -> Result<Bench> {
    let cores = options.cores()?;
    machine::pin(cores.proxy).context("two cores are needed")?;
    machine::pin(cores.generator).context("two cores are needed")?;
    let directory = tempfile::tempdir()?;
    let client_config = certificate::create(directory.path())?;
    let duration = Duration::try_from_secs_f64(options.seconds)?;
    Ok(Bench {
        directory,
        client_config,
        cores,
        duration,
        rate: options.rate.max(1),
    })
}

/// Runs a case in rounds, in each round every proxy once.
fn run_case<'a>(bench: &Bench, case: &'a Case, proxies: &[Proxy], rounds: usize) -> Report<'a> {
    let proxies: Vec<_> = proxies
        .iter()
        .filter(|proxy| proxy.takes_part(case.load))
        .collect();
    let mut rows: Vec<_> = proxies
        .iter()
        .map(|proxy| Row {
            proxy: proxy.name,
            samples: Vec::new(),
        })
        .collect();
    for _ in 0..case.load.rounds(rounds) {
        for (row, proxy) in rows.iter_mut().zip(&proxies) {
            let outcome = bench.run(case, proxy);
            if let Err(error) = &outcome {
                eprintln!("{}: {} failed: {error:#}", case.name, proxy.name);
            }
            row.samples.push(outcome.ok());
        }
    }
    Report { case, rows }
}

/// Keeps idle cores awake if that is wanted and allowed; says what they do.
fn keep_awake(options: &Options) -> Option<Awake> {
    if options.halt {
        println!("idle cores halt");
        return None;
    }
    match Awake::keep() {
        Ok(awake) => {
            println!("idle cores poll");
            Some(awake)
        }
        Err(error) => {
            println!(
                "idle cores may halt, which favours proxies that keep the generator busy: {error}"
            );
            None
        }
    }
}

fn print_conditions(options: &Options, proxies: &[Proxy]) {
    println!("{}", machine::description());
    for proxy in proxies {
        println!("{}: {}", proxy.name, proxy.version());
    }
    println!(
        "medians of {} rounds of {} s",
        options.rounds, options.seconds
    );
}

fn print_names() {
    println!("cases:");
    for case in CASES {
        println!("  {}", case.name);
    }
    println!("proxies:");
    for name in proxy::names() {
        println!("  {name}");
    }
}
