//! Any bytes in any pieces as the beginning of a connection: a fragment is found in the target that the HTTP library reads,
//! and nowhere else.
//!
//! The first byte says how many of the following bytes are lengths of pieces; the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/listener/request_line.rs"]
mod request_line;

use request_line::RequestLine;

fuzz_target!(|input: &[u8]| {
    let [count, rest @ ..] = input else {
        return;
    };
    let (pieces, stream) = rest.split_at(rest.len().min(usize::from(*count)));
    let finds = follow(stream, pieces);
    assert_eq!(finds, follow(stream, &[]), "other pieces");
    if let Some(target) = target(stream) {
        assert_eq!(finds, target.contains('#'), "{target:?}");
    }
});

fn follow(mut stream: &[u8], pieces: &[u8]) -> bool {
    let mut line = RequestLine::Awaited;
    for piece in pieces {
        let (piece, rest) = stream.split_at(stream.len().min(usize::from(*piece)));
        line.follow(piece);
        stream = rest;
    }
    line.follow(stream);
    line == RequestLine::HasFragment
}

/// The target of a request that hyper takes, which takes no target that `http` does not.
fn target(stream: &[u8]) -> Option<String> {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Request::new(&mut fields);
    head.parse(stream).ok()?.is_complete().then_some(())?;
    let target = head.path?;
    target.parse::<http::Uri>().ok()?;
    Some(target.to_owned())
}
