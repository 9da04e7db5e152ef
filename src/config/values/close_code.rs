//! Codes of Close frames.

use serde_json::{Value, json};

use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::Scalar;

/// The codes, each range with its ends.
const RANGES: [(u16, u16); 4] = [(1000, 1003), (1007, 1009), (1011, 1014), (3000, 4999)];

/// A code that a server may send (RFC 6455 section 7.4 and the registry of IANA): 1004 to 1006 and 1015 never go on the
/// wire, 1010 is the client's, 1016 to 2999 mean nothing.
pub(in crate::config) enum CloseCode {}

impl FromScalar for CloseCode {
    type Value = u16;

    const WANTED: &'static str = "a close code such as `1012` or `1014`";

    fn written() -> Vec<Value> {
        let form = |(least, most)| json!({ "type": "integer", "minimum": least, "maximum": most });
        RANGES.map(form).to_vec()
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<u16, Complaint>> {
        let digits = scalar.as_number()?;
        let complaint = || {
            format!(
                "the code {digits} is never sent by a server; 1000 to 1003, 1007 to 1009, 1011 to 1014 and 3000 to \
                 4999 are"
            )
            .into()
        };
        let may_be_sent = |code: &u16| {
            let mut ranges = RANGES.iter();
            ranges.any(|(least, most)| (least..=most).contains(&code))
        };
        let code = digits.parse().ok().filter(may_be_sent);
        Some(code.ok_or_else(complaint))
    }
}
