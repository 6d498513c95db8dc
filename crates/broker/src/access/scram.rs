//! What a server of SCRAM-SHA-256 keeps of a password (RFC 5802, RFC 7677).
//!
//! ```text
//!  $scram-sha-256$i=ROUNDS$SALT$STORED$SERVER      base64 without padding
//! ```
//!
//! Who has it can try passwords, at the price of PBKDF2 for each, and can pass for the server, but
//! can not log in with it. It is cheaper to try than the argon2id next to it: rounds are what small
//! clients can bear.
//!
//! Invariants
//! - Passwords are prepared by SASLprep; one that it refuses has no verifier.
//! - Proofs are compared in a time that does not depend on where they differ.
//!
//! Not here: the messages of the exchange (`ferry-auth`).

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use ring::{digest, hmac, pbkdf2};

use super::foreign::same;

/// Rounds of PBKDF2 for new passwords.
const ROUNDS: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not zero");
/// Rounds that are taken from elsewhere: the least is the standard's.
const ROUNDS_ALLOWED: RangeInclusive<u32> = 4_096..=100_000;
const SALT_BYTES: usize = 16;
/// Longest salt that is taken from elsewhere.
const SALT_BYTES_MAX: usize = 32;
const NAME: &str = "$scram-sha-256$i=";

type Key = [u8; 32];

/// What is kept of a password for SCRAM-SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl ScramVerifier {
    /// None for a password that is no text, or has characters that SASLprep refuses.
    pub(super) fn of_password(password: &[u8], salt: [u8; SALT_BYTES]) -> Option<ScramVerifier> {
        let password = std::str::from_utf8(password).ok()?;
        let password = stringprep::saslprep(password).ok()?;
        let mut salted = Key::default();
        let way = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(way, ROUNDS, &salt, password.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        Some(ScramVerifier {
            rounds: ROUNDS,
            salt: salt.to_vec(),
            stored_key: sha256(&client_key),
            server_key: sign(&salted, b"Server Key"),
        })
    }

    /// One that no proof is right for, and that is the same each time that a user is asked for.
    pub(super) fn made_up(secret: &[u8], user: &str) -> ScramVerifier {
        let of = |what: &str| {
            sign(
                secret,
                [what.as_bytes(), user.as_bytes()].concat().as_slice(),
            )
        };
        ScramVerifier {
            rounds: ROUNDS,
            salt: of("salt:")[..SALT_BYTES].to_vec(),
            stored_key: of("stored:"),
            server_key: of("server:"),
        }
    }

    /// As it was written; none for something else, or out of bounds.
    pub(super) fn parse(text: &str) -> Option<ScramVerifier> {
        let mut parts = text.strip_prefix(NAME)?.split('$');
        let rounds = parts.next()?.parse().ok()?;
        let mut bytes = || BASE64_STANDARD_NO_PAD.decode(parts.next()?).ok();
        let (salt, stored_key, server_key) = (bytes()?, bytes()?, bytes()?);
        let fits = parts.next().is_none()
            && ROUNDS_ALLOWED.contains(&rounds)
            && (1..=SALT_BYTES_MAX).contains(&salt.len());
        Some(ScramVerifier {
            rounds: NonZeroU32::new(rounds).filter(|_| fits)?,
            salt,
            stored_key: stored_key.try_into().ok()?,
            server_key: server_key.try_into().ok()?,
        })
    }

    /// Rounds of PBKDF2 that the client has to do.
    pub fn rounds(&self) -> u32 {
        self.rounds.get()
    }

    /// The salt of the password.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether a proof shows that its sender knows the password.
    pub fn is_proof(&self, auth_message: &[u8], proof: &[u8]) -> bool {
        let signature = sign(&self.stored_key, auth_message);
        let client_key = proof.iter().zip(signature).map(|(a, b)| a ^ b);
        let client_key: Vec<u8> = client_key.collect();
        proof.len() == signature.len() && same(&sha256(&client_key), &self.stored_key)
    }

    /// What shows the client that the server has the verifier of its password.
    pub fn signature(&self, auth_message: &[u8]) -> [u8; 32] {
        sign(&self.server_key, auth_message)
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
        let keys = [&self.salt[..], &self.stored_key, &self.server_key].map(text);
        write!(f, "{NAME}{}${}", self.rounds, keys.join("$"))
    }
}

/// Says nothing of what nobody is to see in a log.
impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ScramVerifier");
        shown.field("rounds", &self.rounds).finish_non_exhaustive()
    }
}

fn sign(key: &[u8], message: &[u8]) -> Key {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, message);
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn sha256(bytes: &[u8]) -> Key {
    let found = digest::digest(&digest::SHA256, bytes);
    found.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_read_as_it_was_written() {
        let verifier = ScramVerifier::of_password(b"pencil", [7; SALT_BYTES]).unwrap();
        let text = verifier.to_string();
        assert_eq!(ScramVerifier::parse(&text), Some(verifier.clone()));
        let made_up = ScramVerifier::made_up(b"secret", "ann");
        assert_eq!(
            ScramVerifier::parse(&made_up.to_string()),
            Some(made_up.clone())
        );
        assert!(!format!("{verifier:?}").contains("stored"));
        for wrong in [
            text.replace("i=10000", "i=4095"),
            text.replace("i=10000", "i=100001"),
            text.replace("sha-256", "sha-1"),
            format!("{text}$more"),
            text[..text.len() - 1].to_owned(),
            text.replace("$BwcHBwcHBwcHBwcHBwcHBw$", "$$"),
            String::new(),
        ] {
            assert_eq!(ScramVerifier::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_made_up_is_the_same_each_time_and_differs_by_user_and_secret() {
        let made_up = |secret: &[u8], user| ScramVerifier::made_up(secret, user);
        assert_eq!(made_up(b"a", "ann"), made_up(b"a", "ann"));
        assert_ne!(made_up(b"a", "ann").salt(), made_up(b"a", "bob").salt());
        assert_ne!(made_up(b"a", "ann").salt(), made_up(b"b", "ann").salt());
        let real = ScramVerifier::of_password(b"x", [1; SALT_BYTES]).unwrap();
        let made_up = made_up(b"a", "ann");
        assert_eq!(
            (made_up.rounds(), made_up.salt().len()),
            (real.rounds(), real.salt().len())
        );
    }

    #[test]
    fn passwords_are_prepared() {
        let of = |password: &str| ScramVerifier::of_password(password.as_bytes(), [1; SALT_BYTES]);
        for (one, other) in [
            // A soft hyphen is nothing, a wide blank is a blank, and a sign has one form.
            ("I\u{ad}X", "IX"),
            ("a\u{a0}b", "a b"),
            ("\u{2168}", "IX"),
            ("e\u{301}", "\u{e9}"),
        ] {
            assert_eq!(of(one), of(other), "{one}");
        }
        assert_ne!(of("ix"), of("IX"));
        for refused in ["a\u{7}b", "\u{627}1", "\u{e000}"] {
            assert_eq!(of(refused), None, "{refused:?}");
        }
        assert_eq!(ScramVerifier::of_password(b"\xff", [1; SALT_BYTES]), None);
    }
}
