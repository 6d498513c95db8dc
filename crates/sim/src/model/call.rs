//! Following one call of the broker: what was asked for, in order, and what came out of it.
//!
//! Each call is told to the model as [`Change`]s with the events that came out of it. The model
//! applies the changes in order and takes each delivery as soon as it may happen; one that never
//! may is a violation.
//!
//! Invariants
//! - A delivery is taken only if its message is ready, whole, in time, flagged as it must be and
//!   the next in its level, and its consumer has room.
//! - Dead letters arrive when everything that was asked for has been done.

use std::collections::{BTreeMap, VecDeque};

use ferry_broker::{Outcome, SyncPolicy};

use super::queue::{Dead, Gone, Held, Instance, Place, WhenFull};
use super::{Change, Granted, Model, Reason, Result, Sent, Step};
use crate::format::Death;
use crate::outlet::{Event, Seen};
use crate::{Checked, Violation, violated};

/// The place of what arrives by the broker's own doing, behind all else of its step.
const LAST: u64 = u64::MAX;

type Handed = (Option<u64>, Option<usize>, Seen);

struct Call {
    /// Messages by queue, each with its consumer or the client that asked for it.
    events: BTreeMap<u64, VecDeque<Handed>>,
    afters: VecDeque<(u64, Dead)>,
    result: Result,
    /// Why the event in front of each queue could not be taken yet.
    why: BTreeMap<u64, String>,
}

impl Model {
    /// Applies what was asked for in one call of the broker and takes what came out of it.
    pub fn run(&mut self, changes: Vec<Change>, events: Vec<Event>) -> Checked<Result> {
        let mut call = Call {
            events: BTreeMap::new(),
            afters: VecDeque::new(),
            result: Result::default(),
            why: BTreeMap::new(),
        };
        for event in events {
            let (consumer, client, seen) = match event {
                Event::Delivered(consumer, seen) => (Some(consumer), None, seen),
                Event::Got(client, seen) => (None, Some(client), seen),
                Event::Started(_) | Event::Cancelled(_) => continue,
            };
            let queue = seen.queue.id().0;
            call.events
                .entry(queue)
                .or_default()
                .push_back((consumer, client, seen));
        }
        for change in &changes {
            if let Change::Publish { sent, .. } = change {
                self.sent.insert(sent.id, sent.clone());
            }
        }
        for change in changes {
            self.apply(change, &mut call)?;
        }
        // A get, or room in an outlet, changes nothing by itself.
        let touched: Vec<u64> = call.events.keys().copied().collect();
        for queue in touched {
            self.take(queue, &mut call)?;
        }
        while let Some((from, dead)) = call.afters.pop_front() {
            self.dead_letter(from, dead, &mut call)?;
        }
        for (queue, left) in &call.events {
            if let Some((_, _, seen)) = left.front() {
                let name = seen.queue.name();
                let why = call.why.get(queue).cloned().unwrap_or_default();
                return violated!("queue {name} delivered message {:?}: {why}", seen.message);
            }
        }
        Ok(call.result)
    }

    fn apply(&mut self, change: Change, call: &mut Call) -> Checked {
        match change {
            Change::Publish {
                sent,
                queues,
                tag,
                transaction,
            } => {
                self.next_place += 1;
                let rank = (self.step, self.next_place);
                for queue in queues {
                    let instance = self.instance(queue, &sent, sent.ttl_ms, rank);
                    let Some(mut instance) = instance else {
                        continue;
                    };
                    instance.transaction = transaction;
                    let number = instance.number;
                    if self.enqueue(queue, instance, call)? {
                        call.result.placed.push((tag, queue, number));
                    } else {
                        call.result.rejected.insert(tag);
                    }
                }
            }
            Change::Settle {
                queue,
                number,
                outcome,
                transaction,
            } => {
                let mut dead = Vec::new();
                let (step, now) = (self.step, self.now);
                if let Some(model) = self.queues.get_mut(&queue)
                    && model.settle(number, (outcome, transaction), step, &mut dead)
                {
                    if outcome == Outcome::Requeue {
                        model.drop_overflow(&mut dead);
                    }
                    if !model.consumers.is_empty() {
                        model.expire(now, &mut dead);
                    }
                }
                self.bury(queue, dead, call);
                self.take(queue, call)?;
            }
            Change::Subscribe {
                queue,
                consumer,
                state,
            } => {
                if let Some(model) = self.queues.get_mut(&queue) {
                    model.subscribe(consumer, state);
                }
                self.take(queue, call)?;
            }
            Change::Unsubscribe { queue, consumer } => {
                if let Some(model) = self.queues.get_mut(&queue) {
                    model.unsubscribe(consumer);
                }
                self.take(queue, call)?;
            }
            Change::Look(queue) => self.expire(queue, call),
            Change::Tick => {
                for queue in self.queues.keys().copied().collect::<Vec<_>>() {
                    self.expire(queue, call);
                }
            }
        }
        Ok(())
    }

    fn instance(
        &mut self,
        queue: u64,
        sent: &Sent,
        ttl_ms: Option<u64>,
        rank: (Step, u64),
    ) -> Option<Instance> {
        let model = self.queues.get(&queue)?;
        self.next_number += 1;
        let ttl_ms = [ttl_ms, model.rules.ttl_ms].into_iter().flatten().min();
        Some(Instance {
            number: self.next_number,
            message: sent.id,
            key: sent.key.clone(),
            rank,
            level: sent.priority.min(model.rules.priority_max),
            size: sent.size,
            durable: sent.persistent && model.durable && model.rules.sync != SyncPolicy::Memory,
            expires_at: ttl_ms.map_or(0, |ttl| self.now + ttl),
            deaths: Vec::new(),
            redelivered: Some(false),
            returns: 0,
            entered: self.step,
            confirmed: false,
            transaction: None,
        })
    }

    /// False if the queue refuses it.
    fn enqueue(&mut self, queue: u64, instance: Instance, call: &mut Call) -> Checked<bool> {
        let model = self
            .queues
            .get_mut(&queue)
            .expect("it was made for a queue that is here");
        if model.refuses(instance.size) {
            if model.rules.when_full == WhenFull::RejectDeadLetter
                && model.rules.dead_letter.is_some()
            {
                let reason = Reason::MaxLength;
                call.afters.push_back((
                    queue,
                    Dead {
                        instance,
                        reason,
                        refused: true,
                    },
                ));
            }
            return Ok(false);
        }
        self.expire(queue, call);
        let model = self.queues.get_mut(&queue).expect("it is still here");
        model.ready.insert(instance.place(), instance);
        self.take(queue, call)?;
        self.overflow(queue, call);
        Ok(true)
    }

    fn expire(&mut self, queue: u64, call: &mut Call) {
        let (mut dead, now) = (Vec::new(), self.now);
        if let Some(model) = self.queues.get_mut(&queue) {
            model.expire(now, &mut dead);
        }
        self.bury(queue, dead, call);
    }

    fn overflow(&mut self, queue: u64, call: &mut Call) {
        let mut dead = Vec::new();
        if let Some(model) = self.queues.get_mut(&queue) {
            model.drop_overflow(&mut dead);
        }
        self.bury(queue, dead, call);
    }

    fn bury(&mut self, queue: u64, dead: Vec<Dead>, call: &mut Call) {
        call.afters
            .extend(dead.into_iter().map(|dead| (queue, dead)));
    }

    /// Takes the deliveries of a queue as far as they may happen now.
    fn take(&mut self, queue: u64, call: &mut Call) -> Checked {
        while let Some((consumer, client, seen)) =
            call.events.get(&queue).and_then(VecDeque::front).cloned()
        {
            let (message, deaths) = self.identify(&seen)?;
            // Nothing is handed out before what is overdue has left.
            self.expire(queue, call);
            let Some(model) = self.queues.get(&queue) else {
                call.why.insert(queue, "the queue is not there".to_owned());
                return Ok(());
            };
            if let Some(id) = consumer.filter(|id| !model.willing(*id)) {
                call.why
                    .insert(queue, format!("consumer {id} has no room for {message}"));
                return Ok(());
            }
            match model.next_as(message, &deaths, self.now) {
                Ok(place) => {
                    if let Some(granted) = self.deliver(queue, place, consumer, client, seen)? {
                        call.result.granted.push(granted);
                    }
                }
                Err(why) => {
                    call.why.insert(queue, why);
                    return Ok(());
                }
            }
            if let Some(events) = call.events.get_mut(&queue) {
                events.pop_front();
            }
            self.expire(queue, call);
        }
        Ok(())
    }

    /// The message that somebody got, which must be as it was published.
    pub fn identify(&self, seen: &Seen) -> Checked<(u64, Vec<Death>)> {
        let name = seen.queue.name();
        let Some(sent) = seen.message.and_then(|id| self.sent.get(&id)) else {
            return violated!("queue {name} delivered a message that was never published");
        };
        if (sent.size, sent.persistent) != (seen.size, seen.persistent) {
            return violated!("queue {name} delivered message {} changed", sent.id);
        }
        match &seen.deaths {
            Some(deaths) => Ok((sent.id, deaths.clone())),
            None => violated!(
                "queue {name} delivered message {} with bad headers",
                sent.id
            ),
        }
    }

    fn deliver(
        &mut self,
        queue: u64,
        place: Place,
        consumer: Option<u64>,
        client: Option<usize>,
        seen: Seen,
    ) -> Checked<Option<Granted>> {
        let step = self.step;
        let model = self.queues.get_mut(&queue).expect("the caller found it");
        let mut instance = model.ready.remove(&place).expect("the caller found it");
        let (name, message) = (model.name.clone(), instance.message);
        if instance
            .redelivered
            .is_some_and(|redelivered| redelivered != seen.redelivered)
        {
            let was = seen.redelivered;
            return violated!("queue {name}: message {message} has the redelivered flag {was}");
        }
        if instance.returns != seen.returns {
            let (real, told) = (instance.returns, seen.returns);
            return violated!("queue {name}: message {message} returned {real}, not {told} times");
        }
        instance.redelivered = Some(seen.redelivered);
        let holder = match consumer {
            Some(id) => model.consumers.get_mut(&id).map(|consumer| (id, consumer)),
            None => None,
        };
        let (owner, no_ack) = match &holder {
            Some((_, consumer)) => (Some(consumer.client), Some(consumer.no_ack)),
            None => (client, None),
        };
        if no_ack.is_some_and(|no_ack| no_ack == seen.lease.is_some()) {
            return violated!("queue {name}: the lease of {message} does not fit its consumer");
        }
        if seen.lease.is_none() {
            model.leaves(instance, step);
            return Ok(None);
        }
        let consumer = holder.map(|(id, consumer)| {
            consumer.unsettled += 1;
            id
        });
        let number = instance.number;
        model.leased.insert(number, Held { instance, consumer });
        let client = owner.ok_or_else(|| Violation(format!("nobody got message {message}")))?;
        Ok(Some(Granted {
            client,
            number,
            seen,
        }))
    }

    /// A message that died goes where it must.
    fn dead_letter(&mut self, from: u64, dead: Dead, call: &mut Call) -> Checked {
        let step = self.step;
        let Some(model) = self.queues.get_mut(&from) else {
            return Ok(());
        };
        let (instance, name) = (dead.instance, model.name.clone());
        let target = model.rules.dead_letter.clone();
        let mut heirs = Vec::new();
        if let Some((exchange, key)) = target {
            let sent = self.sent.get(&instance.message).cloned();
            let Some(sent) = sent else {
                return violated!("message {} died before it was published", instance.message);
            };
            let key = key.unwrap_or_else(|| instance.key.clone());
            let deaths = died(&instance.deaths, &name, dead.reason);
            for queue in self.route(&exchange, &key).unwrap_or_default() {
                let target = &self.queues[&queue].name;
                if dead.reason != Reason::Rejected && in_cycle(target, &deaths) {
                    continue;
                }
                let rank = (step, LAST);
                let Some(mut heir) = self.instance(queue, &sent, None, rank) else {
                    continue;
                };
                heir.deaths.clone_from(&deaths);
                heir.key.clone_from(&key);
                let number = heir.number;
                if self.enqueue(queue, heir, call)? {
                    heirs.push((queue, number));
                }
            }
        }
        if let Some(model) = self.queues.get_mut(&from).filter(|_| !dead.refused) {
            model.gone.push(Gone {
                instance,
                step,
                heirs,
                transaction: None,
            });
        }
        Ok(())
    }
}

/// The history of a message that dies once more.
fn died(deaths: &[Death], queue: &str, reason: Reason) -> Vec<Death> {
    let death = (queue.to_owned(), reason.name().to_owned());
    let others = deaths.iter().filter(|other| **other != death).cloned();
    std::iter::once(death.clone()).chain(others).collect()
}

/// Whether a message came from `queue` to here without anybody's rejection.
fn in_cycle(queue: &str, deaths: &[Death]) -> bool {
    let here = deaths.iter().position(|(name, _)| name == queue);
    here.is_some_and(|here| {
        deaths[..=here]
            .iter()
            .all(|(_, reason)| reason != "rejected")
    })
}
