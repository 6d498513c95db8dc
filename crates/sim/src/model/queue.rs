//! One queue as it must be: which messages it has, where each is, who may get the next.
//!
//! Invariants
//! - A message is in `ready`, in `leased`, or in `gone` until its end is safe on the disk.
//! - `ready` is in the order of leaving; equal places have no order among each other (dead
//!   letters that arrive in one step).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ferry_broker::{Outcome, SyncPolicy};

use super::{Reason, Step};
use crate::format::Death;

/// Where a message stands in its queue: level, step and place in the step, number.
pub type Place = (Reverse<u8>, (Step, u64), u64);

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

/// What a queue was declared to do.
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
    /// Returns before a message dies; a quorum queue then.
    pub returns_max: Option<u32>,
    /// When a message is safe.
    pub sync: SyncPolicy,
    /// One consumer at a time.
    pub single_active: bool,
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
    /// How often it came back.
    pub returns: u32,
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
}

/// A message that somebody holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// The message.
    pub instance: Instance,
    /// The consumer, if one has it.
    pub consumer: Option<u64>,
}

/// A message that left.
#[derive(Debug, Clone)]
pub struct Gone {
    /// The message.
    pub instance: Instance,
    /// When.
    pub step: Step,
    /// As what it lives on elsewhere, if it died: queue and number.
    pub heirs: Vec<(u64, u64)>,
    /// The transaction that ended it.
    pub transaction: Option<u64>,
}

/// A consumer.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Whose it is.
    pub client: usize,
    /// Whether it needs no settling.
    pub no_ack: bool,
    /// Most unsettled messages; 0 for no limit.
    pub prefetch: u32,
    /// Unsettled messages.
    pub unsettled: u32,
    /// Higher is served first.
    pub priority: i32,
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
}

/// A queue.
#[derive(Debug, Clone)]
pub struct QueueModel {
    /// The broker's number of it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// The client it belongs to.
    pub owner: Option<usize>,
    /// What it does.
    pub rules: Rules,
    /// When it was declared.
    pub born: Step,
    /// Somebody was told that it is there.
    pub confirmed: bool,
    /// Messages that wait.
    pub ready: BTreeMap<Place, Instance>,
    /// Messages that are held, by number.
    pub leased: BTreeMap<u64, Held>,
    /// Messages that left, until that is safe.
    pub gone: Vec<Gone>,
    /// Consumers by number.
    pub consumers: BTreeMap<u64, Consumer>,
    /// The consumer that a single-active queue serves.
    pub active: Option<u64>,
}

impl QueueModel {
    /// Bytes of ready bodies.
    #[must_use]
    pub fn ready_bytes(&self) -> u64 {
        self.ready
            .values()
            .map(|instance| u64::from(instance.size))
            .sum()
    }

    fn over(&self, more: u64, bytes: u64) -> bool {
        let count = self.ready.len() as u64 + more;
        self.rules.length_max.is_some_and(|max| count > max)
            || self
                .rules
                .bytes_max
                .is_some_and(|max| self.ready_bytes() + bytes > max)
    }

    /// Whether it would refuse a body of `size`.
    #[must_use]
    pub fn refuses(&self, size: u32) -> bool {
        self.rules.when_full != WhenFull::DropHead && self.over(1, u64::from(size))
    }

    /// Messages at the head that are overdue leave.
    pub fn expire(&mut self, now: u64, dead: &mut Vec<Dead>) {
        while let Some(first) = self
            .ready
            .first_entry()
            .filter(|first| first.get().expired(now))
        {
            let instance = first.remove();
            dead.push(Dead {
                instance,
                reason: Reason::Expired,
                refused: false,
            });
        }
    }

    /// What is too much leaves.
    pub fn drop_overflow(&mut self, dead: &mut Vec<Dead>) {
        while self.rules.when_full == WhenFull::DropHead && self.over(0, 0) {
            let Some((_, instance)) = self.ready.pop_first() else {
                return;
            };
            dead.push(Dead {
                instance,
                reason: Reason::MaxLength,
                refused: false,
            });
        }
    }

    /// A held message is settled. False if nobody holds it.
    pub fn settle(
        &mut self,
        number: u64,
        (outcome, transaction): (Outcome, Option<u64>),
        step: Step,
        dead: &mut Vec<Dead>,
    ) -> bool {
        let Some(held) = self.leased.remove(&number) else {
            return false;
        };
        if let Some(consumer) = held.consumer.and_then(|id| self.consumers.get_mut(&id)) {
            consumer.unsettled -= 1;
        }
        let mut instance = held.instance;
        match outcome {
            Outcome::Accept => {
                self.leaves(instance, step);
                if let Some(gone) = self.gone.last_mut() {
                    gone.transaction = transaction;
                }
            }
            Outcome::Reject => {
                dead.push(Dead {
                    instance,
                    reason: Reason::Rejected,
                    refused: false,
                });
            }
            Outcome::Requeue => {
                instance.returns += 1;
                instance.redelivered = Some(true);
                if self
                    .rules
                    .returns_max
                    .is_some_and(|max| instance.returns > max)
                {
                    let reason = Reason::DeliveryLimit;
                    dead.push(Dead {
                        instance,
                        reason,
                        refused: false,
                    });
                } else {
                    self.ready.insert(instance.place(), instance);
                }
            }
        }
        true
    }

    /// A message is gone for good.
    pub fn leaves(&mut self, instance: Instance, step: Step) {
        self.gone.push(Gone {
            instance,
            step,
            heirs: Vec::new(),
            transaction: None,
        });
    }

    /// The instance that a delivery of this message with these deaths is, if it may be handed
    /// out now; else why not.
    pub fn next_as(&self, message: u64, deaths: &[Death], now: u64) -> Result<Place, String> {
        let same = |instance: &&Instance| instance.message == message && instance.deaths == deaths;
        let Some(found) = self.ready.values().find(same) else {
            return Err(self.whereabouts(message));
        };
        if found.expired(now) {
            return Err(format!(
                "it expired at {} and it is {now}",
                found.expires_at
            ));
        }
        let (first_place, first) = self.ready.first_key_value().expect("it has one");
        if first_place.0 == Reverse(found.level) && first.rank == found.rank {
            return Ok(found.place());
        }
        if first_place.0 == Reverse(found.level) && found.rank <= first.rank {
            return Ok(found.place());
        }
        Err(format!("message {} stands before it", first.message))
    }

    fn whereabouts(&self, message: u64) -> String {
        if self
            .leased
            .values()
            .any(|held| held.instance.message == message)
        {
            return "somebody else holds it".to_owned();
        }
        if self
            .ready
            .values()
            .any(|instance| instance.message == message)
        {
            return "it is here with another history".to_owned();
        }
        match self
            .gone
            .iter()
            .find(|gone| gone.instance.message == message)
        {
            Some(gone) => format!("it left in step {}", gone.step),
            None => "it is not here".to_owned(),
        }
    }

    /// Whether this consumer can take one more, as far as the queue knows.
    #[must_use]
    pub fn willing(&self, id: u64) -> bool {
        let Some(consumer) = self.consumers.get(&id) else {
            return false;
        };
        let serves = !self.rules.single_active || self.active == Some(id);
        serves
            && (consumer.no_ack || consumer.prefetch == 0 || consumer.unsettled < consumer.prefetch)
    }

    /// A consumer comes.
    pub fn subscribe(&mut self, id: u64, consumer: Consumer) {
        self.consumers.insert(id, consumer);
        self.elect();
    }

    /// A consumer goes; what it holds stays held. True if it was the last.
    pub fn unsubscribe(&mut self, id: u64) -> bool {
        if self.consumers.remove(&id).is_none() {
            return false;
        }
        if self.active == Some(id) {
            self.active = None;
        }
        self.elect();
        self.consumers.is_empty()
    }

    fn elect(&mut self) {
        if self.rules.single_active && self.active.is_none() {
            let best = self
                .consumers
                .iter()
                .min_by_key(|(id, c)| (Reverse(c.priority), **id));
            self.active = best.map(|(id, _)| *id);
        }
    }
}
