//! The sticky cookie, by which a client returns to its backend.
//!
//! The token of a backend is the HMAC of the names of the pool and the backend, truncated to 16 bytes. Without the key nobody can
//! forge one or learn the names from it. It is never parsed: a cookie is compared with the tokens of all backends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::backend::Member;
use super::cookie;
use crate::config::{self, Name, SameSite};

/// Nobody guesses 128 bits.
const TOKEN_BYTES: usize = 16;
/// The most cookies of this name in a request that are read.
const COOKIES_MAX: usize = 4;

type Token = [u8; TOKEN_BYTES];

/// The sticky cookie of a pool.
pub(super) struct Sticky {
    name: Box<str>,
    demands_secure: bool,
    /// The attribute SameSite, and what belongs to it.
    same_site: &'static str,
    ttl: Duration,
    key: Key,
    /// One for each member.
    tokens: Vec<Token>,
}

/// The key of the tokens.
#[derive(Clone)]
enum Key {
    /// From the configuration.
    Given(Arc<[u8]>),
    /// Random, for the life of the process; it survives reloads.
    Random(Arc<[u8]>),
}

/// The backend that the cookies of a request claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Claimed {
    /// There is no cookie.
    Nothing,
    /// The token is of no backend: made with another key, of a backend that is gone, or forged.
    Unknown,
    /// The member with this index.
    Member(usize),
}

impl Sticky {
    pub(super) fn new(
        config: &config::Sticky,
        pool: &Name,
        members: &[Member],
        previous: Option<&Self>,
    ) -> Self {
        let key = match (&config.secret, previous.map(|previous| &previous.key)) {
            (Some(secret), _) => Key::Given(secret.0.as_bytes().into()),
            (None, Some(Key::Random(key))) => Key::Random(Arc::clone(key)),
            (None, _) => Key::Random(Arc::new(rand::random::<[u8; 32]>())),
        };
        let token = |member: &Member| token(&key, pool, member.name());
        Self {
            name: config.cookie.as_str().into(),
            demands_secure: config.demands_secure(),
            same_site: match config.same_site {
                SameSite::Lax => "Lax",
                SameSite::Strict => "Strict",
                SameSite::None => "None; Partitioned",
            },
            ttl: config.ttl,
            tokens: members.iter().map(token).collect(),
            key,
        }
    }

    /// The name of the cookie.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The backend that the cookies of a request claim. All tokens are compared, in constant time.
    pub(super) fn read(&self, headers: &HeaderMap) -> Claimed {
        let fields = headers.get_all(COOKIE).into_iter();
        let cookies = fields.flat_map(|field| cookie::pairs(field.as_bytes()));
        let own = cookies.filter(|pair| pair.name == self.name.as_bytes());
        let mut claimed = Claimed::Nothing;
        for pair in own.take(COOKIES_MAX) {
            if let Some(index) = self.find(pair.value) {
                return Claimed::Member(index);
            }
            claimed = Claimed::Unknown;
        }
        claimed
    }

    /// Set-Cookie for the backend at `index`.
    ///
    /// With SameSite=Lax or Strict, pages of other sites open their sockets without it. With None they send it, but most browsers
    /// ask for Partitioned as well: then they keep one for each site that a page is of. None, and a name with the prefix `__Host-`
    /// or `__Secure-`, demand Secure, even where TLS ends at a proxy in front.
    pub(super) fn cookie(&self, index: usize, is_secure: bool) -> HeaderValue {
        let token = URL_SAFE_NO_PAD.encode(self.tokens[index]);
        let Self {
            name, same_site, ..
        } = self;
        let mut cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite={same_site}");
        if is_secure || self.demands_secure {
            cookie.push_str("; Secure");
        }
        if self.renews() {
            cookie.push_str(&format!(
                "; Max-Age={}",
                self.ttl.as_millis().div_ceil(1000)
            ));
        }
        HeaderValue::try_from(cookie).expect("a token, a name and numbers are a field value")
    }

    /// Whether every answer sets the cookie again, so that its lifetime counts from the last one.
    pub(super) fn renews(&self) -> bool {
        !self.ttl.is_zero()
    }

    fn find(&self, value: &[u8]) -> Option<usize> {
        let claimed: Token = URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok()?;
        let mut found = None;
        for (index, token) in self.tokens.iter().enumerate() {
            if bool::from(token.ct_eq(&claimed)) {
                found = Some(index);
            }
        }
        found
    }
}

fn token(key: &Key, pool: &str, backend: &str) -> Token {
    let (Key::Given(key) | Key::Random(key)) = key;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    // Names have no zero byte, so different pairs give different inputs.
    for part in [pool, "\0", backend] {
        mac.update(part.as_bytes());
    }
    let mut token = [0; TOKEN_BYTES];
    token.copy_from_slice(&mac.finalize().into_bytes()[..TOKEN_BYTES]);
    token
}

/// Without the key and the tokens.
impl fmt::Debug for Sticky {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sticky")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fixtures::members;

    fn sticky(secret: Option<&str>, previous: Option<&Sticky>) -> Sticky {
        let config = config::Sticky {
            cookie: "wsgate".to_owned(),
            ttl: Duration::ZERO,
            secret: secret.map(|secret| config::Secret(secret.to_owned())),
            same_site: SameSite::Lax,
        };
        Sticky::new(&config, &"chat".into(), &members(&[1, 1, 1]), previous)
    }

    fn read(sticky: &Sticky, cookies: &[&str]) -> Claimed {
        let field = |cookie: &&str| (COOKIE, cookie.parse().unwrap());
        sticky.read(&cookies.iter().map(field).collect())
    }

    fn set(sticky: &Sticky, index: usize) -> String {
        let cookie = sticky.cookie(index, false);
        let pair = cookie.to_str().unwrap().split(';').next();
        pair.unwrap().to_owned()
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn knows_its_own_tokens_again() {
        let one = sticky(Some(SECRET), None);
        for index in 0..3 {
            let cookie = set(&one, index);
            assert!(!cookie.contains("backend"), "{cookie}");
            assert_eq!(read(&one, &[&cookie]), Claimed::Member(index));
            let among_others = format!("a=b; {cookie}; wsgate_=x");
            assert_eq!(read(&one, &["c=d", &among_others]), Claimed::Member(index));
            let twice = format!("wsgate=old; {cookie}");
            assert_eq!(read(&one, &[&twice]), Claimed::Member(index));
        }
    }

    #[test]
    fn a_secret_is_shared_and_a_random_key_survives_the_next_configuration() {
        let (one, other) = (sticky(Some(SECRET), None), sticky(Some(SECRET), None));
        assert_eq!(read(&other, &[&set(&one, 2)]), Claimed::Member(2));
        let alone = sticky(None, None);
        assert_eq!(
            read(&sticky(None, None), &[&set(&alone, 2)]),
            Claimed::Unknown
        );
        let after = sticky(None, Some(&alone));
        assert_eq!(read(&after, &[&set(&alone, 2)]), Claimed::Member(2));
    }

    #[test]
    fn lets_nothing_else_count() {
        let one = sticky(Some(SECRET), None);
        assert_eq!(read(&one, &[]), Claimed::Nothing);
        assert_eq!(read(&one, &["other=x"]), Claimed::Nothing);
        let cookie = set(&one, 0);
        let last = if cookie.ends_with('A') { "Q" } else { "A" };
        let forged = [
            "wsgate=".to_owned(),
            "wsgate=backend0".to_owned(),
            format!("{cookie}A"),
            format!("{}{last}", &cookie[..cookie.len() - 1]),
            format!("wsgate={}", "A".repeat(9000)),
        ];
        for forged in forged {
            assert_eq!(read(&one, &[&forged]), Claimed::Unknown, "{forged}");
        }
    }

    #[test]
    fn writes_the_attributes() {
        let mut one = sticky(Some(SECRET), None);
        let attributes = |sticky: &Sticky, is_secure| {
            let cookie = sticky.cookie(0, is_secure);
            let cookie = cookie.to_str().unwrap().to_owned();
            cookie.split_once(';').unwrap().1.to_owned()
        };
        assert_eq!(attributes(&one, false), " Path=/; HttpOnly; SameSite=Lax");
        one.ttl = Duration::from_millis(3_599_500);
        assert_eq!(
            attributes(&one, true),
            " Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600"
        );
        one.demands_secure = true;
        one.ttl = Duration::ZERO;
        assert_eq!(
            attributes(&one, false),
            " Path=/; HttpOnly; SameSite=Lax; Secure"
        );
    }
}
