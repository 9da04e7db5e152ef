//! What following frames costs: nanoseconds a frame and a chunk.
//!
//! `cargo bench --bench frame_tracker`. The best of several rounds is printed, because whatever
//! else the machine does only ever adds. A relay spends about 7,400 ns on a frame of 64 bytes
//! (docs/performance.md); 2 % of that is 148 ns.

#![allow(
    clippy::print_stdout,
    reason = "printing figures is what a benchmark is for"
)]

use std::hint::black_box;
use std::time::Instant;

use wsgate::websocket::{ControlFrame, Event, Extensions, FrameTracker, Side};

/// What a relay reads at once at most.
const SCRATCH: usize = 256 * 1024;
const ROUNDS: usize = 15;
/// The frames followed in a round, as far as they are worth the time.
const ROUND_FRAMES: usize = 200_000;
const ROUND_BYTES: usize = 1 << 30;

fn main() {
    println!("{:28}{:>12}{:>12}", "case", "ns/frame", "ns/chunk");
    let small = data_frame(64);
    let medium = data_frame(16 * 1024);
    let large = data_frame(1024 * 1024);
    let ping = ControlFrame::ping(Side::Client, b"12345678")
        .as_bytes()
        .to_vec();
    measure("64 B, a frame a chunk", &small, small.len());
    measure("64 B, chunks of 16 KiB", &small, 16 * 1024);
    measure("64 B, header in two chunks", &small, small.len() - 1);
    measure("16 KiB, a frame a chunk", &medium, medium.len());
    measure("16 KiB, chunks of 4 KiB", &medium, 4 * 1024);
    measure("1 MiB, chunks of 256 KiB", &large, SCRATCH);
    measure("Ping, a frame a chunk", &ping, ping.len());
    measure("Ping, in two chunks", &ping, ping.len() / 2);
    println!(
        "FrameTracker: {} bytes a direction",
        size_of::<FrameTracker>()
    );
}

/// Follows the same frame again and again, in chunks of the same size, and prints the best round.
///
/// The stream is no longer than needed: a relay follows what it has just read, out of the cache.
fn measure(case: &str, frame: &[u8], chunk_length: usize) {
    let stream = frame.repeat((SCRATCH / frame.len()).max(1));
    let repeats = (ROUND_BYTES / stream.len()).min(ROUND_FRAMES * frame.len() / stream.len());
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let mut tracker = FrameTracker::new(Side::Client, Extensions::None);
        let mut ended = 0;
        let start = Instant::now();
        for _ in 0..repeats {
            let chunks = stream.chunks(chunk_length);
            ended += chunks
                .map(|chunk| follow(&mut tracker, chunk))
                .sum::<usize>();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9);
        assert_eq!(ended, repeats * stream.len() / frame.len(), "{case}");
    }
    let per = |count: usize| best / f64::from(u32::try_from(repeats * count).unwrap_or(u32::MAX));
    let chunks = stream.len().div_ceil(chunk_length);
    println!(
        "{case:28}{:>12.1}{:>12.1}",
        per(stream.len() / frame.len()),
        per(chunks)
    );
}

/// Follows a chunk as a relay does; says how many frames ended in it.
fn follow(tracker: &mut FrameTracker, chunk: &[u8]) -> usize {
    let mut rest = black_box(chunk);
    let mut ended = 0;
    loop {
        let step = tracker.step(rest);
        rest = &rest[step.consumed..];
        match step.event {
            Event::Header { payload_length, .. } => _ = black_box(payload_length),
            Event::DataEnd { .. } | Event::Control { .. } => ended += 1,
            Event::NeedMore => return ended,
            Event::Violation(error) => panic!("{error:?}"),
        }
    }
}

/// A masked binary frame with a payload of this length.
fn data_frame(payload_length: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    match u16::try_from(payload_length) {
        Ok(length) if length < 126 => frame.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload_length as u64).to_be_bytes());
        }
    }
    frame.extend([0x37, 0xfa, 0x21, 0x3d]);
    frame.resize(frame.len() + payload_length, 0x5a);
    frame
}
