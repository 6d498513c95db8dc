//! What must be true: queues, messages and definitions as plain data, changed by what was asked
//! for and checked against what came out.
//!
//! Each call of the broker is told to the model as [`Change`]s with the events that came out of
//! it. The model applies them in order and takes each delivery as soon as it may happen; one that
//! never may is a violation.
//!
//! Invariants
//! - Steps grow; what happened in one step is as safe as the end of the log was after it.
//! - A delivery is taken only if its message is ready, whole, in time, flagged as it must be and
//!   the next in its level.
//!
//! Not here: what may be there after a restart (`recover`).

pub mod queue;
pub mod recover;
pub mod routing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ferry_broker::{Outcome, SyncPolicy};

use crate::outlet::{Event, Seen};
use crate::world::Defined;
use crate::{Checked, Violation, violated};
use queue::{Consumer, Dead, Held, Instance, Place, QueueModel, WhenFull};
use routing::Routing;

/// Number of a step of the world.
pub type Step = u64;

/// The place of what arrives by the broker's own doing, behind all else of its step.
const LAST: u64 = u64::MAX;

/// Since when something is so, and whether somebody was told.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// The step in which it became so.
    pub step: Step,
    /// Somebody was told that it is safe.
    pub confirmed: bool,
}

impl Life {
    /// From this step on.
    #[must_use]
    pub fn new(step: Step) -> Life {
        Life { step, confirmed: false }
    }
}

/// Why a message died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Rejected by a consumer.
    Rejected,
    /// Too old.
    Expired,
    /// Too many.
    MaxLength,
    /// Came back too often.
    DeliveryLimit,
}

impl Reason {
    /// As it stands in a history.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLength => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message as published.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its number.
    pub id: u64,
    /// Length of its body, in bytes.
    pub size: u32,
    /// Whether it was published as persistent.
    pub persistent: bool,
    /// Its priority.
    pub priority: u8,
    /// Its own time to live.
    pub ttl_ms: Option<u32>,
    /// Its routing key.
    pub key: String,
}

/// Something that was asked of the broker, for one queue.
#[derive(Debug, Clone)]
pub enum Change {
    /// A message was published.
    Publish {
        /// The message.
        sent: Sent,
        /// Where it goes.
        queues: BTreeSet<u64>,
        /// Names the publish.
        tag: u64,
        /// The transaction it is a part of.
        transaction: Option<u64>,
    },
    /// A message was settled.
    Settle {
        /// The queue.
        queue: u64,
        /// The message there.
        number: u64,
        /// How.
        outcome: Outcome,
    },
    /// A consumer came.
    Subscribe {
        /// The queue.
        queue: u64,
        /// The consumer.
        consumer: u64,
        /// What it asks for.
        state: Consumer,
    },
    /// A consumer went.
    Unsubscribe {
        /// The queue.
        queue: u64,
        /// The consumer.
        consumer: u64,
    },
    /// Time may have passed.
    Tick,
}

/// A lease that a client got.
#[derive(Debug)]
pub struct Granted {
    /// The client.
    pub client: usize,
    /// The message in the model.
    pub number: u64,
    /// As the broker showed it.
    pub seen: Seen,
}

/// What came of a call.
#[derive(Debug, Default)]
pub struct Result {
    /// Publishes that were refused.
    pub rejected: BTreeSet<u64>,
    /// Messages that clients now hold.
    pub granted: Vec<Granted>,
    /// Places that a publish got: tag, queue, number.
    pub placed: Vec<(u64, u64, u64)>,
}

/// Everything that must be true.
#[derive(Debug, Default)]
pub struct Model {
    /// The current step.
    pub step: Step,
    /// The time.
    pub now: u64,
    /// Queues by number.
    pub queues: BTreeMap<u64, QueueModel>,
    /// Queues that went, until that is safe.
    pub graves: Vec<(QueueModel, Life)>,
    /// Exchanges and bindings.
    pub routing: Routing,
    /// All messages ever published, by number.
    pub sent: BTreeMap<u64, Sent>,
    next_number: u64,
    next_place: u64,
}

struct Call {
    events: BTreeMap<u64, VecDeque<(Option<u64>, Option<usize>, Seen)>>,
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
            call.events.entry(queue).or_default().push_back((consumer, client, seen));
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
            Change::Publish { sent, queues, tag, transaction } => {
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
            Change::Settle { queue, number, outcome } => {
                let mut dead = Vec::new();
                let (step, now) = (self.step, self.now);
                if let Some(model) = self.queues.get_mut(&queue)
                    && model.settle(number, outcome, step, &mut dead)
                    && !model.consumers.is_empty()
                {
                    model.expire(now, &mut dead);
                }
                self.bury(queue, dead, call);
                self.take(queue, call)?;
                self.overflow(queue, call);
            }
            Change::Subscribe { queue, consumer, state } => {
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
        ttl_ms: Option<u32>,
        rank: (Step, u64),
    ) -> Option<Instance> {
        let model = self.queues.get(&queue)?;
        self.next_number += 1;
        let ttl_ms = [ttl_ms.map(u64::from), model.rules.ttl_ms].into_iter().flatten().min();
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
        let model = self.queues.get_mut(&queue).expect("it was made for a queue that is here");
        if model.refuses(instance.size) {
            if model.rules.when_full == WhenFull::RejectDeadLetter
                && model.rules.dead_letter.is_some()
            {
                let reason = Reason::MaxLength;
                call.afters.push_back((queue, Dead { instance, reason, refused: true }));
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
        call.afters.extend(dead.into_iter().map(|dead| (queue, dead)));
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
                call.why.insert(queue, format!("consumer {id} has no room for {message}"));
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
        }
        Ok(())
    }

    /// The message that somebody got, which must be as it was published.
    pub fn identify(&self, seen: &Seen) -> Checked<(u64, Vec<crate::format::Death>)> {
        let name = seen.queue.name();
        let Some(sent) = seen.message.and_then(|id| self.sent.get(&id)) else {
            return violated!("queue {name} delivered a message that was never published");
        };
        if (sent.size, sent.persistent) != (seen.size, seen.persistent) {
            return violated!("queue {name} delivered message {} changed", sent.id);
        }
        match &seen.deaths {
            Some(deaths) => Ok((sent.id, deaths.clone())),
            None => violated!("queue {name} delivered message {} with bad headers", sent.id),
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
        if instance.redelivered.is_some_and(|redelivered| redelivered != seen.redelivered) {
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
        Ok(Some(Granted { client, number, seen }))
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
            model.gone.push(queue::Gone { instance, step, heirs });
        }
        Ok(())
    }

    /// The queues that a message goes to; none if there is no such exchange.
    #[must_use]
    pub fn route(&self, exchange: &str, key: &str) -> Option<BTreeSet<u64>> {
        if exchange.is_empty() {
            let named = self.queues.values().filter(|queue| queue.name == key);
            return Some(named.map(|queue| queue.id).collect());
        }
        self.routing.route(exchange, key)
    }

    /// The queue of that name.
    #[must_use]
    pub fn queue_named(&self, name: &str) -> Option<&QueueModel> {
        self.queues.values().find(|queue| queue.name == name)
    }

    /// Somebody was told that this message is safe.
    pub fn confirm(&mut self, queue: u64, number: u64) {
        let Some(queue) = self.queues.get_mut(&queue) else {
            return;
        };
        let held = queue.leased.values_mut().map(|held| &mut held.instance);
        let gone = queue.gone.iter_mut().map(|gone| &mut gone.instance);
        let all = queue.ready.values_mut().chain(held).chain(gone);
        for instance in all.filter(|instance| instance.number == number) {
            instance.confirmed = true;
        }
    }

    /// Somebody was told that this definition is safe.
    pub fn confirm_definition(&mut self, defined: &Defined) {
        let Model { queues, graves, routing, .. } = self;
        match defined {
            Defined::Queue(id) => {
                if let Some(queue) = queues.get_mut(id) {
                    queue.confirmed = true;
                }
            }
            Defined::QueueGone(id) => {
                let graves = graves.iter_mut().filter(|(queue, _)| queue.id == *id);
                graves.for_each(|(_, end)| end.confirmed = true);
            }
            Defined::Binding(binding) => {
                if let Some(life) = routing.bindings.get_mut(binding) {
                    life.confirmed = true;
                }
            }
            Defined::BindingGone(binding) => {
                let gone = routing.gone_bindings.iter_mut().filter(|(gone, _, _)| gone == binding);
                gone.for_each(|(_, _, end)| end.confirmed = true);
            }
            Defined::Exchange(name) => {
                if let Some(exchange) = routing.exchanges.get_mut(name) {
                    exchange.life.confirmed = true;
                }
            }
            Defined::ExchangeGone(name) => {
                let gone = routing.gone_exchanges.iter_mut().filter(|(gone, _, _)| gone == name);
                gone.for_each(|(_, _, end)| end.confirmed = true);
            }
        }
    }

    /// A queue goes with all it has.
    pub fn remove_queue(&mut self, id: u64) -> Option<usize> {
        let queue = self.queues.remove(&id)?;
        self.routing.queue_gone(id, self.step);
        let ready = queue.ready.len();
        self.graves.push((queue, Life::new(self.step)));
        Some(ready)
    }
}

/// The history of a message that dies once more.
fn died(deaths: &[crate::format::Death], queue: &str, reason: Reason) -> Vec<crate::format::Death> {
    let death = (queue.to_owned(), reason.name().to_owned());
    let others = deaths.iter().filter(|other| **other != death).cloned();
    std::iter::once(death.clone()).chain(others).collect()
}

/// Whether a message came from `queue` to here without anybody's rejection.
fn in_cycle(queue: &str, deaths: &[crate::format::Death]) -> bool {
    let here = deaths.iter().position(|(name, _)| name == queue);
    here.is_some_and(|here| deaths[..=here].iter().all(|(_, reason)| reason != "rejected"))
}
