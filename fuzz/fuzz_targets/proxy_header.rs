//! Any bytes as a PROXY header: no panic, the same in any pieces, and what is read is written and read back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsgate::proxy_protocol::{Decoded, LONGEST, Version, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let decoded = decode(bytes);
    for end in 0..bytes.len().min(LONGEST) {
        let so_far = decode(&bytes[..end]);
        assert!(so_far == Decoded::Incomplete || so_far == decoded);
    }
    let Decoded::Header { ends, length } = decoded else {
        return;
    };
    assert!(length <= bytes.len().min(LONGEST));
    for version in [Version::V1, Version::V2] {
        let written = encode(version, ends);
        let length = written.len();
        assert_eq!(decode(&written), Decoded::Header { ends, length });
    }
});
