//! Any stream in any pieces.

use proptest::collection::vec;
use proptest::prelude::*;

use super::follow::follow;
use super::reference::{Rules, read};
use super::sketch::Sketch;

fn rules() -> impl Strategy<Value = Rules> {
    let rules = |(from_client, deflate, unknown)| Rules {
        from_client,
        deflate,
        unknown,
    };
    (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(rules)
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let data = prop_oneof![
        Just(0x00_u8),
        Just(0x80),
        Just(0x01),
        Just(0x81),
        Just(0x42)
    ];
    let control = prop_oneof![Just(0x88_u8), Just(0x89), Just(0x8a)];
    let first = prop_oneof![20 => data, 10 => control, 1 => any::<u8>()];
    let payload = prop_oneof![
        10 => vec(any::<u8>(), 0..20),
        5 => vec(any::<u8>(), 120..130),
        2 => "[a-zé]{0,40}".prop_map(|reason| [b"\x03\xe8", reason.as_bytes()].concat()),
        1 => (65_530..65_540_usize).prop_map(|length| vec![0xa5; length]),
    ];
    let masked = prop::bool::weighted(0.98);
    (first, masked, payload, prop::bool::weighted(0.02)).prop_map(
        |(first, masked, payload, wide)| Sketch {
            first,
            masked,
            payload,
            wide,
        },
    )
}

/// Mostly valid streams; wrong masking and wrong order are the exception.
fn any_stream(rules: Rules) -> impl Strategy<Value = Vec<u8>> {
    (vec(sketch(), 0..12), prop::bool::weighted(0.8)).prop_map(move |(mut sketches, repaired)| {
        if repaired {
            repair(&mut sketches);
        }
        let mut stream = Vec::new();
        for mut sketch in sketches {
            sketch.masked = sketch.masked == rules.from_client;
            sketch.write(&mut stream);
        }
        stream
    })
}

/// Makes whole messages of the data frames, wherever they end.
fn repair(sketches: &mut [Sketch]) {
    let mut opcode = 2;
    for sketch in sketches
        .iter_mut()
        .filter(|sketch| sketch.first & 0x08 == 0)
    {
        sketch.first = sketch.first & 0xf0 | opcode;
        opcode = if sketch.first & 0x80 == 0 { 0 } else { 2 };
    }
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![0..4_usize, 0..20_usize, 0..200_usize], 0..200)
}

proptest! {
    #[test]
    fn sees_what_the_reference_sees_in_any_pieces(
        (rules, stream) in rules().prop_flat_map(|rules| (Just(rules), any_stream(rules))),
        pieces in pieces(),
    ) {
        let expected = read(&stream, rules);
        prop_assert_eq!(&follow(&stream, rules, &[]), &expected);
        prop_assert_eq!(&follow(&stream, rules, &pieces), &expected);
    }

    #[test]
    fn sees_what_the_reference_sees_in_any_bytes(
        stream: Vec<u8>, rules in rules(), pieces in pieces(),
    ) {
        prop_assert_eq!(follow(&stream, rules, &pieces), read(&stream, rules));
    }
}
