//! Tells frames of the gateway from those that it passed on.

const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// The length of the payload of the gateway's Pings.
const PING_PAYLOAD: usize = 8;

/// How many bytes of `sent` are in `received`, from its beginning.
///
/// # Panics
/// If there is anything else in it than frames of the gateway, whole ones and between two frames.
pub(crate) fn passed(sent: &[u8], received: &[u8]) -> usize {
    let (mut taken, mut rest) = (0, received);
    loop {
        let awaited = &sent[taken..];
        if awaited.starts_with(rest) {
            return taken + rest.len();
        }
        let next = frame_length(awaited).map(|length| &awaited[..length]);
        if let Some(after) = next.and_then(|frame| rest.strip_prefix(frame)) {
            taken += rest.len() - after.len();
            rest = after;
            continue;
        }
        let length = frame_length(rest).expect("what the gateway adds is a whole frame");
        let (own, after) = rest.split_at(length);
        assert!(
            is_gateway_ping(own) || own[0] == CLOSE,
            "{own:?} at {taken}"
        );
        assert!(
            own[0] != CLOSE || after.is_empty(),
            "bytes behind the Close of the gateway"
        );
        rest = after;
    }
}

/// The length of the frame at the beginning, if it is complete.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (start, length) = layout(bytes)?;
    let length = start.checked_add(length)?;
    (length <= bytes.len()).then_some(length)
}

pub(crate) fn is_gateway_ping(frame: &[u8]) -> bool {
    frame[0] == PING && layout(frame).is_some_and(|(_, length)| length == PING_PAYLOAD)
}

/// The payload of a whole frame, unmasked.
pub(crate) fn payload(frame: &[u8]) -> Vec<u8> {
    let Some((start, _)) = layout(frame) else {
        return Vec::new();
    };
    let key = match frame[1] & 0x80 {
        0 => [0; 4],
        _ => [start - 4, start - 3, start - 2, start - 1].map(|at| frame[at]),
    };
    let masked = frame[start..].iter().zip(key.iter().cycle());
    masked.map(|(byte, key)| byte ^ key).collect()
}

/// Where the payload of the first frame begins, and its length.
fn layout(bytes: &[u8]) -> Option<(usize, usize)> {
    let second = *bytes.get(1)?;
    let (length, start) = match second & 0x7f {
        126 => (number(bytes.get(2..4)?), 4),
        127 => (number(bytes.get(2..10)?), 10),
        short => (usize::from(short), 2),
    };
    let key = if second & 0x80 == 0 { 0 } else { 4 };
    Some((start + key, length))
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}
