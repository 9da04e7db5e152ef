//! The identity of a session.

use std::fmt;

/// Identifies a session in every log line: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionId(u128);

impl SessionId {
    /// A random identity. Two are equal with a probability of 2⁻¹²⁸.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The hexadecimal digits, in ASCII.
    #[must_use]
    pub fn digits(self) -> [u8; 32] {
        let bytes = self.0.to_be_bytes();
        std::array::from_fn(|place| {
            let byte = bytes[place / 2];
            let half = if place % 2 == 0 { byte >> 4 } else { byte & 15 };
            b"0123456789abcdef"[usize::from(half)]
        })
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_32_hexadecimal_digits() {
        assert_eq!(SessionId(0xab).to_string(), format!("{}ab", "0".repeat(30)));
        assert_eq!(SessionId::random().to_string().len(), 32);
    }
}
