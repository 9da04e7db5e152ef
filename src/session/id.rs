//! The identity of a session.

use std::fmt;

/// Identifies a session in every log line: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionId(u128);

impl SessionId {
    /// Makes a new identity; two are equal with a probability of 2⁻¹²⁸.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
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
