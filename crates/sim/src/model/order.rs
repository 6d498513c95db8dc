//! Order per key, and consumers that want some messages only.
//!
//! The model does not know which shard a key is in, but learns from deliveries who has it.
//!
//! Invariants
//! - While consumers neither come nor go a key stays with the consumer that got it.

use std::collections::BTreeSet;

use super::instance::{Instance, Place};
use super::queue::{Consumer, QueueModel};
use crate::format::Dress;
use crate::{Checked, violated};

/// A filter as it is written, and what it says.
pub type Filter = (&'static str, fn(&Dress) -> bool);

/// Filters of consumers: what is not there satisfies none but the one that asks for that.
pub const FILTERS: [Filter; 8] = [
    ("color = 'red'", |d| d.color == Some(0)),
    ("color <> 'red'", |d| d.color.is_some_and(|c| c != 0)),
    ("color IN ('red', 'blue')", |d| {
        d.color.is_some_and(|c| c != 1)
    }),
    ("color IS NULL", |d| d.color.is_none()),
    ("weight < 3", |d| d.weight.is_some_and(|w| w < 3)),
    ("weight BETWEEN 1 AND 4 AND color = 'green'", |d| {
        d.color == Some(1) && d.weight.is_some_and(|w| (1..=4).contains(&w))
    }),
    ("weight * 2 > 5 OR color LIKE '%e_'", |d| {
        d.weight.is_some_and(|w| w * 2 > 5) || matches!(d.color, Some(0 | 1))
    }),
    ("NOT (color = 'blue')", |d| d.color.is_some_and(|c| c != 2)),
];

impl Consumer {
    fn wants(&self, instance: &Instance) -> bool {
        self.filter
            .is_none_or(|filter| FILTERS[filter].1(&instance.dress))
    }
}

impl QueueModel {
    /// Whether not everybody may get the next message.
    #[must_use]
    pub fn is_choosy(&self) -> bool {
        self.rules.shards.is_some() || self.consumers.values().any(|c| c.filter.is_some())
    }

    fn key_of(&self, instance: &Instance) -> Option<u64> {
        instance.shard_key.filter(|_| self.rules.shards.is_some())
    }

    /// Why a consumer, or somebody who asks for one message, may not have the next of a key.
    fn why_closed(&self, key: u64, consumer: Option<u64>) -> Option<String> {
        let of_key = |instance: &Instance| instance.shard_key == Some(key);
        let mut held = self.leased.values().filter(|held| of_key(&held.instance));
        let other = held.find(|held| consumer.is_none() || held.consumer != consumer);
        if let Some(other) = other {
            let (message, whom) = (other.instance.message, other.consumer);
            return Some(format!("{whom:?} holds {message} of the same key {key}"));
        }
        let mut delayed = self.delayed.values().map(|waiting| &waiting.instance);
        if let Some(waiting) = delayed.find(|i| of_key(i) && !i.fresh) {
            return Some(format!("its key {key} waits for {}", waiting.message));
        }
        let paused = self.paused.contains(&key);
        paused.then(|| format!("its key {key} pauses"))
    }

    /// Those who may own shards.
    fn leading(&self) -> Vec<u64> {
        if self.rules.single_active {
            return self.active.into_iter().collect();
        }
        let top = self.consumers.values().map(|c| c.priority).max();
        let leading = self
            .consumers
            .iter()
            .filter(|(_, c)| Some(c.priority) == top);
        leading.map(|(id, _)| *id).collect()
    }

    fn why_not_owner(&self, key: u64, consumer: u64) -> Option<String> {
        if !self.leading().contains(&consumer) {
            return Some(format!("consumer {consumer} owns no shards"));
        }
        let owner = self.owners.get(&key).filter(|owner| **owner != consumer)?;
        Some(format!("consumer {owner} has its key {key}"))
    }

    /// The place of a ready message if it may go to that consumer, or to who asks for one, now;
    /// else why not.
    pub fn next_in_order(
        &self,
        found: &Instance,
        consumer: Option<u64>,
        now: u64,
    ) -> Result<Place, String> {
        let whom = consumer.and_then(|id| self.consumers.get(&id));
        if whom.is_some_and(|consumer| !consumer.wants(found)) {
            return Err("the filter refuses it".to_owned());
        }
        let key = self.key_of(found);
        if let Some(key) = key {
            let closed = self.why_closed(key, consumer);
            let closed = closed.or_else(|| self.why_not_owner(key, consumer?));
            if let Some(why) = closed {
                return Err(why);
            }
        }
        let before = |instance: &&Instance| {
            let place = |i: &Instance| (std::cmp::Reverse(i.level), i.rank);
            let own = self.key_of(instance);
            let stands = place(instance) < place(found);
            stands
                && !instance.expired(now)
                && match whom {
                    Some(consumer) => own == key && consumer.wants(instance),
                    None => own.is_none_or(|own| self.why_closed(own, None).is_none()),
                }
        };
        match self.ready.values().find(before) {
            Some(first) => Err(format!("message {} stands before it", first.message)),
            None => Ok(found.place()),
        }
    }

    /// Whether somebody who asks for one message gets one.
    #[must_use]
    pub fn has_for_anyone(&self, now: u64) -> bool {
        let open = |instance: &Instance| {
            let key = self.key_of(instance);
            key.is_none_or(|key| self.why_closed(key, None).is_none())
        };
        let mut ready = self.ready.values();
        ready.any(|instance| !instance.expired(now) && open(instance))
    }

    /// The shards are others than before: what is out of a key is settled first.
    pub fn divided(&mut self) {
        self.owners.clear();
        self.shared.clear();
        let held = self.leased.values().map(|held| &held.instance);
        self.paused = match self.rules.shards {
            Some(_) => held.filter_map(|instance| instance.shard_key).collect(),
            None => BTreeSet::new(),
        };
    }

    /// A message was delivered.
    pub fn learn(&mut self, instance: &Instance, consumer: Option<u64>) {
        if let (Some(key), Some(consumer)) = (self.key_of(instance), consumer) {
            self.owners.insert(key, consumer);
        }
    }

    /// A lease of a message of that key ended; `back` if the message is in the queue again.
    pub fn key_ended(&mut self, key: Option<u64>, back: bool) {
        let Some(key) = key.filter(|_| self.rules.shards.is_some()) else {
            return;
        };
        let mut leased = self.leased.values();
        if !leased.any(|held| held.instance.shard_key == Some(key)) {
            self.paused.remove(&key);
            self.shared.remove(&key);
        } else if back {
            self.paused.insert(key);
        }
    }

    /// Nothing lies there that somebody would take.
    pub fn check_served(&self, starved: &BTreeSet<u64>, now: u64) -> Checked {
        let leading = self.leading();
        let open = |id: u64| self.willing(id) && !starved.contains(&id);
        let takes =
            |id: u64, i: &Instance| open(id) && self.consumers[&id].wants(i) && !i.expired(now);
        for consumer in self.consumers.keys().filter(|id| open(**id)) {
            for instance in self.ready.values().filter(|i| takes(*consumer, i)) {
                let served = match self.key_of(instance) {
                    None => true,
                    Some(key) if self.shared.contains(&key) => false,
                    Some(key) if self.why_closed(key, Some(*consumer)).is_some() => false,
                    Some(key) => match self.owners.get(&key) {
                        Some(owner) => owner == consumer,
                        None => {
                            let free = self.why_closed(key, None).is_none();
                            free && leading.iter().all(|id| takes(*id, instance))
                        }
                    },
                };
                if served {
                    let (name, message) = (&self.name, instance.message);
                    return violated!("queue {name}: {message} lies and {consumer} gets none");
                }
            }
        }
        Ok(())
    }
}
