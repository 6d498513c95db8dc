//! Hashes of passwords that other brokers have made, which are replaced at the next log-in.
//!
//! ```text
//!  rabbit_password_hashing_sha256   BASE64               4 bytes salt, SHA-256 of salt, password
//!  rabbit_password_hashing_sha512   BASE64               the same with SHA-512
//!  rabbit_password_hashing_md5      BASE64               the same with MD5
//!  mosquitto                        $6$SALT$HASH         SHA-512 of password, salt; both in base64
//!                                   $7$ROUNDS$SALT$HASH  PBKDF2-HMAC-SHA512
//! ```
//!
//! Invariants
//! - Digests are compared in a time that depends on their length alone.

use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::Digest;
use ring::digest::{SHA256, SHA512, digest};
use ring::pbkdf2;

use super::AccessError;

/// Salt of RabbitMQ's hashes.
const RABBIT_SALT_BYTES: usize = 4;
/// Most rounds of Mosquitto's PBKDF2 that are computed; its own are 101.
const MOSQUITTO_ROUNDS_MAX: u32 = 100_000;
const MOSQUITTO_DIGEST_BYTES: usize = 64;
/// Longest salt of Mosquitto; its own have 12 bytes.
const MOSQUITTO_SALT_BYTES_MAX: usize = 64;

/// A way to hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    RabbitSha256,
    RabbitSha512,
    RabbitMd5,
    Mosquitto,
}

const WAYS: [(&str, Way); 4] = [
    ("rabbit_password_hashing_sha256", Way::RabbitSha256),
    ("rabbit_password_hashing_sha512", Way::RabbitSha512),
    ("rabbit_password_hashing_md5", Way::RabbitMd5),
    ("mosquitto", Way::Mosquitto),
];

fn way(algorithm: &str) -> Option<Way> {
    let found = WAYS.iter().find(|(name, _)| *name == algorithm);
    found.map(|(_, way)| *way)
}

/// A hash, taken apart.
struct Hash {
    way: Way,
    salt: Vec<u8>,
    /// None for a single digest.
    rounds: Option<NonZeroU32>,
    digest: Vec<u8>,
}

/// Refuses what no password could be compared with.
pub(super) fn check(algorithm: &str, hash: &str) -> Result<(), AccessError> {
    let invalid = |why: String| AccessError::Invalid(why);
    let Some(way) = way(algorithm) else {
        let why = format!("hashing algorithm '{algorithm}' is not known");
        return Err(invalid(why));
    };
    if way != Way::Mosquitto {
        let bytes = decode(hash).ok_or_else(|| AccessError::NotBase64(hash.to_owned()))?;
        return match bytes.len() == RABBIT_SALT_BYTES + digest_bytes(way) {
            true => Ok(()),
            false => Err(invalid(format!("a hash of {algorithm} has another length"))),
        };
    }
    let why = || format!("it is not a hash of {algorithm} within bounds");
    mosquitto(hash).map(|_| ()).ok_or_else(|| invalid(why()))
}

/// Whether a password is the one of a hash.
pub(super) fn verify(algorithm: &str, hash: &str, password: &[u8]) -> bool {
    let parsed = way(algorithm).and_then(|way| match way {
        Way::Mosquitto => mosquitto(hash),
        way => rabbit(way, hash),
    });
    parsed.is_some_and(|parsed| same(&parsed.of(password), &parsed.digest))
}

fn digest_bytes(way: Way) -> usize {
    match way {
        Way::RabbitSha256 => 32,
        Way::RabbitSha512 => 64,
        Way::RabbitMd5 => 16,
        Way::Mosquitto => MOSQUITTO_DIGEST_BYTES,
    }
}

fn rabbit(way: Way, hash: &str) -> Option<Hash> {
    let bytes = decode(hash)?;
    let (salt, digest) = bytes.split_at_checked(RABBIT_SALT_BYTES)?;
    Some(Hash {
        way,
        salt: salt.to_vec(),
        rounds: None,
        digest: digest.to_vec(),
    })
}

fn mosquitto(hash: &str) -> Option<Hash> {
    let (rounds, rest) = match hash.strip_prefix("$7$") {
        None => (None, hash.strip_prefix("$6$")?),
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$')?;
            let rounds = rounds.parse().ok()?;
            let rounds = NonZeroU32::new(rounds).filter(|it| it.get() <= MOSQUITTO_ROUNDS_MAX);
            (Some(rounds?), rest)
        }
    };
    let (salt, digest) = rest.split_once('$')?;
    let (salt, digest) = (decode(salt)?, decode(digest)?);
    let fits = digest.len() == MOSQUITTO_DIGEST_BYTES && salt.len() <= MOSQUITTO_SALT_BYTES_MAX;
    fits.then_some(Hash {
        way: Way::Mosquitto,
        salt,
        rounds,
        digest,
    })
}

impl Hash {
    /// The digest that a password would have.
    fn of(&self, password: &[u8]) -> Vec<u8> {
        let salted = [&self.salt, password].concat();
        match (self.way, self.rounds) {
            (Way::RabbitSha256, _) => digest(&SHA256, &salted).as_ref().to_vec(),
            (Way::RabbitSha512, _) => digest(&SHA512, &salted).as_ref().to_vec(),
            (Way::RabbitMd5, _) => md5::Md5::digest(&salted).to_vec(),
            (Way::Mosquitto, None) => {
                let salted = [password, &self.salt].concat();
                digest(&SHA512, &salted).as_ref().to_vec()
            }
            (Way::Mosquitto, Some(rounds)) => {
                let mut found = vec![0; MOSQUITTO_DIGEST_BYTES];
                let way = pbkdf2::PBKDF2_HMAC_SHA512;
                pbkdf2::derive(way, rounds, &self.salt, password, &mut found);
                found
            }
        }
    }
}

/// Whether two digests are the same, in a time that depends on their length alone.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b));
    a.len() == b.len() && differing == 0
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}
