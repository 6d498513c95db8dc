//! Log-ins that were tried: how many, and who has to wait after too many wrong ones.
//!
//! Each wrong password is a debt of [`FAILURE_MS`] of its address and user name; who owes more
//! than [`DEBT_MS_MAX`] is refused without a look at the password until enough time has passed.
//!
//! Invariants
//! - Somebody else's address, and another user at the same address, are not affected.
//! - The table is bounded; who is forgotten because it is full owes nothing.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::Millis;
use parking_lot::Mutex;

use crate::vhost::Map;

/// What one wrong password costs, in milliseconds.
const FAILURE_MS: u64 = 2_000;
/// What may be owed before somebody has to wait: 20 wrong passwords at once.
const DEBT_MS_MAX: u64 = 20 * FAILURE_MS;
/// Addresses and user names that are remembered.
const DEBTORS_MAX: usize = 16_384;

/// A protocol that log-ins are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginBy {
    /// AMQP 0-9-1.
    Amqp091,
    /// HTTP.
    Http,
    /// MQTT, over whatever carries it.
    Mqtt,
}

impl LoginBy {
    const ALL: [LoginBy; 3] = [LoginBy::Amqp091, LoginBy::Http, LoginBy::Mqtt];

    /// Its name, as RabbitMQ has it.
    pub fn name(self) -> &'static str {
        match self {
            LoginBy::Amqp091 => "amqp091",
            LoginBy::Http => "http",
            LoginBy::Mqtt => "mqtt",
        }
    }
}

/// How many log-ins were tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginCount {
    /// The protocol, as RabbitMQ names it.
    pub protocol: &'static str,
    /// How many were right.
    pub succeeded: u64,
    /// How many were wrong.
    pub failed: u64,
}

/// Log-ins so far.
pub(super) struct Attempts {
    /// By protocol: right ones, wrong ones.
    counts: [[AtomicU64; 2]; LoginBy::ALL.len()],
    /// Until when each debt lasts.
    debts: Mutex<Map<u64, Millis>>,
    hasher: RandomState,
}

impl Default for Attempts {
    fn default() -> Attempts {
        Attempts {
            counts: Default::default(),
            debts: Mutex::default(),
            hasher: RandomState::new(),
        }
    }
}

impl Attempts {
    pub fn count(&self, by: LoginBy, right: bool) {
        self.counts[by as usize][usize::from(!right)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was tried by protocol, where anything was.
    pub fn counts(&self) -> Vec<LoginCount> {
        let of = |by: LoginBy| {
            let [succeeded, failed] = &self.counts[by as usize];
            LoginCount {
                protocol: by.name(),
                succeeded: succeeded.load(Ordering::Relaxed),
                failed: failed.load(Ordering::Relaxed),
            }
        };
        let all = LoginBy::ALL.into_iter().map(of);
        all.filter(|count| count.succeeded + count.failed > 0)
            .collect()
    }

    pub fn reset(&self) {
        let counts = self.counts.iter().flatten();
        counts.for_each(|count| count.store(0, Ordering::Relaxed));
    }

    /// Who an attempt is counted for. An owner of an IPv6 network counts as one address.
    pub fn debtor(&self, address: IpAddr, user: &str) -> u64 {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> 64 | 1 << 127,
        };
        self.hasher.hash_one((network, user))
    }

    /// Whether so much is owed that nothing is looked at.
    pub fn has_to_wait(&self, debtor: u64, now: Millis) -> bool {
        let debts = self.debts.lock();
        debts
            .get(&debtor)
            .is_some_and(|until| until.saturating_sub(now) > DEBT_MS_MAX)
    }

    pub fn owe(&self, debtor: u64, now: Millis) {
        let mut debts = self.debts.lock();
        if debts.len() >= DEBTORS_MAX && !debts.contains_key(&debtor) {
            debts.retain(|_, until| *until > now);
            if debts.len() >= DEBTORS_MAX {
                debts.clear();
            }
        }
        let until = debts.entry(debtor).or_insert(now);
        // Nobody waits longer for having tried in vain meanwhile.
        *until = (*until).clamp(now, now + DEBT_MS_MAX) + FAILURE_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn too_many_wrong_passwords_make_who_tried_them_wait() {
        let attempts = Attempts::default();
        let of = |text: &str, user: &str| attempts.debtor(address(text), user);
        let ann = of("10.0.0.1", "ann");
        for _ in 0..20 {
            attempts.owe(ann, NOW);
            assert!(!attempts.has_to_wait(ann, NOW));
        }
        attempts.owe(ann, NOW);
        attempts.owe(ann, NOW);
        assert!(attempts.has_to_wait(ann, NOW));
        for other in [
            of("10.0.0.1", "bob"),
            of("10.0.0.2", "ann"),
            of("::1", "ann"),
        ] {
            assert!(!attempts.has_to_wait(other, NOW));
        }
        assert_eq!(of("::ffff:10.0.0.1", "ann"), ann);
        assert_eq!(of("fe80::1", "ann"), of("fe80::2", "ann"));
        assert!(attempts.has_to_wait(ann, NOW + FAILURE_MS - 1));
        assert!(!attempts.has_to_wait(ann, NOW + FAILURE_MS));
    }

    #[test]
    fn the_table_of_who_has_to_wait_is_bounded() {
        let attempts = Attempts::default();
        for debtor in 0..3 * DEBTORS_MAX as u64 {
            attempts.owe(debtor, NOW);
        }
        assert!(attempts.debts.lock().len() <= DEBTORS_MAX);
    }

    #[test]
    fn attempts_are_counted_by_protocol_until_they_are_reset() {
        let attempts = Attempts::default();
        assert_eq!(attempts.counts(), []);
        for (by, right) in [
            (LoginBy::Http, true),
            (LoginBy::Mqtt, false),
            (LoginBy::Http, false),
            (LoginBy::Http, true),
        ] {
            attempts.count(by, right);
        }
        let of = |(protocol, succeeded, failed)| LoginCount {
            protocol,
            succeeded,
            failed,
        };
        assert_eq!(attempts.counts(), [("http", 2, 1), ("mqtt", 0, 1)].map(of));
        attempts.reset();
        assert_eq!(attempts.counts(), []);
    }
}
