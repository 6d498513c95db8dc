//! Passwords as they are kept: argon2id, and RabbitMQ's salted hashes until their next log-in.
//!
//! ```text
//!  $argon2id$v=19$m=8192,t=2,p=1$SALT$HASH          ours, in the PHC form
//!  rabbit_password_hashing_sha256:BASE64             salt (4 bytes), then the digest
//! ```
//!
//! Salts come from the system's generator, not from the seed of the broker: no simulated run sets
//! a password, and a salt that could be foreseen would be none.
//!
//! Invariants
//! - A password is compared in a time that does not depend on where it differs.
//! - Whatever is wrong about a log-in, one argon2id hash is computed for it, so that the time
//!   tells nobody which users there are.

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_core::limits::NAME_BYTES_MAX;
use md5::Digest;
use ring::digest::{SHA256, SHA512, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::AccessError;

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 8 << 10;
const ROUNDS: u32 = 2;
const SALT_BYTES: usize = 16;
/// Longest password, in bytes: what is longer is refused before it is hashed.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Salt of RabbitMQ's hashes.
const RABBIT_SALT_BYTES: usize = 4;
/// Length of a password that is made up, in characters.
const MADE_UP_CHARS: usize = 24;

/// The hash of `guest`: known to all, so its salt may be known, too.
pub(super) const GUEST: &str = "$argon2id$v=19$m=8192,t=2,p=1$Z3Vlc3Qtb2YtZmVycnltcQ$\
    DswBSIR5pRQYW+IH2IKTFmx/mLQ08+PIcrEp/ptF5Go";

/// What a password is compared with when there is nothing else.
pub(super) const NOBODY: &str = GUEST;

/// RabbitMQ's ways to hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rabbit {
    Sha256,
    Sha512,
    Md5,
}

const RABBIT: [(&str, Rabbit); 3] = [
    ("rabbit_password_hashing_sha256", Rabbit::Sha256),
    ("rabbit_password_hashing_sha512", Rabbit::Sha512),
    ("rabbit_password_hashing_md5", Rabbit::Md5),
];

/// How hashes of our own are called where RabbitMQ names the way of hashing.
const OURS: &str = "argon2id";

impl Rabbit {
    fn digest(self, salt: &[u8], password: &[u8]) -> Vec<u8> {
        let salted = [salt, password].concat();
        match self {
            Rabbit::Sha256 => digest(&SHA256, &salted).as_ref().to_vec(),
            Rabbit::Sha512 => digest(&SHA512, &salted).as_ref().to_vec(),
            Rabbit::Md5 => md5::Md5::digest(&salted).to_vec(),
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Rabbit::Sha256 => 32,
            Rabbit::Sha512 => 64,
            Rabbit::Md5 => 16,
        }
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, ROUNDS, 1, None).expect("these are in argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.expect("the system has randomness");
    bytes
}

/// Random bytes to be a key.
pub(super) fn random_key() -> [u8; 32] {
    random()
}

/// A password that nobody guesses.
pub(super) fn made_up() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = random::<MADE_UP_CHARS>();
    letters
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
        .collect()
}

/// The hash of a password, to be kept. Takes some milliseconds of a processor.
pub(super) fn hash(password: &[u8]) -> Result<String, AccessError> {
    let invalid = |why: String| AccessError::Invalid(why);
    if password.is_empty() {
        return Err(invalid("a password is not empty".to_owned()));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        let why = format!("a password has {PASSWORD_BYTES_MAX} bytes at most");
        return Err(invalid(why));
    }
    let salt = SaltString::encode_b64(&random::<SALT_BYTES>()).expect("a salt of that length");
    let hash = argon2().hash_password(password, &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| invalid(error.to_string()))
}

/// A hash as RabbitMQ's API names it, in the form in which it is kept. None for an empty one: no
/// password is right then.
pub(super) fn import(algorithm: &str, hash: &str) -> Result<Option<String>, AccessError> {
    if hash.is_empty() {
        return Ok(None);
    }
    let invalid = |why: &str| AccessError::Invalid(why.to_owned());
    if algorithm == OURS {
        check(hash)?;
        return Ok(Some(hash.to_owned()));
    }
    let known = RABBIT.iter().find(|(name, _)| *name == algorithm);
    let Some((name, way)) = known else {
        return Err(invalid(&format!(
            "hashing algorithm '{algorithm}' is not known"
        )));
    };
    let bytes = decode_base64(hash).ok_or_else(|| AccessError::NotBase64(hash.to_owned()))?;
    if bytes.len() != RABBIT_SALT_BYTES + way.digest_bytes() {
        return Err(invalid(&format!("a hash of {name} has another length")));
    }
    Ok(Some(format!("{name}:{hash}")))
}

/// The way of hashing and the hash of what is kept, as RabbitMQ's API names them.
pub(super) fn export(kept: &str) -> (&str, &str) {
    kept.split_once(':').unwrap_or((OURS, kept))
}

/// Refuses what is no hash that a password could be compared with.
pub(super) fn check(kept: &str) -> Result<(), AccessError> {
    let invalid = |why: &str| AccessError::Invalid(format!("the password hash: {why}"));
    if let Some((algorithm, hash)) = kept.split_once(':') {
        return import(algorithm, hash).map(|_| ());
    }
    if kept.len() > NAME_BYTES_MAX {
        return Err(invalid("it is too long"));
    }
    let parsed = PasswordHash::new(kept).map_err(|error| invalid(&error.to_string()))?;
    let ours = argon2().params().clone();
    let bounded = Params::try_from(&parsed).is_ok_and(|found| {
        found.m_cost() <= 8 * ours.m_cost()
            && found.t_cost() <= 8 * ours.t_cost()
            && found.p_cost() <= 4
    });
    let argon2 = parsed.algorithm.as_str().starts_with("argon2") && parsed.hash.is_some();
    match argon2 && bounded {
        true => Ok(()),
        false => Err(invalid("it is not argon2 within bounds")),
    }
}

/// Whether a password is the one of a hash, and what to keep from now on if that is better.
pub(super) fn verify(kept: Option<&str>, password: &[u8]) -> (bool, Option<String>) {
    let password = &password[..password.len().min(PASSWORD_BYTES_MAX + 1)];
    let rabbit = kept.and_then(|kept| kept.split_once(':'));
    let Some((algorithm, digest)) = rabbit else {
        let right = verify_argon2(kept.unwrap_or(NOBODY), password);
        return (right && kept.is_some(), None);
    };
    // The same work as for any other log-in.
    let better = hash(password).ok();
    match verify_rabbit(algorithm, digest, password) {
        true => (true, better),
        false => (false, None),
    }
}

fn verify_argon2(kept: &str, password: &[u8]) -> bool {
    let Ok(parsed) = PasswordHash::new(kept) else {
        return false;
    };
    argon2().verify_password(password, &parsed).is_ok()
}

fn verify_rabbit(algorithm: &str, hash: &str, password: &[u8]) -> bool {
    let known = RABBIT.iter().find(|(name, _)| *name == algorithm);
    let (Some((_, way)), Some(bytes)) = (known, decode_base64(hash)) else {
        return false;
    };
    let Some((salt, expected)) = bytes.split_at_checked(RABBIT_SALT_BYTES) else {
        return false;
    };
    let found = way.digest(salt, password);
    same(&found, expected)
}

/// Whether two digests are the same, in a time that depends on their length alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b));
    a.len() == b.len() && differing == 0
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `test12`, salted by RabbitMQ's documentation.
    const SHA256_TEST12: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

    fn rabbit(algorithm: &str, salt: &[u8], digest: &[u8]) -> Option<String> {
        let hash = BASE64_STANDARD.encode([salt, digest].concat());
        import(algorithm, &hash).unwrap()
    }

    #[test]
    fn every_kind_of_hash_knows_its_password_and_no_other() {
        let salt = b"salt";
        let salted = |password: &[u8]| [&salt[..], password].concat();
        for (kept, upgraded) in [
            (Some(hash(b"test12").unwrap()), false),
            (
                import("rabbit_password_hashing_sha256", SHA256_TEST12).unwrap(),
                true,
            ),
            (
                rabbit(
                    "rabbit_password_hashing_sha512",
                    salt,
                    digest(&SHA512, &salted(b"test12")).as_ref(),
                ),
                true,
            ),
            (
                rabbit(
                    "rabbit_password_hashing_md5",
                    salt,
                    &md5::Md5::digest(salted(b"test12")),
                ),
                true,
            ),
        ] {
            let kept = kept.as_deref();
            let (right, better) = verify(kept, b"test12");
            assert_eq!((right, better.is_some()), (true, upgraded), "{kept:?}");
            if let Some(better) = better {
                assert_eq!(verify(Some(&better), b"test12"), (true, None));
            }
            for wrong in [&b""[..], b"test1", b"test123", b"TEST12", &[b'x'; 5000]] {
                assert_eq!(verify(kept, wrong), (false, None), "{kept:?}");
            }
        }
    }

    #[test]
    fn without_a_hash_no_password_is_right() {
        for password in [&b""[..], b"guest", b"x"] {
            assert_eq!(verify(None, password), (false, None));
        }
        assert_eq!(import("rabbit_password_hashing_sha256", "").unwrap(), None);
        assert_eq!(verify(Some(GUEST), b"guest"), (true, None));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let long = format!("$argon2id$v=19$m=8192,t=2,p=1${}", "a".repeat(300));
        for (algorithm, hash) in [
            ("rabbit_password_hashing_sha256", "zzz"),
            ("rabbit_password_hashing_sha256", "zzzz"),
            ("rabbit_password_hashing_sha512", SHA256_TEST12),
            ("nonsense", SHA256_TEST12),
            ("argon2id", SHA256_TEST12),
            ("argon2id", "$argon2id$v=19$m=8192,t=2,p=1$c2FsdHNhbHQ"),
            (
                "argon2id",
                "$argon2id$v=19$m=4000000,t=2,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0",
            ),
            (
                "argon2id",
                "$argon2id$v=19$m=8192,t=4000000,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0",
            ),
            ("argon2id", &long),
        ] {
            assert!(import(algorithm, hash).is_err(), "{algorithm} {hash:.60}");
        }
        assert!(import("argon2id", GUEST).is_ok());
        for bad in [&b""[..], &[b'x'; PASSWORD_BYTES_MAX + 1]] {
            assert!(hash(bad).is_err());
        }
    }

    #[test]
    fn two_hashes_of_one_password_differ_and_made_up_passwords_do() {
        assert_ne!(hash(b"same").unwrap(), hash(b"same").unwrap());
        assert_ne!(made_up(), made_up());
        assert_eq!(made_up().len(), MADE_UP_CHARS);
    }

    #[test]
    fn hashes_are_shown_as_rabbitmq_names_them() {
        let kept = import("rabbit_password_hashing_sha256", SHA256_TEST12).unwrap();
        let (algorithm, hash) = export(kept.as_deref().unwrap());
        assert_eq!(
            (algorithm, hash),
            ("rabbit_password_hashing_sha256", SHA256_TEST12)
        );
        assert_eq!(export(GUEST), ("argon2id", GUEST));
    }
}
