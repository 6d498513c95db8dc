//! Who of a queue's consumers is served.
//!
//! Invariants
//! - A queue with a single active consumer has one as long as it has any.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::instance::Instance;
use super::queue::{Consumer, QueueModel};

impl QueueModel {
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

    /// Another consumer that should get the message, if `served` should not.
    #[must_use]
    pub fn rather(&self, served: u64, instance: &Instance, starved: &BTreeSet<u64>) -> Option<u64> {
        if self.is_choosy() {
            return None;
        }
        let turn = |consumer: &Consumer| (Reverse(consumer.priority), consumer.unsettled);
        let own = turn(self.consumers.get(&served)?);
        let gave_back = |id: u64| instance.returned_by == Some(id);
        let others = self.consumers.iter().filter(|(id, _)| {
            **id != served && self.willing(**id) && !starved.contains(id) && !gave_back(**id)
        });
        let mut better = others.filter(|(_, consumer)| gave_back(served) || turn(consumer) < own);
        better.next().map(|(id, _)| *id)
    }

    /// A consumer comes.
    pub fn subscribe(&mut self, id: u64, consumer: Consumer) {
        self.consumers.insert(id, consumer);
        self.owners.clear();
        self.elect();
    }

    /// A consumer goes; what it holds stays held. True if it was the last.
    pub fn unsubscribe(&mut self, id: u64) -> bool {
        if self.consumers.remove(&id).is_none() {
            return false;
        }
        self.owners.clear();
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
