//! Codes of Close frames.

use serde_json::{Value, json};

use super::or_none::Limit;
use crate::config::problems::Complaint;
use crate::config::reading::FromScalar;
use crate::config::tree::Scalar;

/// A code that a server may send (RFC 6455 section 7.4 and the registry of IANA): 1004 to 1006 and 1015 never go on the
/// wire, 1010 is the client's, 1016 to 2999 mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct CloseCode(pub(in crate::config) u16);

impl FromScalar for CloseCode {
    const WANTED: &'static str = "a close code such as `1012`";

    fn written() -> Vec<Value> {
        vec![json!({ "type": "integer", "minimum": 1000, "maximum": 4999 })]
    }

    fn from_scalar(scalar: &Scalar) -> Option<Result<Self, Complaint>> {
        let digits = scalar.as_number()?;
        let complaint = || {
            let message = "is never sent by a server; 1012, 1001 or 4000 to 4999 are";
            format!("the code {digits} {message}").into()
        };
        Some(match digits.parse() {
            Ok(code @ (1000..=1003 | 1007..=1009 | 1011..=1014 | 3000..=4999)) => Ok(Self(code)),
            Ok(_) | Err(_) => Err(complaint()),
        })
    }
}

/// Without a code nothing is said.
impl Limit for CloseCode {
    const WANTED_OR_NONE: &'static str = "a close code such as `1014`, or 0 for none";

    fn is_zero(&self) -> bool {
        false
    }
}
