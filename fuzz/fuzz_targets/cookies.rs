//! Any Cookie field: no panic; the gateway's own cookie is gone, and taking it away again changes nothing.

#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use wsgate::upstream::without_cookie;

fuzz_target!(|bytes: &[u8]| {
    let Ok(field) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let Some(left) = without_cookie(&field, "wsgate") else {
        return;
    };
    assert!(left.len() <= field.len());
    assert_eq!(without_cookie(&left, "wsgate"), Some(left.clone()));
    let alone = left.as_bytes().split(|byte| *byte == b';');
    assert!(
        !alone
            .map(<[u8]>::trim_ascii)
            .any(|part| part.starts_with(b"wsgate="))
    );
});
