//! Following one call of the broker: what was asked for, in order, and what came out of it.
//!
//! Each call is told to the model as [`Change`]s with the events that came out of it. The model
//! applies the changes in order and takes each delivery as soon as it may happen; one that never
//! may is a violation.
//!
//! Invariants
//! - A delivery is taken only if its message is ready, whole, in time, flagged as it must be and
//!   the next in its level, and its consumer has room and has it coming.
//! - Dead letters arrive when everything that was asked for has been done (`letters`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::queue::{Dead, Held, Instance, Place, WhenFull};
use super::{Change, Granted, Model, Reason, Result, Seemly, Sent};
use crate::format::Death;
use crate::outlet::{Event, Seen};
use crate::{Checked, Violation, violated};

pub(super) type Handed = (Option<u64>, Option<usize>, Seen);

pub(super) struct Call {
    /// Messages by queue, each with its consumer or the client that asked for it.
    events: BTreeMap<u64, VecDeque<Handed>>,
    /// What died, with the queue where it did.
    pub(super) afters: VecDeque<(u64, Dead)>,
    pub(super) result: Result,
    /// Why the event in front of each queue could not be taken yet.
    why: BTreeMap<u64, String>,
    pub(super) seen: Seemly,
    /// Queues that were full at some time of the call.
    pub(super) filled: BTreeSet<u64>,
    /// Publishes of a transaction that a queue had seen: tag and queue.
    pub(super) known: BTreeSet<(u64, u64)>,
}

impl Call {
    /// Takes what a queue has delivered out of the call.
    pub(super) fn take_events(&mut self, queue: u64) -> VecDeque<Handed> {
        self.events.remove(&queue).unwrap_or_default()
    }

    /// Whether the queue has delivered more than was taken so far.
    pub(super) fn hands_out(&self, queue: u64) -> bool {
        self.events
            .get(&queue)
            .is_some_and(|events| !events.is_empty())
    }
}

impl Model {
    /// Applies what was asked for in one call of the broker and takes what came out of it.
    pub fn run(
        &mut self,
        changes: Vec<Change>,
        events: Vec<Event>,
        seen: Seemly,
    ) -> Checked<Result> {
        let mut call = Call {
            events: BTreeMap::new(),
            afters: VecDeque::new(),
            result: Result::default(),
            why: BTreeMap::new(),
            seen,
            filled: BTreeSet::new(),
            known: BTreeSet::new(),
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
        self.prepare(&changes, &mut call);
        let ends = self
            .streams
            .values()
            .map(|stream| (stream.id, stream.next()));
        let ends: Vec<(u64, u64)> = ends.collect();
        for change in changes {
            if !self.apply_to_stream(&change) {
                self.apply(change, &mut call)?;
            }
        }
        self.read_streams(&ends, &mut call)?;
        // A get, or room in an outlet, changes nothing by itself.
        let touched: Vec<u64> = call.events.keys().copied().collect();
        for queue in touched {
            self.take(queue, &mut call)?;
        }
        self.deliver_letters(&mut call)?;
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
        let moment = self.moment();
        let mut dead = Vec::new();
        let queue = match change {
            Change::Publish { .. } => return self.publish(change, call),
            Change::Read { .. } => return Ok(()),
            Change::Look(queue) => {
                self.expire(queue, call);
                return Ok(());
            }
            Change::Tick => return self.tick(call),
            Change::Settle {
                queue,
                lease,
                outcome,
                transaction,
            } => {
                if let Some(model) = self.queues.get_mut(&queue) {
                    model.settle(lease, (outcome, transaction), moment, &mut dead);
                    if !model.consumers.is_empty() {
                        model.expire_head(moment.now, &mut dead);
                    }
                }
                queue
            }
            Change::Revoke {
                queue,
                lease,
                outcome,
            } => {
                if let Some(model) = self.queues.get_mut(&queue) {
                    model.revoke(lease, outcome, moment, &mut dead);
                    if !model.consumers.is_empty() {
                        model.expire_head(moment.now, &mut dead);
                    }
                }
                queue
            }
            Change::Rules(queue) => {
                self.change_rules(queue, &mut dead);
                queue
            }
            Change::Subscribe {
                queue,
                consumer,
                state,
            } => {
                if let Some(model) = self.queues.get_mut(&queue) {
                    model.subscribe(consumer, state);
                }
                queue
            }
            Change::Unsubscribe { queue, consumer } => {
                if let Some(model) = self.queues.get_mut(&queue) {
                    model.unsubscribe(consumer);
                }
                queue
            }
        };
        bury(queue, dead, call);
        self.expire_gone(queue, call);
        self.take(queue, call)
    }

    fn tick(&mut self, call: &mut Call) -> Checked {
        let moment = self.moment();
        let streams = self.streams.values_mut();
        streams.for_each(|stream| stream.tick(moment));
        for queue in self.queues.keys().copied().collect::<Vec<_>>() {
            let mut dead = Vec::new();
            if let Some(model) = self.queues.get_mut(&queue) {
                model.tick(moment, &mut self.next_place, &mut dead);
                if !model.consumers.is_empty() {
                    model.expire_head(moment.now, &mut dead);
                }
            }
            bury(queue, dead, call);
            self.expire_gone(queue, call);
            self.take(queue, call)?;
        }
        Ok(())
    }

    fn change_rules(&mut self, queue: u64, dead: &mut Vec<Dead>) {
        let Some(model) = self.queues.get(&queue) else {
            return;
        };
        let rules = self.rules_of(&model.name, &model.declared);
        let model = self.queues.get_mut(&queue).expect("it was just there");
        let before = std::mem::replace(&mut model.rules, rules.clone());
        if before.shards != rules.shards {
            model.divided();
        }
        if before != rules {
            model.drop_overflow(dead);
        }
    }

    /// False if the queue refuses it.
    pub(super) fn enqueue(
        &mut self,
        queue: u64,
        instance: Instance,
        call: &mut Call,
        sent: Option<&Sent>,
    ) -> Checked<bool> {
        let model = self
            .queues
            .get_mut(&queue)
            .expect("it was made for a queue that is here");
        if model.refuses(instance.size) {
            call.filled.insert(queue);
            if model.rules.when_full == WhenFull::RejectDeadLetter
                && model.rules.dead_letter.is_some()
            {
                let dead = Dead {
                    refused: true,
                    ..Dead::new(instance, Reason::MaxLength)
                };
                call.afters.push_back((queue, dead));
            }
            return Ok(false);
        }
        if let Some(sent) = sent {
            self.note_known(queue, sent, instance.number, None);
        }
        self.add_ready(queue, instance, call)?;
        Ok(true)
    }

    /// A message that a queue takes waits for a consumer.
    pub(super) fn add_ready(&mut self, queue: u64, instance: Instance, call: &mut Call) -> Checked {
        self.expire(queue, call);
        let model = self.queues.get_mut(&queue).expect("it is still here");
        model.ready.insert(instance.place(), instance);
        self.take(queue, call)?;
        let mut dead = Vec::new();
        if let Some(model) = self.queues.get_mut(&queue) {
            model.drop_overflow(&mut dead);
            if model.refuses(1) {
                call.filled.insert(queue);
            }
        }
        bury(queue, dead, call);
        Ok(())
    }

    fn expire_gone(&mut self, queue: u64, call: &mut Call) {
        let (mut dead, now) = (Vec::new(), self.now);
        if let Some(model) = self.queues.get_mut(&queue)
            && model.is_choosy()
            && let Some(here) = call.seen.ready.get(&queue)
        {
            model.expire_gone(now, here, &mut dead);
        }
        bury(queue, dead, call);
    }

    fn expire(&mut self, queue: u64, call: &mut Call) {
        self.expire_gone(queue, call);
        let (mut dead, now) = (Vec::new(), self.now);
        if let Some(model) = self.queues.get_mut(&queue) {
            model.expire_head(now, &mut dead);
        }
        bury(queue, dead, call);
    }

    /// Takes the deliveries of a queue as far as they may happen now.
    pub(super) fn take(&mut self, queue: u64, call: &mut Call) -> Checked {
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
            match model.next_as(consumer, (message, &deaths), self.now) {
                Ok(place) => {
                    let whom = (consumer, client);
                    if let Some(granted) = self.deliver(queue, place, whom, seen, call)? {
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
        (consumer, client): (Option<u64>, Option<usize>),
        seen: Seen,
        call: &Call,
    ) -> Checked<Option<Granted>> {
        let (step, now, lease) = (self.step, self.now, self.new_number());
        let model = self.queues.get_mut(&queue).expect("the caller found it");
        let mut instance = model.ready.remove(&place).expect("the caller found it");
        let (name, message) = (model.name.clone(), instance.message);
        check_shown(&name, &instance, &seen)?;
        let rather = consumer.and_then(|id| model.rather(id, &instance, &call.seen.starved));
        if let (Some(rather), Some(id)) = (rather, consumer) {
            return violated!("queue {name}: consumer {id} got {message}, not {rather}");
        }
        if let Some(per_s) = model.rules.rate {
            if consumer.is_some() && !model.pace.allows(now) {
                return violated!("queue {name}: {message} comes too early for the rate");
            }
            model.pace.charge(per_s, now);
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
            model.leaves(instance, step, None);
            return Ok(None);
        }
        let consumer = holder.map(|(id, consumer)| {
            consumer.unsettled += 1;
            id
        });
        model.learn(&instance, consumer);
        instance.out_steps.push(step);
        let held = Held {
            instance,
            consumer,
            deadline: model.rules.lease_ms.map_or(0, |time_ms| now + time_ms),
            operator: None,
        };
        model.leased.insert(lease, held);
        let client = owner.ok_or_else(|| Violation(format!("nobody got message {message}")))?;
        Ok(Some(Granted {
            client,
            lease,
            seen,
        }))
    }
}

fn check_shown(name: &str, instance: &Instance, seen: &Seen) -> Checked {
    let message = instance.message;
    let redelivered = instance.redelivered;
    if redelivered.is_some_and(|redelivered| redelivered != seen.redelivered) {
        let was = seen.redelivered;
        return violated!("queue {name}: message {message} has the redelivered flag {was}");
    }
    if instance.returns != seen.returns {
        let (real, told) = (instance.returns, seen.returns);
        return violated!("queue {name}: message {message} returned {real}, not {told} times");
    }
    Ok(())
}

pub(super) fn bury(queue: u64, dead: Vec<Dead>, call: &mut Call) {
    let dead = dead.into_iter().map(|dead| (queue, dead));
    call.afters.extend(dead);
}
