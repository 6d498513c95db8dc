//! Memory that clients take with what is no message in a queue yet.
//!
//! Publishers are held for it as they are for messages, but for what is kept because they are held:
//! that would hold them for ever. Being held alone bounds none of it: who is in the middle of a
//! message has to come to its end, and each of many that are held keeps something. So each purpose
//! has its own rule.
//!
//! Invariants
//! - What is kept is counted until it is set to less or dropped.
//! - Growth is looked at on the spot: nobody else may do anything that would.
//!
//! Not here: what to do when it is too much (the protocols).

use std::fmt;
use std::sync::Arc;

use crate::{Broker, Pressure};

/// No part is smaller, in bytes.
const PART_BYTES_MIN: u64 = 1 << 20;

/// What memory is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptFor {
    /// A message or packet of which not all has come. Counts as whole from its beginning, so that
    /// those which have begun can come to their end.
    Arriving,
    /// What waits until publishers are free: when all together have an eighth of the high
    /// watermark, those that have much are not read any more.
    Held,
    /// A transaction without its commit: all together a quarter of the high watermark, then no more
    /// is taken.
    Transaction,
}

impl KeptFor {
    /// How many there are.
    pub(crate) const COUNT: usize = 3;

    /// Whether publishers are held for it. Not for what is kept because they are: that would hold
    /// them for ever.
    pub(crate) const fn holds_publishers(self) -> bool {
        !matches!(self, KeptFor::Held)
    }

    /// How many times all of a kind have to fit into the high watermark.
    const fn part(self) -> Option<u64> {
        match self {
            // While publishers are held nobody begins.
            KeptFor::Arriving => None,
            KeptFor::Held => Some(8),
            KeptFor::Transaction => Some(4),
        }
    }
}

/// Bytes of one client, counted until this is dropped.
pub struct Kept {
    broker: Arc<Broker>,
    what: KeptFor,
    bytes: u64,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} for {:?})", self.bytes, self.what)
    }
}

impl Kept {
    /// Nothing so far.
    pub fn new(broker: &Arc<Broker>, what: KeptFor) -> Kept {
        Kept {
            broker: Arc::clone(broker),
            what,
            bytes: 0,
        }
    }

    /// How much it is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// So much is kept from now on. Says whether that is more than before.
    #[inline]
    pub fn set(&mut self, bytes: u64) -> bool {
        bytes != self.bytes && self.change(bytes)
    }

    fn change(&mut self, bytes: u64) -> bool {
        let before = std::mem::replace(&mut self.bytes, bytes);
        let memory = self.broker.memory();
        memory.account_kept(self.what, bytes as i64 - before as i64);
        if bytes < before {
            self.broker.memory_given_back();
            return false;
        }
        // Far from the alarm there is nothing to look at.
        if self.what.holds_publishers() && memory.used_bytes() > memory.high_bytes() / 2 {
            self.broker.review_pressure();
        }
        true
    }

    /// Takes over what another one keeps for the same purpose.
    pub fn take_over(&mut self, other: &mut Kept) {
        assert_eq!(self.what, other.what, "it is counted by what it is for");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// The account that it is in.
    pub fn memory(&self) -> &Pressure {
        self.broker.memory()
    }

    /// Whether all that is kept for the same purpose takes the part that it may.
    pub fn is_crowded(&self) -> bool {
        let memory = self.broker.memory();
        let part = self.what.part();
        part.is_some_and(|part| {
            let most = (memory.high_bytes() / part).max(PART_BYTES_MIN);
            memory.kept_bytes(self.what) >= most
        })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.set(0);
    }
}
