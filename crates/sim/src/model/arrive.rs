//! How a message comes into a queue: at once, later, or not at all because it was there before.
//!
//! Invariants
//! - An id is taken with its message, and given back if the message is refused.
//! - The ids of a transaction are taken before any of it is applied.

use ferry_broker::SyncPolicy;

use super::call::Call;
use super::queue::{Instance, QueueModel, Waiting};
use super::window::Known;
use super::{Change, Model, Sent, Step};
use crate::Checked;

impl Model {
    /// Ids of a transaction are taken before any of it is applied.
    pub(super) fn prepare(&mut self, changes: &[Change], call: &mut Call) {
        for change in changes {
            let Change::Publish {
                sent,
                queues,
                tag,
                transaction: Some(_),
            } = change
            else {
                continue;
            };
            for queue in queues {
                let number = self.new_number();
                if self.known(*queue, sent, number).is_some() {
                    call.known.insert((*tag, *queue));
                }
            }
        }
    }

    /// The message that a queue has seen before with the id of this one; if there is none, the
    /// id is taken.
    fn known(&mut self, queue: u64, sent: &Sent, number: u64) -> Option<Known> {
        let (now, step) = (self.now, self.step);
        let model = self.queues.get_mut(&queue)?;
        let (rule, id) = (model.rules.identity?, sent.identity?);
        model.window.expire(rule, now);
        let known = model.window.find(id);
        if known.is_none() {
            let durable = durable(sent, model);
            model.window.insert(
                rule,
                now,
                Known {
                    id,
                    at: now,
                    order: 0,
                    step,
                    number,
                    durable,
                    again: false,
                },
            );
        }
        known
    }

    pub(super) fn publish(&mut self, change: Change, call: &mut Call) -> Checked {
        let Change::Publish {
            sent,
            queues,
            tag,
            transaction,
        } = change
        else {
            return Ok(());
        };
        self.next_place += 1;
        let rank = (self.step, self.next_place);
        for queue in queues {
            if self.publish_to_stream((queue, tag), &sent, transaction, call) {
                continue;
            }
            let Some(mut instance) = self.instance(queue, &sent, sent.ttl_ms, rank) else {
                continue;
            };
            instance.transaction = transaction;
            let number = instance.number;
            let known = call.known.contains(&(tag, queue));
            let before = match transaction {
                // Of two with one id the second counts if the first was refused.
                Some(_) if !known => {
                    self.name_known(queue, &sent, number);
                    None
                }
                _ => self.duplicate_of(queue, &sent),
            };
            // The id was taken when the transaction was prepared, unless that was for naught.
            let prepared = transaction.filter(|_| !known);
            if let Some(before) = before {
                call.result.placed.push((tag, queue, before));
                continue;
            }
            if let Some(at) = sent.deliver_at.filter(|at| *at > self.now) {
                self.note_known(queue, &sent, number, prepared);
                self.delay(queue, instance, at, transaction);
                call.result.placed.push((tag, queue, number));
                continue;
            }
            let copy = instance.clone();
            let identified = prepared.is_none().then_some(&sent);
            if self.enqueue(queue, instance, call, identified)? {
                call.result.placed.push((tag, queue, number));
            } else {
                call.result.rejected.insert(tag);
                if let Some(model) = self.queues.get_mut(&queue)
                    && transaction.is_some()
                {
                    // Its part of the transaction is written, and then taken back.
                    model.window.remove(sent.identity.unwrap_or(u64::MAX));
                    let gone = Instance {
                        transaction: None,
                        ..copy
                    };
                    model.leaves(gone, self.step, None);
                }
            }
        }
        Ok(())
    }

    /// The number of the message whose id the queue has seen, if this one is a duplicate.
    fn duplicate_of(&mut self, queue: u64, sent: &Sent) -> Option<u64> {
        let model = self.queues.get_mut(&queue)?;
        let (rule, id) = (model.rules.identity?, sent.identity?);
        model.window.expire(rule, self.now);
        model.window.find(id).map(|known| known.number)
    }

    /// Tells the window which message it is that a transaction took an id for.
    fn name_known(&mut self, queue: u64, sent: &Sent, number: u64) {
        if let (Some(model), Some(id)) = (self.queues.get_mut(&queue), sent.identity) {
            model.window.rename(id, number);
        }
    }

    /// An id is taken with its message.
    pub(super) fn note_known(
        &mut self,
        queue: u64,
        sent: &Sent,
        number: u64,
        transaction: Option<u64>,
    ) {
        if transaction.is_none() {
            self.known(queue, sent, number);
        }
    }

    pub(super) fn instance(
        &mut self,
        queue: u64,
        sent: &Sent,
        ttl_ms: Option<u64>,
        rank: (Step, u64),
    ) -> Option<Instance> {
        let number = self.new_number();
        let model = self.queues.get(&queue)?;
        let ttl_ms = [ttl_ms, model.rules.ttl_ms].into_iter().flatten().min();
        Some(Instance {
            number,
            message: sent.id,
            key: sent.key.clone(),
            dress: sent.dress,
            shard_key: sent.dress.key.filter(|_| model.rules.shards.is_some()),
            rank,
            level: sent.priority.min(model.rules.priority_max),
            size: sent.size,
            durable: durable(sent, model),
            expires_at: ttl_ms.map_or(0, |ttl| self.now + ttl),
            deaths: Vec::new(),
            redelivered: Some(false),
            fresh: true,
            returns: 0,
            returned_by: None,
            outs: 0,
            out_steps: Vec::new(),
            waits: Vec::new(),
            born_waiting: false,
            woke: None,
            entered: self.step,
            confirmed: false,
            transaction: None,
        })
    }

    /// A message waits for its first time.
    fn delay(&mut self, queue: u64, mut instance: Instance, at: u64, transaction: Option<u64>) {
        let (now, step) = (self.now, self.step);
        let Some(model) = self.queues.get_mut(&queue) else {
            return;
        };
        instance.shift_expiry(now, at);
        instance.born_waiting = true;
        let until = instance.waits_until((at, at), step, transaction);
        let waiting = Waiting { instance, until };
        model.delayed.insert(waiting.instance.number, waiting);
    }
}

fn durable(sent: &Sent, model: &QueueModel) -> bool {
    sent.persistent && model.durable && model.rules.sync != SyncPolicy::Memory
}
