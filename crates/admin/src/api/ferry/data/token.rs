//! The token of a lease: what a client settles it by.
//!
//! ```text
//!  bytes: | run (u32) | queue (u64) | lease (u64) | tag (12) |     written in URL-safe base64
//! ```
//!
//! Invariants
//! - A token is good for its queue in the run of the broker that gave it out, and nobody makes one
//!   up: the tag is an HMAC with a key that is drawn at each start.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ferry_broker::{Broker, Lease, QueueHandle};
use ring::hmac;
use ring::rand::SystemRandom;

const PLAIN_BYTES: usize = 4 + 8 + 8;
const TAG_BYTES: usize = 12;
const TOKEN_BYTES: usize = PLAIN_BYTES + TAG_BYTES;

/// Longest token that is looked at, in characters.
const TOKEN_CHARS: usize = TOKEN_BYTES.div_ceil(3) * 4;

/// Why a token is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadToken {
    /// It is of another run of the node.
    Restarted,
    /// It was not given out here, or for another queue.
    Unknown,
}

/// Makes and checks tokens.
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub fn new() -> Signer {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Signer(key.expect("the system gives random bytes"))
    }

    pub fn token(&self, broker: &Broker, queue: &QueueHandle, lease: Lease) -> String {
        let plain = plain(broker.run_number(), queue.id().0, lease.to_u64());
        let tag = hmac::sign(&self.0, &plain);
        let mut bytes = plain.to_vec();
        bytes.extend_from_slice(&tag.as_ref()[..TAG_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn lease(
        &self,
        broker: &Broker,
        queue: &QueueHandle,
        token: &str,
    ) -> Result<Lease, BadToken> {
        self.read(broker.run_number(), queue.id().0, token)
    }

    fn read(&self, run: u32, queue: u64, token: &str) -> Result<Lease, BadToken> {
        if token.len() > TOKEN_CHARS {
            return Err(BadToken::Unknown);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token);
        let bytes = bytes.map_err(|_| BadToken::Unknown)?;
        let Ok(bytes): Result<[u8; TOKEN_BYTES], _> = bytes.try_into() else {
            return Err(BadToken::Unknown);
        };
        if bytes[..4] != run.to_be_bytes() {
            return Err(BadToken::Restarted);
        }
        if bytes[4..12] != queue.to_be_bytes() {
            return Err(BadToken::Unknown);
        }
        let mut lease = [0; 8];
        lease.copy_from_slice(&bytes[12..PLAIN_BYTES]);
        let lease = u64::from_be_bytes(lease);
        let tag = hmac::sign(&self.0, &bytes[..PLAIN_BYTES]);
        let mut differences = 0;
        for (one, other) in tag.as_ref().iter().zip(&bytes[PLAIN_BYTES..]) {
            differences |= one ^ other;
        }
        match differences {
            0 => Ok(Lease::from_u64(lease)),
            _ => Err(BadToken::Unknown),
        }
    }
}

fn plain(run: u32, queue: u64, lease: u64) -> [u8; PLAIN_BYTES] {
    let mut bytes = [0; PLAIN_BYTES];
    bytes[..4].copy_from_slice(&run.to_be_bytes());
    bytes[4..12].copy_from_slice(&queue.to_be_bytes());
    bytes[12..].copy_from_slice(&lease.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(signer: &Signer, run: u32, queue: u64, lease: u64) -> String {
        let plain = plain(run, queue, lease);
        let tag = hmac::sign(&signer.0, &plain);
        BASE64_URL_SAFE_NO_PAD.encode([&plain[..], &tag.as_ref()[..TAG_BYTES]].concat())
    }

    #[test]
    fn a_token_is_good_for_its_queue_in_its_run() {
        let signer = Signer::new();
        let good = token(&signer, 7, 3, 5 << 32 | 9);
        let lease = Lease::from_u64(5 << 32 | 9);
        assert_eq!(signer.read(7, 3, &good), Ok(lease));
        assert_eq!(signer.read(7, 4, &good), Err(BadToken::Unknown));
        assert_eq!(signer.read(8, 3, &good), Err(BadToken::Restarted));
        assert_eq!(Signer::new().read(7, 3, &good), Err(BadToken::Unknown));
    }

    #[test]
    fn a_token_that_was_changed_anywhere_is_refused() {
        let signer = Signer::new();
        let good = token(&signer, 7, 3, 9);
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            assert!(signer.read(7, 3, &bad).is_err(), "{bad}");
        }
        let longer = format!("{good}AAAA");
        for bad in ["", "A", "%%%", &good[1..], &longer, &"A".repeat(100_000)] {
            assert_eq!(signer.read(7, 3, bad), Err(BadToken::Unknown));
        }
    }
}
