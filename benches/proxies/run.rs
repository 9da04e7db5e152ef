//! One run: one case against one proxy, from its start to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::cases::{Case, Load};
use crate::generator::{Generator, Plan, Target};
use crate::machine::{self, Cores};
use crate::proxy::{Proxy, Running};

const PATIENCE: Duration = Duration::from_millis(100);
const STALL: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_millis(300);
/// So many sessions are opened at a time where only the opened ones matter.
const OPENING: usize = 64;
/// Open before memory is read first, so that what is set up once, or kept from this many handshakes
/// at a time, is no session's.
const FIRST_SESSIONS: usize = 256;
/// A proxy may need a moment until it has given back what opening took.
const SETTLE: Duration = Duration::from_secs(1);

/// What all runs share.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) client_config: Arc<ClientConfig>,
    pub(crate) cores: Cores,
    pub(crate) duration: Duration,
    pub(crate) rate: u32,
}

/// What a run gave.
#[derive(Clone)]
pub(crate) struct Sample {
    /// In the order of the load's columns.
    pub(crate) figures: Vec<f64>,
    /// Shares of the time that the proxy, the generator and others had their core; none where
    /// time does not matter.
    pub(crate) shares: Option<Shares>,
}

/// Shares of a core's time, 0 to 1.
#[derive(Clone, Copy)]
pub(crate) struct Shares {
    pub(crate) proxy: f64,
    pub(crate) generator: f64,
    /// Of both cores, what neither the proxy nor the generator used.
    pub(crate) others: f64,
}

impl Bench {
    /// Runs a case against a proxy.
    pub(crate) fn run(&self, case: &Case, proxy: &Proxy) -> Result<Sample> {
        let generator = Generator::new(case.load.message_size())?;
        let running = proxy.start(self, generator.backend_address()?)?;
        let target = running.target(self, case.tls);
        let mut run = Run {
            bench: self,
            generator,
            running: &running,
            target,
        };
        let sample = match case.load {
            Load::Echo { .. } => run.echo(case.sessions),
            Load::Connect => run.connect(case.sessions),
            Load::Idle => run.idle(case.sessions),
            Load::Latency { .. } => run.latency(case.sessions),
        };
        // Clients and backend leave first: a proxy that drains then has nothing to wait for.
        drop(run);
        sample.with_context(|| match running.process.output() {
            silence if silence.is_empty() => "the proxy wrote nothing".to_owned(),
            output => format!("the proxy wrote: {output}"),
        })
    }
}

struct Run<'a> {
    bench: &'a Bench,
    generator: Generator,
    running: &'a Running,
    target: Target,
}

/// The counters at one moment.
struct Mark {
    time: Instant,
    proxy: Duration,
    generator: Duration,
    cores: Duration,
    echoes: u64,
    finished: u64,
}

impl Run<'_> {
    fn echo(&mut self, sessions: usize) -> Result<Sample> {
        self.open_sessions(sessions)?;
        self.generator.start_ping_pong()?;
        self.measure(|mark| mark.echoes, |generator| generator.turn(PATIENCE))
    }

    fn connect(&mut self, concurrency: usize) -> Result<Sample> {
        let target = self.target.clone();
        self.measure(
            |mark| mark.finished,
            move |generator| {
                while generator.client_count() < concurrency {
                    generator.open(&target, Plan::Once)?;
                }
                generator.turn(PATIENCE)
            },
        )
    }

    fn idle(&mut self, sessions: usize) -> Result<Sample> {
        self.open_sessions(FIRST_SESSIONS)?;
        self.turn_for(SETTLE, |generator| generator.turn(PATIENCE))?;
        let before = self.running.process.memory()?;
        self.open_sessions(FIRST_SESSIONS + sessions)?;
        self.turn_for(SETTLE, |generator| generator.turn(PATIENCE))?;
        let after = self.running.process.memory()?;
        let grown = |before: u64, after: u64| (after as f64 - before as f64) / sessions as f64;
        let resident = grown(before.resident, after.resident);
        let proportional = grown(before.proportional, after.proportional);
        Ok(Sample {
            figures: vec![resident, proportional],
            shares: None,
        })
    }

    /// Messages leave when the schedule says, whether or not earlier ones came back, and are
    /// timed from that moment: a stall counts for every message it delayed.
    fn latency(&mut self, sessions: usize) -> Result<Sample> {
        self.open_sessions(sessions)?;
        let interval = Duration::from_secs(1) / self.bench.rate;
        let mut next = Instant::now();
        let mut session = 0;
        let mut turn = move |generator: &mut Generator| {
            while next <= Instant::now() {
                generator.send(session, next)?;
                next += interval;
                session = (session + 1) % sessions;
            }
            generator.turn(Duration::ZERO)
        };
        self.turn_for(WARM_UP, &mut turn)?;
        self.generator.forget_latencies();
        let mut sample = self.measure(|mark| mark.echoes, turn)?;
        let mut latencies = self.generator.tally().latencies.clone();
        latencies.sort_unstable();
        ensure!(!latencies.is_empty(), "no message came back");
        let percentile = |share: usize| latencies[(latencies.len() - 1) * share / 100] as f64 / 1e3;
        sample.figures.extend([percentile(50), percentile(99)]);
        // It never waits, so its share says nothing.
        sample.shares = None;
        Ok(sample)
    }

    /// Opens until `sessions` sessions are open and have echoed one message.
    fn open_sessions(&mut self, sessions: usize) -> Result<()> {
        let mut progress = Progress::new();
        while self.generator.tally().echoes < sessions as u64 {
            let echoed = usize::try_from(self.generator.tally().echoes)?;
            let limit = sessions.min(echoed + OPENING);
            while self.generator.client_count() < limit {
                self.generator.open(&self.target, Plan::Quiet)?;
            }
            self.generator.turn(PATIENCE)?;
            progress.check(self.generator.tally().echoes)?;
        }
        Ok(())
    }

    /// Goes on for the warm-up, then for the measurement; figures: units per second, and the
    /// proxy's microseconds per unit.
    fn measure(
        &mut self,
        unit: impl Fn(&Mark) -> u64,
        mut turn: impl FnMut(&mut Generator) -> Result<()>,
    ) -> Result<Sample> {
        self.turn_for(WARM_UP, &mut turn)?;
        self.generator.forget_latencies();
        let before = self.mark()?;
        self.turn_for(self.bench.duration, &mut turn)?;
        let after = self.mark()?;
        let elapsed = (after.time - before.time).as_secs_f64();
        let units = unit(&after) - unit(&before);
        ensure!(units > 0, "nothing came back within {elapsed:.1} s");
        let proxy = (after.proxy - before.proxy).as_secs_f64();
        let generator = (after.generator - before.generator).as_secs_f64();
        let cores = (after.cores - before.cores).as_secs_f64();
        Ok(Sample {
            figures: vec![units as f64 / elapsed, proxy * 1e6 / units as f64],
            shares: Some(Shares {
                proxy: proxy / elapsed,
                generator: generator / elapsed,
                others: ((cores - proxy - generator) / elapsed / 2.0).max(0.0),
            }),
        })
    }

    fn turn_for(
        &mut self,
        duration: Duration,
        mut turn: impl FnMut(&mut Generator) -> Result<()>,
    ) -> Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            turn(&mut self.generator)?;
        }
        Ok(())
    }

    fn mark(&self) -> Result<Mark> {
        let Cores { proxy, generator } = self.bench.cores;
        let tally = self.generator.tally();
        // Looking for the proxy's processes takes a while; the clock is read after it.
        let used = self.running.process.processor_time()?;
        Ok(Mark {
            time: Instant::now(),
            proxy: used,
            generator: machine::thread_time()?,
            cores: machine::core_busy(proxy)? + machine::core_busy(generator)?,
            echoes: tally.echoes,
            finished: tally.finished,
        })
    }
}

/// Notices when nothing happens any more.
struct Progress {
    count: u64,
    since: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            count: 0,
            since: Instant::now(),
        }
    }

    fn check(&mut self, count: u64) -> Result<()> {
        if count != self.count {
            *self = Self {
                count,
                since: Instant::now(),
            };
        }
        ensure!(
            self.since.elapsed() < STALL,
            "stuck with {count} sessions open"
        );
        Ok(())
    }
}
