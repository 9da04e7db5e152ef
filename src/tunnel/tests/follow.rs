//! What is forwarded of a stream, and why no more, wherever the stream is cut.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::advance;

use super::super::follow::{Finding, Follower, SeenClose};
use super::super::terms::Terms;
use super::frames::{CONTINUED, ENDED, PING, PONG, TEXT, TEXT_BEGUN, close as close_of, frame};
use super::terms;
use crate::config::OnProtocolError;
use crate::telemetry::DirectionTraffic;
use crate::websocket::{Extensions, ProtocolError, Side};

const SIDES: [Side; 2] = [Side::Client, Side::Backend];

fn follower(sender: Side) -> Follower {
    Follower::new(sender, Extensions::None)
}

/// What goes out of `stream`, cut at `cuts`, and what it comes to. After a finding the rest is dropped, as a
/// relay does.
fn drive(
    follower: &mut Follower,
    stream: &[u8],
    cuts: &[usize],
    terms: &Terms,
) -> (Vec<u8>, Option<Finding>) {
    let mut traffic = DirectionTraffic::default();
    let mut out = Vec::new();
    let mut found = None;
    let mut begin = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        let held = if found.is_none() {
            follower.held().to_vec()
        } else {
            Vec::new()
        };
        let mut chunk = [&held, &stream[begin..end]].concat();
        begin = end;
        let passage = follower.follow(&mut chunk, held.len(), terms, &mut traffic);
        if found.is_none() {
            out.extend(&chunk[..passage.forward]);
            found = passage.finding;
        } else {
            assert_eq!(passage.forward, 0, "more after a finding");
        }
    }
    (out, found)
}

/// All ways to cut a stream of this length into three.
fn all_cuts(length: usize) -> impl Iterator<Item = [usize; 2]> {
    (0..=length).flat_map(move |first| (first..=length).map(move |second| [first, second]))
}

#[test]
fn only_the_awaited_pongs_are_taken_out_wherever_the_stream_is_cut() {
    for sender in SIDES {
        let mut follower = follower(sender);
        let payload = follower.await_pong();
        let before = frame(sender, TEXT_BEGUN, b"ab");
        let own = frame(sender, PONG, &payload);
        let other = frame(sender, PONG, b"another");
        let ping = frame(sender, PING, &payload);
        let after = frame(sender, ENDED, b"c");
        let stream = [&before[..], &own, &other, &ping, &own, &after].concat();
        let rest = [&before[..], &other, &ping, &after].concat();
        for cuts in all_cuts(stream.len()) {
            let (out, found) = drive(&mut follower, &stream, &cuts, &terms());
            assert_eq!((out, found), (rest.clone(), None), "{cuts:?}");
            assert!(follower.take_has_pong(), "{cuts:?}");
            assert!(follower.at_boundary());
        }
    }
}

#[test]
fn an_unawaited_pong_passes() {
    let stream = frame(Side::Client, PONG, &7_u64.to_be_bytes());
    let mut follower = follower(Side::Client);
    let (out, _) = drive(&mut follower, &stream, &[], &terms());
    assert_eq!(out, stream);
    assert!(!follower.take_has_pong());
}

#[test]
fn a_frame_that_has_begun_is_finished_and_a_close_behind_it_is_heard_but_not_passed() {
    let begun = frame(Side::Client, TEXT_BEGUN, b"begun");
    let behind = [
        frame(Side::Client, ENDED, b"dropped"),
        close_of(Side::Client, 1000),
    ]
    .concat();
    let stream = [&begun[..], &behind].concat();
    for cuts in all_cuts(stream.len()).filter(|cuts| (6..begun.len()).contains(&cuts[0])) {
        let mut follower = follower(Side::Client);
        let (head, tail) = stream.split_at(cuts[0]);
        let (first, _) = drive(&mut follower, head, &[], &terms());
        assert!(!follower.at_boundary(), "{cuts:?}");
        follower.finish_frame();
        let (rest, found) = drive(&mut follower, tail, &[cuts[1] - cuts[0]], &terms());
        assert_eq!(found, Some(Finding::Boundary));
        assert_eq!([first, rest].concat(), begun, "{cuts:?}");
        assert!(follower.at_boundary(), "{cuts:?}");
        assert!(follower.has_said_close(), "{cuts:?}");
        assert_eq!(follower.close(), None, "{cuts:?}");
    }
}

#[test]
fn a_close_that_passes_is_noted_with_its_code() {
    let mut coded = follower(Side::Backend);
    let stream = close_of(Side::Backend, 4001);
    let (out, found) = drive(&mut coded, &stream, &[1, 3], &terms());
    assert_eq!((out, found), (stream, None));
    assert_eq!(coded.close(), Some(SeenClose(Some(4001))));
    let mut bare = follower(Side::Backend);
    drive(&mut bare, &[0x88, 0], &[], &terms());
    assert_eq!(bare.close(), Some(SeenClose(None)));
}

fn at_most(bytes: u64) -> Terms {
    let mut terms = terms();
    terms.websocket.max_message_size = Some(bytes);
    terms
}

#[test]
fn of_a_frame_that_is_too_big_not_even_the_header_goes_out() {
    for sender in SIDES {
        let sound = [
            frame(sender, TEXT, b"1234"),
            frame(sender, TEXT_BEGUN, b"12"),
        ]
        .concat();
        let ping = frame(sender, PING, b"a ping does not count");
        let big = frame(sender, ENDED, b"345");
        let last = close_of(sender, 1009);
        let stream = [&sound[..], &ping, &big, &last].concat();
        for cuts in all_cuts(stream.len()) {
            let mut follower = follower(sender);
            let (out, found) = drive(&mut follower, &stream, &cuts, &at_most(4));
            assert_eq!(found, Some(Finding::MessageTooBig), "{cuts:?}");
            assert_eq!(out, [&sound[..], &ping].concat(), "{cuts:?}");
            assert!(follower.at_boundary(), "{cuts:?}");
            assert!(follower.has_said_close(), "{cuts:?}");
            assert_eq!(follower.close(), None, "{cuts:?}");
        }
    }
}

#[test]
fn the_size_is_decided_by_the_header_alone() {
    let header = [
        0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4,
    ];
    let mut follower = follower(Side::Client);
    let decided = drive(&mut follower, &header, &[5], &at_most(u64::MAX >> 2));
    assert_eq!(decided, (Vec::new(), Some(Finding::MessageTooBig)));
    assert!(follower.at_boundary());
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    let stream = [
        frame(Side::Client, TEXT_BEGUN, b"12"),
        frame(Side::Client, CONTINUED, b""),
        frame(Side::Client, ENDED, b"34"),
    ]
    .concat();
    let mut follower = follower(Side::Client);
    assert_eq!(
        drive(&mut follower, &stream, &[3], &at_most(4)),
        (stream.clone(), None)
    );
}

#[tokio::test(start_paused = true)]
async fn the_rate_counts_messages_of_the_client_and_not_fragments() {
    let mut terms = terms();
    terms.websocket.max_messages_per_second = NonZeroU32::new(2);
    let message = |sender| {
        [
            frame(sender, TEXT_BEGUN, b"a"),
            frame(sender, PING, b""),
            frame(sender, ENDED, b"b"),
        ]
        .concat()
    };
    let one = message(Side::Client);
    let mut client = follower(Side::Client);
    for _ in 0..5 {
        let two = one.repeat(2);
        assert_eq!(drive(&mut client, &two, &[], &terms), (two, None));
        advance(Duration::from_secs(1)).await;
    }
    // A second that began long ago is over, also where it had room.
    assert_eq!(drive(&mut client, &one, &[], &terms), (one.clone(), None));
    advance(Duration::from_secs(9)).await;
    let stopped = drive(&mut client, &one.repeat(3), &[], &terms);
    assert_eq!(stopped, (one.repeat(2), Some(Finding::TooManyMessages)));
    let many = message(Side::Backend).repeat(9);
    let mut backend = follower(Side::Backend);
    assert_eq!(drive(&mut backend, &many, &[], &terms), (many, None));
}

#[test]
fn a_frame_against_the_protocol_is_kept_back_or_passes_with_all_that_follows() {
    let sound = frame(Side::Client, TEXT, b"sound");
    let broken = [
        frame(Side::Client, 0xc1, b"reserved bit"),
        frame(Side::Client, PONG, &7_u64.to_be_bytes()),
    ]
    .concat();
    let stream = [&sound[..], &broken].concat();
    let mut passing = terms();
    passing.websocket.on_protocol_error = OnProtocolError::Pass;
    for cuts in all_cuts(stream.len()) {
        let mut closing = follower(Side::Client);
        let stopped = drive(&mut closing, &stream, &cuts, &terms());
        let finding = Finding::ProtocolError(ProtocolError::ReservedBits);
        assert_eq!(stopped, (sound.clone(), Some(finding)));
        assert!(closing.at_boundary());
        let mut blind = follower(Side::Client);
        blind.await_pong();
        let passed = drive(&mut blind, &stream, &cuts, &passing);
        assert_eq!(passed, (stream.clone(), None), "{cuts:?}");
        assert!(!blind.at_boundary(), "nobody knows where frames end");
    }
}

#[test]
fn a_frame_under_way_is_data_and_a_ping_is_none() {
    let mut follower = follower(Side::Backend);
    drive(
        &mut follower,
        &frame(Side::Backend, PING, b""),
        &[],
        &terms(),
    );
    assert!(!follower.take_has_data());
    let long = frame(Side::Backend, TEXT, &[0; 500]);
    for piece in long.chunks(100) {
        drive(&mut follower, piece, &[], &terms());
        assert!(follower.take_has_data());
    }
    assert!(!follower.take_has_data());
}
