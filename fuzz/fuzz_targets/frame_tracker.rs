//! Any bytes in any pieces: the tracker must see what the slow, obvious reference reader sees.
//!
//! The first byte of the input chooses the rules, the second says how many of the following bytes
//! are lengths of pieces; the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsgate::websocket::{Event, Extensions, FrameTracker, Side};

#[path = "../../src/websocket/tracker/tests/follow.rs"]
mod follow;
#[path = "../../src/websocket/tracker/tests/reference.rs"]
mod reference;

use reference::Rules;

fuzz_target!(|input: &[u8]| {
    let [choice, count, rest @ ..] = input else {
        return;
    };
    let rules = Rules {
        from_client: choice & 1 != 0,
        deflate: choice & 2 != 0,
        unknown: choice & 4 != 0,
    };
    let (pieces, stream) = rest.split_at(rest.len().min(usize::from(*count)));
    let pieces: Vec<usize> = pieces.iter().map(|piece| usize::from(*piece)).collect();
    assert_eq!(
        follow::follow(stream, rules, &pieces),
        reference::read(stream, rules)
    );
});
