//! One message in one queue, and the states it can be in.
//!
//! Invariants
//! - What happened to a message is kept until it is safe: after a crash it may be in any state
//!   that it had since.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Reason, Step};
use crate::format::{Death, Dress};

/// Where a message stands in its queue: level, step and place in the step, number.
pub type Place = (Reverse<u8>, (Step, u64), u64);

/// A time that is known, or lies between two.
pub type Span = (u64, u64);

/// A wait of a message.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// Until when.
    pub until: Span,
    /// The step in which it began.
    pub step: Step,
    /// When the message expires, as long as this wait holds.
    pub expires_at: u64,
    /// The transaction that began it.
    pub transaction: Option<u64>,
}

impl Wait {
    /// Whether it may be a wait until `at`.
    #[must_use]
    pub fn fits(&self, at: u64) -> bool {
        (self.until.0..=self.until.1).contains(&at)
    }
}

/// One message in one queue.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Names it; never used twice.
    pub number: u64,
    /// The message.
    pub message: u64,
    /// The routing key with which it came.
    pub key: String,
    /// What filters look at.
    pub dress: Dress,
    /// What it must stay in order with.
    pub shard_key: Option<u64>,
    /// Its order in the level.
    pub rank: (Step, u64),
    /// Its level.
    pub level: u8,
    /// Length of its body, in bytes.
    pub size: u32,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// When it expires; 0 for never.
    pub expires_at: u64,
    /// Its deaths before it came here, the latest first.
    pub deaths: Vec<Death>,
    /// Whether it was handed out before; none if nobody can know.
    pub redelivered: Option<bool>,
    /// Whether the queue never saw it come back or be handed out before a start.
    pub fresh: bool,
    /// How often it came back.
    pub returns: u32,
    /// The consumer that gave it back last.
    pub returned_by: Option<u64>,
    /// How often it was handed out for certain.
    pub outs: u32,
    /// The steps of later deliveries.
    pub out_steps: Vec<Step>,
    /// The waits that it may be found in after a crash, the latest last.
    pub waits: Vec<Wait>,
    /// It came with a delay.
    pub born_waiting: bool,
    /// When it became ready for the first time, if it had to wait for that.
    pub woke: Option<Step>,
    /// The step in which it came here.
    pub entered: Step,
    /// Its publisher was told that it is safe.
    pub confirmed: bool,
    /// The transaction it came with.
    pub transaction: Option<u64>,
}

impl Instance {
    /// Its place in `ready`.
    #[must_use]
    pub fn place(&self) -> Place {
        (Reverse(self.level), self.rank, self.number)
    }

    /// Whether it is past its time.
    #[must_use]
    pub fn expired(&self, now: u64) -> bool {
        self.expires_at != 0 && self.expires_at <= now
    }

    /// `at`, or when it expires if that is earlier.
    #[must_use]
    pub fn no_later(&self, at: u64) -> u64 {
        match self.expires_at {
            0 => at,
            expires_at => at.min(expires_at),
        }
    }

    /// Its time to live starts at `to` instead of `from`.
    pub fn shift_expiry(&mut self, from: u64, to: u64) {
        if self.expires_at != 0 {
            self.expires_at = to.saturating_add(self.expires_at - from);
        }
    }

    /// It waits from now on.
    pub fn waits_until(&mut self, until: Span, step: Step, transaction: Option<u64>) -> Span {
        let until = (self.no_later(until.0), self.no_later(until.1));
        let expires_at = self.expires_at;
        self.waits.push(Wait {
            until,
            step,
            expires_at,
            transaction,
        });
        until
    }

    /// Forgets what can not come back.
    pub fn forget(&mut self, safe: Step) {
        let known = self.out_steps.partition_point(|step| *step <= safe);
        self.outs += self.out_steps.drain(..known).count() as u32;
        if let Some(last) = self.waits.iter().rposition(|wait| wait.step <= safe) {
            self.waits.drain(..last);
        }
    }
}

/// A message that somebody holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// The message.
    pub instance: Instance,
    /// The consumer, if one has it.
    pub consumer: Option<u64>,
    /// When the lease ends by itself; 0 for never.
    pub deadline: u64,
    /// An operator has it, and took it from where it waited until then.
    pub operator: Option<Option<Span>>,
}

/// A message that waits for its time.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The message.
    pub instance: Instance,
    /// When it is looked at.
    pub until: Span,
}

/// A dead letter that can not arrive.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// The message.
    pub instance: Instance,
    /// Why it died.
    pub reason: Reason,
    /// Since which step.
    pub since: Step,
    /// The queues that refused it; empty if nobody knows.
    pub refused_by: BTreeSet<u64>,
    /// As what it lives on elsewhere already: queue and number.
    pub heirs: Vec<(u64, u64)>,
    /// Since when nothing keeps it.
    pub free_since: Option<u64>,
    /// The transaction that ended it.
    pub transaction: Option<u64>,
}

/// A message that left.
#[derive(Debug, Clone)]
pub struct Gone {
    /// The message.
    pub instance: Instance,
    /// When.
    pub step: Step,
    /// Why, if it died.
    pub reason: Option<Reason>,
    /// As what it lives on elsewhere, if it died: queue and number.
    pub heirs: Vec<(u64, u64)>,
    /// The transaction that ended it.
    pub transaction: Option<u64>,
}

/// A message that died and must go on.
#[derive(Debug)]
pub struct Dead {
    /// The message.
    pub instance: Instance,
    /// Why.
    pub reason: Reason,
    /// It never was in the queue.
    pub refused: bool,
    /// The transaction that ended it.
    pub transaction: Option<u64>,
}

impl Dead {
    /// A message that was in its queue.
    #[must_use]
    pub fn new(instance: Instance, reason: Reason) -> Dead {
        Dead {
            instance,
            reason,
            refused: false,
            transaction: None,
        }
    }
}
