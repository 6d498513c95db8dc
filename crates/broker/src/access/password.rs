//! Passwords as they are kept: argon2id, with what SCRAM needs behind it, and hashes of other
//! brokers until their next log-in.
//!
//! ```text
//!  $argon2id$v=19$m=8192,t=2,p=1$SALT$HASH $scram-sha-256$i=...    ours
//!  ALGORITHM:HASH                                                  another broker's
//! ```
//!
//! The second part is missing where nobody has seen the password since hashes have it, and where
//! the password is no text that SCRAM allows.
//!
//! Salts come from the system's generator, not from the seed of the broker: no simulated run sets
//! a password, and a salt that could be foreseen would be none.
//!
//! Invariants
//! - A password is compared in a time that does not depend on where it differs.
//! - Whatever is wrong about a log-in, one argon2id hash is computed for it, so that the time
//!   tells nobody which users there are.
//! - Both parts of what is kept are of one password.
//!
//! Not here: the hashes of others (`foreign.rs`), what SCRAM needs (`scram.rs`).

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use ring::rand::{SecureRandom, SystemRandom};

use super::scram::ScramVerifier;
use super::{AccessError, foreign};

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 8 << 10;
const ROUNDS: u32 = 2;
const SALT_BYTES: usize = 16;
/// Longest password, in bytes: what is longer is refused before it is hashed.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Longest hash that is kept, in bytes.
const KEPT_BYTES_MAX: usize = 512;
/// Length of a password that is made up, in characters.
const MADE_UP_CHARS: usize = 24;

/// The hash of `guest`: known to all, so its salt may be known, too.
pub(super) const GUEST: &str = "$argon2id$v=19$m=8192,t=2,p=1$Z3Vlc3Qtb2YtZmVycnltcQ$\
    DswBSIR5pRQYW+IH2IKTFmx/mLQ08+PIcrEp/ptF5Go \
    $scram-sha-256$i=10000$Z3Vlc3Qtb2YtZmVycnltcQ$LE3liVijFRjRm17lhzEyH6ra9sNWfLYZTkTBwGwgJgw$\
    kOcylYBIILoKizZvcwNnfSOFzfQO91ZJRuuM9c8R57o";

/// What a password is compared with when there is nothing else.
pub(super) const NOBODY: &str = GUEST;

/// How hashes of our own are called where RabbitMQ names the way of hashing.
const OURS: &str = "argon2id";

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, ROUNDS, 1, None).expect("these are in argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

pub(super) fn random<const BYTES: usize>() -> [u8; BYTES] {
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
    let hash = hash.map_err(|error| invalid(error.to_string()))?;
    Ok(with_scram(&hash.to_string(), password).unwrap_or_else(|| hash.to_string()))
}

/// A hash of ours with what SCRAM needs of the same password.
fn with_scram(hash: &str, password: &[u8]) -> Option<String> {
    let verifier = ScramVerifier::of_password(password, random())?;
    Some(format!("{hash} {verifier}"))
}

/// What SCRAM needs of the password of a hash that is kept, if it has that.
pub(super) fn scram_of(kept: &str) -> Option<ScramVerifier> {
    let (_, scram) = kept.split_once(' ')?;
    ScramVerifier::parse(scram)
}

/// A hash as RabbitMQ's API names it, in the form in which it is kept. None for an empty one: no
/// password is right then.
pub(super) fn import(algorithm: &str, hash: &str) -> Result<Option<String>, AccessError> {
    if hash.is_empty() {
        return Ok(None);
    }
    if algorithm == OURS {
        check_ours(hash)?;
        return Ok(Some(hash.to_owned()));
    }
    foreign::check(algorithm, hash)?;
    Ok(Some(format!("{algorithm}:{hash}")))
}

/// The way of hashing and the hash of what is kept, as RabbitMQ's API names them.
pub(super) fn export(kept: &str) -> (&str, &str) {
    kept.split_once(':').unwrap_or((OURS, kept))
}

/// Refuses what is no hash that a password could be compared with.
pub(super) fn check(kept: &str) -> Result<(), AccessError> {
    match kept.split_once(':') {
        Some((algorithm, hash)) => foreign::check(algorithm, hash),
        None => check_ours(kept),
    }
}

fn check_ours(kept: &str) -> Result<(), AccessError> {
    let invalid = |why: &str| AccessError::Invalid(format!("the password hash: {why}"));
    if kept.len() > KEPT_BYTES_MAX {
        return Err(invalid("it is too long"));
    }
    let hash = match kept.split_once(' ') {
        None => kept,
        Some((hash, scram)) => match ScramVerifier::parse(scram) {
            Some(_) => hash,
            None => {
                return Err(invalid(
                    "what it has for SCRAM is not SCRAM-SHA-256 in bounds",
                ));
            }
        },
    };
    let parsed = PasswordHash::new(hash).map_err(|error| invalid(&error.to_string()))?;
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
    let foreign = kept.and_then(|kept| kept.split_once(':'));
    let Some((algorithm, digest)) = foreign else {
        return verify_ours(kept, password);
    };
    // The same work as for any other log-in.
    let better = hash(password).ok();
    match foreign::verify(algorithm, digest, password) {
        true => (true, better),
        false => (false, None),
    }
}

fn verify_ours(kept: Option<&str>, password: &[u8]) -> (bool, Option<String>) {
    let (hash, scram) = match kept.unwrap_or(NOBODY).split_once(' ') {
        Some((hash, scram)) => (hash, Some(scram)),
        None => (kept.unwrap_or(NOBODY), None),
    };
    let verified = PasswordHash::new(hash)
        .is_ok_and(|parsed| argon2().verify_password(password, &parsed).is_ok());
    match verified && kept.is_some() {
        false => (false, None),
        true if scram.is_some() => (true, None),
        true => (true, with_scram(hash, password)),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use md5::Digest;
    use ring::digest::{SHA512, digest};

    use super::*;

    /// `test12` by mosquitto_passwd, as it is made now, and as it was made up to 1.6.
    const MOSQUITTO_7: &str = "$7$101$jEex+D0qNxc97MOL$\
        s68+dwBdGH0guI+ATcVLcKI0/Gs70LArodrT9zTT0BltTgMm/4H8ZEjcaqJc55mnv2vHJ1rpI1eOSfwZ4O3AZw==";
    const MOSQUITTO_6: &str = "$6$K/6nM//vt+t4LBTD$\
        /gPhDrX/VOEF+IzvzmoGfWs9SgfgCBv3feE4dOs7kOZrLCTTLf0wJrxeHwPdUIQ46xl0gt5VyXBzw8xfpOdSUA==";

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
        let ours = hash(b"test12").unwrap();
        let without_scram = ours.split_once(' ').unwrap().0.to_owned();
        for (kept, upgraded) in [
            (Some(ours), false),
            (Some(without_scram), true),
            // Made by mosquitto_passwd of Mosquitto 2.0, in both of its ways.
            (import("mosquitto", MOSQUITTO_7).unwrap(), true),
            (import("mosquitto", MOSQUITTO_6).unwrap(), true),
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
                assert!(scram_of(&better).is_some());
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
        let scram = GUEST.split_once(' ').unwrap().1;
        let salt = *b"guest-of-ferrymq";
        let made = ScramVerifier::of_password(b"guest", salt).unwrap();
        assert_eq!(made.to_string(), scram);
        // What is no text has no SCRAM, and is not asked for it at each log-in.
        let kept = hash(b"\xff\xfe").unwrap();
        assert!(scram_of(&kept).is_none());
        assert_eq!(verify(Some(&kept), b"\xff\xfe"), (true, None));
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
            ("argon2id", &format!("{GUEST} more")),
            ("argon2id", &GUEST.replace("i=10000", "i=4095")),
            ("argon2id", &GUEST.replace("i=10000", "i=1000000")),
            ("argon2id", &GUEST[..GUEST.len() - 4]),
            ("argon2id", " $scram-sha-256$i=10000$a$b$c"),
            ("mosquitto", "$5$c2FsdA==$aGFzaA=="),
            ("mosquitto", "$6$c2FsdA==$aGFzaA=="),
            ("mosquitto", "$7$101$c2FsdA==$aGFzaA=="),
            ("mosquitto", &MOSQUITTO_7.replace("$101$", "$0$")),
            ("mosquitto", &MOSQUITTO_7.replace("$101$", "$100001$")),
            ("mosquitto", &MOSQUITTO_7.replace("$101$", "$x$")),
            ("mosquitto", &MOSQUITTO_6.replace("$6$", "$7$")),
            ("mosquitto", "test12"),
        ] {
            assert!(import(algorithm, hash).is_err(), "{algorithm} {hash:.60}");
        }
        assert!(import("argon2id", GUEST).is_ok());
        assert!(check(&format!("mosquitto:{MOSQUITTO_7}")).is_ok());
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
