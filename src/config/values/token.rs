//! Names of cookies and of parameters, and secrets.

use crate::config::model::Secret;
use crate::config::problems::Complaint;
use crate::config::reading::FromText;
use crate::config::tree::{Kind, Scalar, quote};

/// The name of a cookie (RFC 6265 section 4.1.1).
pub(in crate::config) enum CookieName {}

impl CookieName {
    const LONGEST: usize = 64;
}

impl FromText for CookieName {
    type Value = String;

    const WANTED: &'static str = "the name of a cookie";
    const PATTERN: &'static str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$";

    fn from_text(text: &str) -> Result<String, Complaint> {
        let is_sound = (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(is_token_byte);
        if !is_sound {
            let complaint = format!(
                "{} is not the name of a cookie: at most {} letters, digits and `-_.`",
                quote(text),
                Self::LONGEST
            );
            return Err(complaint.into());
        }
        Ok(text.to_owned())
    }
}

/// The characters of a token (RFC 9110 section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The name of a parameter in a query, as written in the target.
pub(in crate::config) enum QueryName {}

impl FromText for QueryName {
    type Value = String;

    const WANTED: &'static str = "the name of a query parameter";
    const PATTERN: &'static str = "^[!$'()*+,./0-9:;?@A-Z_a-z~%-]+$";

    fn from_text(text: &str) -> Result<String, Complaint> {
        let is_sound = |byte: u8| byte.is_ascii_graphic() && !b"&=#\"<>\\^`{|}[]".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_sound) {
            let complaint = format!("{} is not the name of a query parameter", quote(text));
            return Err(complaint.into());
        }
        Ok(text.to_owned())
    }
}

/// A text of at least 32 bytes. Unlike elsewhere, a problem never quotes what is written.
impl FromText for Secret {
    type Value = Self;

    const WANTED: &'static str = "a text of at least 32 bytes";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        /// As long as what it keys: SHA-256.
        const SHORTEST: usize = 32;
        match text.len() {
            ..SHORTEST => Err(format!("a secret has at least {SHORTEST} bytes").into()),
            SHORTEST.. => Ok(Self(text.to_owned())),
        }
    }

    fn not_text(scalar: &Scalar) -> Option<Complaint> {
        let is_value = scalar.kind != Kind::Null;
        is_value.then(|| "must be text; write it in quotes".into())
    }
}
