//! What the tracker reports, one scenario for each rule.

mod follow;
mod properties;
mod reference;
mod sketch;

use self::follow::follow;
use self::reference::{Rules, Seen};
use self::sketch::Sketch;
use super::*;

const CLIENT: Rules = Rules {
    from_client: true,
    deflate: false,
    unknown: false,
};
const BACKEND: Rules = Rules {
    from_client: false,
    ..CLIENT
};

/// The stream of these frames, each given as its first byte and its payload.
fn stream(masked: bool, frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (first, payload) in frames {
        Sketch {
            first: *first,
            masked,
            payload: payload.to_vec(),
            wide: false,
        }
        .write(&mut stream);
    }
    stream
}

/// The violation that `stream` ends in.
fn violation(stream: &[u8], rules: Rules) -> Option<String> {
    match follow(stream, rules, &[]).pop() {
        Some(Seen::Violation { error, .. }) => Some(error),
        _ => None,
    }
}

#[test]
fn is_small() {
    assert!(
        size_of::<FrameTracker>() <= 64,
        "{}",
        size_of::<FrameTracker>()
    );
}

#[test]
fn tells_a_fragmented_message_with_a_ping_inside() {
    let stream = stream(false, &[(0x01, b"Hel"), (0x89, b"?"), (0x80, b"lo")]);
    let expected = [
        Seen::Header {
            end: 2,
            fin: false,
            opcode: 1,
            payload_length: 3,
        },
        Seen::DataEnd {
            end: 5,
            fin: false,
            opcode: 1,
            message_length: 3,
        },
        Seen::Header {
            end: 7,
            fin: true,
            opcode: 9,
            payload_length: 1,
        },
        Seen::Control {
            end: 8,
            opcode: 9,
            payload: b"?".to_vec(),
        },
        Seen::Header {
            end: 10,
            fin: true,
            opcode: 0,
            payload_length: 2,
        },
        Seen::DataEnd {
            end: 12,
            fin: true,
            opcode: 1,
            message_length: 5,
        },
    ];
    assert_eq!(follow(&stream, BACKEND, &[]), expected);
    assert_eq!(follow(&stream, BACKEND, &[1; 12]), expected);
}

#[test]
fn tells_empty_frames() {
    let stream = stream(true, &[(0x82, b""), (0x88, b"")]);
    let ends = [
        Seen::DataEnd {
            end: 6,
            fin: true,
            opcode: 2,
            message_length: 0,
        },
        Seen::Control {
            end: 12,
            opcode: 8,
            payload: Vec::new(),
        },
    ];
    let seen = follow(&stream, CLIENT, &[6]);
    assert_eq!([&seen[1], &seen[3]], [&ends[0], &ends[1]]);
}

#[test]
fn counts_the_message_before_its_payload_comes() {
    let mut tracker = FrameTracker::new(Side::Backend, Extensions::None);
    for input in [&b"\x01\x03abc"[..], b"\x00\x7e\x01\x00"] {
        assert!(matches!(tracker.step(input).event, Event::Header { .. }));
        let payload = &input[input.len().min(2)..];
        if input.len() == 5 {
            assert_eq!(tracker.message_length(), 3);
            assert!(matches!(
                tracker.step(payload).event,
                Event::DataEnd { fin: false, .. }
            ));
        }
    }
    assert_eq!(tracker.message_length(), 3 + 256);
    assert!(!tracker.at_boundary());
}

#[test]
fn survives_lengths_that_add_up_to_more_than_64_bits() {
    let mut tracker = FrameTracker::new(Side::Backend, Extensions::None);
    let largest = b"\x02\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
    assert!(matches!(tracker.step(largest).event, Event::Header { .. }));
    assert_eq!(tracker.step(&[0; 100]).event, Event::NeedMore);
    assert_eq!(tracker.message_length(), u64::MAX >> 1);
}

#[test]
fn refuses_what_breaks_the_protocol() {
    for (masked, frames, error) in [
        (true, &[(0xc1, &b""[..])][..], "ReservedBits"),
        (true, &[(0x83, b"")], "ReservedOpcode"),
        (true, &[(0x09, b"")], "FragmentedControl"),
        (true, &[(0x89, &[0; 126])], "ControlTooLong"),
        (true, &[(0x80, b"")], "ContinuationWithoutStart"),
        (
            true,
            &[(0x81, b""), (0x80, b"")],
            "ContinuationWithoutStart",
        ),
        (
            true,
            &[(0x01, b""), (0x89, b""), (0x82, b"")],
            "MessageInterrupted",
        ),
        (true, &[(0x88, b"\x03")], "ClosePayloadTooShort"),
        (true, &[(0x88, b"\x03\xed")], "CloseCodeInvalid"),
        (true, &[(0x88, b"\x03\xe8\xc3\x28")], "CloseReasonNotUtf8"),
        (false, &[(0x81, b"")], "Unmasked"),
    ] {
        assert_eq!(
            violation(&stream(masked, frames), CLIENT).as_deref(),
            Some(error)
        );
    }
    assert_eq!(
        violation(&stream(true, &[(0x81, b"")]), BACKEND).as_deref(),
        Some("Masked")
    );
}

#[test]
fn knows_what_permessage_deflate_marks() {
    let deflate = Rules {
        deflate: true,
        ..BACKEND
    };
    let sound = stream(false, &[(0x41, b"x"), (0x80, b"y"), (0xc2, b"z")]);
    assert_eq!(violation(&sound, deflate), None);
    for frames in [
        &[(0x41, &b""[..]), (0xc0, b"")][..],
        &[(0xc9, b"")],
        &[(0xa1, b"")],
    ] {
        let broken = stream(false, frames);
        assert_eq!(violation(&broken, deflate).as_deref(), Some("ReservedBits"));
        assert_eq!(
            violation(
                &broken,
                Rules {
                    unknown: true,
                    ..deflate
                }
            ),
            None
        );
    }
}

#[test]
fn goes_on_after_a_close() {
    let stream = stream(false, &[(0x88, b"\x03\xe8bye"), (0x8a, b"late")]);
    assert!(matches!(
        follow(&stream, BACKEND, &[]).last(),
        Some(Seen::Control { .. })
    ));
}
