//! What the kernel is asked: where threads run, what processes have used, what the machine is.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The core of the proxies and the core of generator and backend.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) generator: usize,
}

/// Keeps this thread, and whatever it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pinning to core {core}"))
}

/// Has idle cores poll instead of halt until this is dropped.
///
/// In a virtual machine, waking a halted core costs whoever sends to it some ten microseconds. A proxy that is slower than
/// the generator pays that for many packets, one that keeps the generator busy for none: the figures would be further apart
/// than the proxies are.
pub(crate) struct Awake(#[expect(dead_code, reason = "open for as long as it counts")] File);

impl Awake {
    const CONTROL: &str = "/dev/cpu_dma_latency";

    /// Asks for a latency of 0 µs (Linux, Documentation/power/pm_qos_interface.rst). Only root may.
    pub(crate) fn keep() -> Result<Self> {
        let mut control = File::options().write(true).open(Self::CONTROL)?;
        control.write_all(&0_i32.to_ne_bytes())?;
        Ok(Self(control))
    }
}

/// Processor time of the calling thread.
pub(crate) fn thread_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ThreadCPUTime).try_into()?)
}

/// Processor time of all threads of the processes, in the scheduler's nanoseconds.
pub(crate) fn processor_time(processes: &[u32]) -> Result<Duration> {
    let mut nanoseconds = 0;
    for process in processes {
        let tasks = format!("/proc/{process}/task");
        for task in fs::read_dir(&tasks).with_context(|| tasks.clone())? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += first_number(&text).context("schedstat without a number")?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Time that a core was not idle since the machine started, in steps of 10 ms.
pub(crate) fn core_busy(core: usize) -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = text
        .lines()
        .find(|line| line.starts_with(&name))
        .context("no such core")?;
    // user nice system idle iowait irq softirq steal
    let fields = line.split_whitespace().skip(1).take(8).enumerate();
    let busy = fields.filter(|(index, _)| !matches!(index, 3 | 4));
    let ticks: u64 = busy
        .filter_map(|(_, field)| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(10 * ticks))
}

/// Memory of processes in KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Proportional set size: shared pages are divided among those who share them.
    pub(crate) proportional: u64,
    pub(crate) resident: u64,
}

/// Memory of the processes together.
pub(crate) fn memory(processes: &[u32]) -> Result<Memory> {
    let mut sum = Memory {
        proportional: 0,
        resident: 0,
    };
    for process in processes {
        let path = format!("/proc/{process}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let field = |name| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(first_number)
        };
        sum.proportional += field("Pss:").context("no Pss")?;
        sum.resident += field("Rss:").context("no Rss")?;
    }
    Ok(sum)
}

/// A process and all that descend from it.
pub(crate) fn family(process: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(candidate) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        parents.extend(parent(candidate).map(|parent| (candidate, parent)));
    }
    let mut family = vec![process];
    let mut known = 0;
    while known < family.len() {
        let children = parents
            .iter()
            .filter(|(_, parent)| *parent == family[known]);
        family.extend(children.map(|(child, _)| *child).collect::<Vec<_>>());
        known += 1;
    }
    Ok(family)
}

fn parent(process: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may itself hold spaces and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

/// The machine in a line: what a reader needs to compare figures.
pub(crate) fn description() -> String {
    let read = |path| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let processor = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(
            || "unknown processor".to_owned(),
            |(_, name)| name.to_owned(),
        );
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    format!("{processor}, {cores} cores, Linux {kernel}, congestion control {congestion}")
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
