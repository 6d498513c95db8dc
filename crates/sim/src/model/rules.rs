//! What a queue was declared to do, what a policy adds to it, and what follows from both.
//!
//! Invariants
//! - Of two limits the lower one counts, of two other settings the queue's own.

use ferry_broker::SyncPolicy;

/// What full queues do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Drop the oldest.
    DropHead,
    /// Refuse.
    Reject,
    /// Refuse, and dead-letter what was refused.
    RejectDeadLetter,
}

/// What becomes of a dead letter that can not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// It is dropped.
    AtMostOnce,
    /// It is kept if its target refuses it, and dropped if it has none.
    UntilTaken,
    /// It is kept.
    AtLeastOnce,
}

/// How long a message that came back waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// Before the second try, in milliseconds.
    pub delay_ms: u64,
    /// What each wait is longer than the one before by.
    pub factor: u64,
    /// The longest, in milliseconds.
    pub max_ms: Option<u64>,
    /// Percent that it may differ by.
    pub jitter: u64,
}

impl Waits {
    /// The shortest and the longest wait after so many failed tries.
    #[must_use]
    pub fn after(&self, failed: u32) -> (u64, u64) {
        let max = u128::from(self.max_ms.unwrap_or(1 << 40).min(1 << 40));
        let mut wait = u128::from(self.delay_ms);
        for _ in 1..failed {
            wait = (wait * u128::from(self.factor)).min(max);
        }
        let wait = wait.min(max) as u64;
        let span = wait * self.jitter / 100;
        let least = (wait - span).saturating_sub(u64::from(span > 0));
        let most = (wait + span + u64::from(span > 0)).min(max as u64);
        (least, most)
    }
}

/// Which message ids count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Most ids.
    pub ids_max: u64,
    /// How long each counts, in milliseconds.
    pub ttl_ms: u64,
}

/// What a queue does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Time to live, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// Most ready messages.
    pub length_max: Option<u64>,
    /// Most bytes of ready bodies.
    pub bytes_max: Option<u64>,
    /// What happens then.
    pub when_full: WhenFull,
    /// Highest level.
    pub priority_max: u8,
    /// Dead-letter exchange and routing key.
    pub dead_letter: Option<(String, Option<String>)>,
    /// What becomes of dead letters that can not arrive; none if nothing was said.
    pub strategy: Option<Strategy>,
    /// Returns before a message dies; a quorum queue then.
    pub returns_max: Option<u32>,
    /// Tries before a message dies.
    pub tries_max: Option<u32>,
    /// When what came back is tried again.
    pub waits: Option<Waits>,
    /// How long a delivery may stay unsettled, in milliseconds.
    pub lease_ms: Option<u64>,
    /// Which messages are the same.
    pub identity: Option<Identity>,
    /// When a message is safe.
    pub sync: SyncPolicy,
    /// One consumer at a time.
    pub single_active: bool,
    /// How many shards it has.
    pub shards: Option<u64>,
    /// Most messages that it delivers in a second.
    pub rate: Option<u64>,
}

impl Rules {
    /// How often a message may have been out so that it is tried again no more.
    #[must_use]
    pub fn tries_end(&self) -> Option<u32> {
        let by_returns = self.returns_max.map(|max| max.saturating_add(1));
        [by_returns, self.tries_max].into_iter().flatten().min()
    }
}

/// A queue that does nothing special.
pub const PLAIN: Rules = Rules {
    ttl_ms: None,
    length_max: None,
    bytes_max: None,
    when_full: WhenFull::DropHead,
    priority_max: 0,
    dead_letter: None,
    strategy: None,
    returns_max: None,
    tries_max: None,
    waits: None,
    lease_ms: None,
    identity: None,
    sync: SyncPolicy::Sync,
    single_active: false,
    shards: None,
    rate: None,
};

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyRules {
    /// Time to live, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// Most ready messages.
    pub length_max: Option<u64>,
    /// Tries before a message dies.
    pub tries_max: Option<u32>,
    /// When what came back is tried again.
    pub waits: Option<Waits>,
    /// How long a delivery may stay unsettled, in milliseconds.
    pub lease_ms: Option<u64>,
    /// How many shards.
    pub shards: Option<u64>,
}

fn lower<T: Ord>(own: Option<T>, policy: Option<T>) -> Option<T> {
    match (own, policy) {
        (Some(own), Some(policy)) => Some(own.min(policy)),
        (own, policy) => own.or(policy),
    }
}

impl Rules {
    /// The rules in force with a policy.
    #[must_use]
    pub fn under(&self, policy: PolicyRules) -> Rules {
        Rules {
            ttl_ms: lower(self.ttl_ms, policy.ttl_ms),
            length_max: lower(self.length_max, policy.length_max),
            tries_max: lower(self.tries_max, policy.tries_max),
            waits: self.waits.or(policy.waits),
            lease_ms: lower(self.lease_ms, policy.lease_ms),
            shards: self.shards.or(policy.shards),
            ..self.clone()
        }
    }

    /// The wait after so many failed tries, at least and at most.
    #[must_use]
    pub fn wait_after(&self, failed: u32) -> (u64, u64) {
        self.waits.map_or((0, 0), |waits| waits.after(failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_bounds() {
        let waits = Waits {
            delay_ms: 100,
            factor: 3,
            max_ms: Some(500),
            jitter: 10,
        };
        assert_eq!(waits.after(1), (89, 111));
        assert_eq!(waits.after(2), (269, 331));
        assert_eq!(waits.after(3), (449, 500));
        assert_eq!(waits.after(90), (449, 500));
    }
}
