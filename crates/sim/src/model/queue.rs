//! One queue as it must be: which messages it has, where each is, who may get the next.
//!
//! Invariants
//! - A message is in one of `ready`, `delayed`, `leased`, `stuck`, or in `gone` until its end is
//!   safe on the disk.
//! - `ready` is in the order of leaving; equal places have no order among each other (dead
//!   letters that arrive in one step).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ferry_broker::Outcome;

use super::found::{FoundMessage, State};
pub use super::instance::{Dead, Gone, Held, Instance, Place, Stuck, Waiting};
use super::pace::PaceModel;
pub use super::rules::{Rules, Strategy, WhenFull};
use super::window::Window;
use super::{Moment, Named, Reason, Step};
use crate::format::Death;
use crate::{Checked, violated};

/// A consumer.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Whose it is.
    pub client: usize,
    /// Whether it needs no settling.
    pub no_ack: bool,
    /// Most unsettled messages; 0 for no limit.
    pub prefetch: u32,
    /// Unsettled messages, also those whose lease has ended without it.
    pub unsettled: u32,
    /// Higher is served first.
    pub priority: i32,
    /// What its messages must satisfy, of [`super::order::FILTERS`].
    pub filter: Option<usize>,
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
    /// What it was declared to do.
    pub declared: Rules,
    /// What it does.
    pub rules: Rules,
    /// When it was declared.
    pub born: Step,
    /// Somebody was told that it is there.
    pub confirmed: bool,
    /// Messages that wait for a consumer.
    pub ready: BTreeMap<Place, Instance>,
    /// Messages that wait for their time, by number.
    pub delayed: BTreeMap<u64, Waiting>,
    /// Messages that are held, by lease.
    pub leased: BTreeMap<u64, Held>,
    /// Leases that ended without their consumers, who did not notice yet.
    pub lost: BTreeMap<u64, u64>,
    /// Dead letters that can not arrive, by number.
    pub stuck: BTreeMap<u64, Stuck>,
    /// Messages that left, until that is safe.
    pub gone: Vec<Gone>,
    /// The ids that it has seen.
    pub window: Window,
    /// Consumers by number.
    pub consumers: BTreeMap<u64, Consumer>,
    /// The consumer that a single-active queue serves.
    pub active: Option<u64>,
    /// Whom keys were delivered to since consumers came or went.
    pub owners: BTreeMap<u64, u64>,
    /// Keys of which something came back while more was out.
    pub paused: BTreeSet<u64>,
    /// Keys of which an operator took something while a consumer had some: they go on when all of
    /// it is settled.
    pub shared: BTreeSet<u64>,
    /// How fast it delivers.
    pub pace: PaceModel,
}

impl QueueModel {
    /// Bytes of ready bodies.
    #[must_use]
    pub fn ready_bytes(&self) -> u64 {
        let sizes = self.ready.values().map(|instance| instance.size);
        sizes.map(u64::from).sum()
    }

    /// What becomes of its dead letters that can not arrive.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        match self.durable {
            true => self.rules.strategy.unwrap_or(Strategy::UntilTaken),
            false => Strategy::AtMostOnce,
        }
    }

    fn over(&self, more: u64, bytes: u64) -> bool {
        let count = self.ready.len() as u64 + more;
        let bytes_max = self.rules.bytes_max;
        self.rules.length_max.is_some_and(|max| count > max)
            || bytes_max.is_some_and(|max| self.ready_bytes() + bytes > max)
    }

    /// Whether it would refuse a body of `size`.
    #[must_use]
    pub fn refuses(&self, size: u32) -> bool {
        let stuck = self.stuck.len() as u64;
        let stuffed = stuck > 0 && self.rules.length_max.is_some_and(|max| stuck >= max.max(1));
        stuffed || self.rules.when_full != WhenFull::DropHead && self.over(1, u64::from(size))
    }

    /// Whether there is a body that it might refuse.
    #[must_use]
    pub fn may_refuse(&self) -> bool {
        self.rules.length_max.is_some() || self.rules.bytes_max.is_some()
    }

    /// Messages at the head that are overdue leave.
    pub fn expire_head(&mut self, now: u64, dead: &mut Vec<Dead>) {
        if self.is_choosy() {
            return;
        }
        while let Some(first) = self
            .ready
            .first_entry()
            .filter(|first| first.get().expired(now))
        {
            dead.push(Dead::new(first.remove(), Reason::Expired));
        }
    }

    /// Of a queue whose head may have to wait, what is overdue leaves when somebody finds it:
    /// all that is overdue and not `here` any more has left.
    pub fn expire_gone(&mut self, now: u64, here: &BTreeSet<Named>, dead: &mut Vec<Dead>) {
        let left = |instance: &Instance| {
            let named = (instance.message, instance.deaths.clone());
            instance.expired(now) && !here.contains(&named)
        };
        let expired = self.ready.extract_if(.., |_, instance| left(instance));
        dead.extend(expired.map(|(_, instance)| Dead::new(instance, Reason::Expired)));
    }

    /// Messages that are overdue leave, wherever they stand.
    fn expire_all(&mut self, now: u64, dead: &mut Vec<Dead>) {
        let expired = self
            .ready
            .extract_if(.., |_, instance| instance.expired(now));
        dead.extend(expired.map(|(_, instance)| Dead::new(instance, Reason::Expired)));
    }

    /// What is too much leaves.
    pub fn drop_overflow(&mut self, dead: &mut Vec<Dead>) {
        while self.rules.when_full == WhenFull::DropHead && self.over(0, 0) {
            let Some((_, instance)) = self.ready.pop_first() else {
                return;
            };
            dead.push(Dead::new(instance, Reason::MaxLength));
        }
    }

    /// Time has passed: what is overdue happens.
    pub fn tick(&mut self, moment: Moment, places: &mut u64, dead: &mut Vec<Dead>) {
        self.expire_all(moment.now, dead);
        self.drop_overflow(dead);
        self.wake(moment, places, dead);
        let overdue = |held: &Held| held.deadline != 0 && held.deadline <= moment.now;
        let mut ended: Vec<(u64, u64)> = self
            .leased
            .iter()
            .filter(|(_, held)| overdue(held))
            .map(|(lease, held)| (held.deadline, *lease))
            .collect();
        ended.sort_unstable();
        for (_, lease) in ended {
            self.revoke(lease, Outcome::Requeue, moment, dead);
        }
    }

    fn wake(&mut self, moment: Moment, places: &mut u64, dead: &mut Vec<Dead>) {
        let due = |waiting: &Waiting| waiting.until.1 <= moment.now;
        let mut awake: Vec<Waiting> = self
            .delayed
            .extract_if(.., |_, waiting| due(waiting))
            .map(|(_, waiting)| waiting)
            .collect();
        if awake.is_empty() {
            return;
        }
        awake.sort_by_key(|waiting| (waiting.until, waiting.instance.rank));
        for Waiting {
            mut instance,
            until,
        } in awake
        {
            if instance.fresh {
                *places += 1;
                instance.rank = (moment.step, *places);
                instance.shift_expiry(until.0, moment.now);
                instance.woke = Some(moment.step);
            } else if instance.expired(moment.now) {
                dead.push(Dead::new(instance, Reason::Expired));
                continue;
            }
            self.ready.insert(instance.place(), instance);
        }
        self.drop_overflow(dead);
    }

    fn credit(&mut self, consumer: Option<u64>) {
        if let Some(consumer) = consumer.and_then(|id| self.consumers.get_mut(&id)) {
            consumer.unsettled -= 1;
        }
    }

    /// The holder settles. False if its lease had ended before.
    pub fn settle(
        &mut self,
        lease: u64,
        (outcome, transaction): (Outcome, Option<u64>),
        moment: Moment,
        dead: &mut Vec<Dead>,
    ) -> bool {
        let lost = self.lost.remove(&lease);
        self.credit(lost);
        let Some(held) = self.leased.remove(&lease) else {
            return false;
        };
        self.credit(held.consumer);
        let key = held.instance.shard_key;
        let back = self.finish(held, (outcome, transaction), moment, dead);
        self.key_ended(key, back);
        true
    }

    /// Somebody else ends a lease. False if it had ended before.
    pub fn revoke(
        &mut self,
        lease: u64,
        outcome: Outcome,
        moment: Moment,
        dead: &mut Vec<Dead>,
    ) -> bool {
        let Some(held) = self.leased.remove(&lease) else {
            return false;
        };
        if let Some(consumer) = held.consumer {
            self.lost.insert(lease, consumer);
        }
        let key = held.instance.shard_key;
        let back = self.finish(held, (outcome, None), moment, dead);
        self.key_ended(key, back);
        true
    }

    /// True if the message is in the queue again.
    fn finish(
        &mut self,
        held: Held,
        (outcome, transaction): (Outcome, Option<u64>),
        moment: Moment,
        dead: &mut Vec<Dead>,
    ) -> bool {
        let wait = match outcome {
            Outcome::Accept => {
                self.leaves(held.instance, moment.step, transaction);
                return false;
            }
            Outcome::Reject => {
                dead.push(Dead {
                    transaction,
                    ..Dead::new(held.instance, Reason::Rejected)
                });
                return false;
            }
            Outcome::Release => {
                self.release(held);
                self.drop_overflow(dead);
                return true;
            }
            Outcome::Requeue => None,
            Outcome::Delay(wait) => wait.map(|wait| (wait, wait)),
        };
        let Held {
            mut instance,
            consumer,
            ..
        } = held;
        let wait = wait.unwrap_or_else(|| self.rules.wait_after(instance.returns + 1));
        instance.returns += 1;
        (instance.redelivered, instance.fresh) = (Some(true), false);
        instance.returned_by = consumer;
        let until = (moment.now + wait.0, moment.now + wait.1);
        let transaction = transaction.filter(|_| matches!(outcome, Outcome::Delay(_)));
        let within = |max: Option<u32>, count| max.is_none_or(|max| count <= max);
        if !within(self.rules.returns_max, instance.returns)
            || !within(self.rules.tries_max, instance.returns + 1)
        {
            if transaction.is_some() {
                instance.waits_until(until, moment.step, None);
            }
            dead.push(Dead::new(instance, Reason::DeliveryLimit));
            return false;
        } else if wait.1 > 0 {
            let until = instance.waits_until(until, moment.step, transaction);
            let waiting = Waiting { instance, until };
            self.delayed.insert(waiting.instance.number, waiting);
        } else {
            if transaction.is_some() {
                instance.waits_until(until, moment.step, None);
            }
            self.ready.insert(instance.place(), instance);
        }
        self.drop_overflow(dead);
        true
    }

    fn release(&mut self, held: Held) {
        let instance = held.instance;
        match held.operator.flatten() {
            Some(until) => {
                let waiting = Waiting { instance, until };
                self.delayed.insert(waiting.instance.number, waiting);
            }
            None => {
                self.ready.insert(instance.place(), instance);
            }
        }
    }

    /// A message that waits gets another time.
    pub fn reschedule(&mut self, number: u64, at: u64, moment: Moment) {
        let Some(mut waiting) = self.delayed.remove(&number) else {
            return;
        };
        if waiting.instance.fresh {
            waiting.instance.shift_expiry(waiting.until.0, at);
        }
        waiting.until = waiting.instance.waits_until((at, at), moment.step, None);
        self.delayed.insert(number, waiting);
    }

    /// Waits with a jitter are as they were found, if that is within their bounds.
    pub fn narrow(&mut self, found: &[FoundMessage]) -> Checked {
        let mut taken = BTreeSet::new();
        for (number, waiting) in &mut self.delayed {
            let instance = &mut waiting.instance;
            let at = found.iter().enumerate().find_map(|(place, found)| {
                let State::Delayed(at) = found.state else {
                    return None;
                };
                let same = found.seen.message == Some(instance.message)
                    && found.seen.deaths.as_ref() == Some(&instance.deaths);
                let within = (waiting.until.0..=waiting.until.1).contains(&at);
                (same && within && taken.insert(place)).then_some(at)
            });
            let Some(at) = at else {
                let (name, message, until) = (&self.name, instance.message, waiting.until);
                return violated!(
                    "queue {name}: {message} ({number}) does not wait until {until:?}"
                );
            };
            waiting.until = (at, at);
            if let Some(last) = instance.waits.last_mut() {
                last.until = (at, at);
            }
        }
        Ok(())
    }

    /// An operator takes a message from where it is.
    pub fn borrow(&mut self, number: u64, lease: u64) {
        let ready = self.ready.values().find(|i| i.number == number);
        let place = ready.map(Instance::place);
        let (instance, from) = match place.and_then(|place| self.ready.remove(&place)) {
            Some(instance) => (instance, None),
            None => match self.delayed.remove(&number) {
                Some(waiting) => (waiting.instance, Some(waiting.until)),
                None => return,
            },
        };
        let key = instance.shard_key;
        let same = |held: &Held| key.is_some() && held.instance.shard_key == key;
        if self.leased.values().any(same) {
            self.shared.extend(key);
        }
        let held = Held {
            instance,
            consumer: None,
            deadline: 0,
            operator: Some(from),
        };
        self.leased.insert(lease, held);
    }

    /// A message is gone for good.
    pub fn leaves(&mut self, instance: Instance, step: Step, transaction: Option<u64>) {
        self.gone.push(Gone {
            instance,
            step,
            reason: None,
            heirs: Vec::new(),
            transaction,
        });
    }

    /// All messages that it has.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Instance> {
        let held = self.leased.values_mut().map(|held| &mut held.instance);
        let waiting = self.delayed.values_mut().map(|w| &mut w.instance);
        let stuck = self.stuck.values_mut().map(|stuck| &mut stuck.instance);
        let here = self.ready.values_mut().chain(held).chain(waiting);
        here.chain(stuck)
    }

    /// All messages that it has.
    pub fn all(&self) -> impl Iterator<Item = &Instance> {
        let held = self.leased.values().map(|held| &held.instance);
        let waiting = self.delayed.values().map(|waiting| &waiting.instance);
        let stuck = self.stuck.values().map(|stuck| &stuck.instance);
        let here = self.ready.values().chain(held).chain(waiting);
        here.chain(stuck)
    }

    /// The instance that a delivery of this message with these deaths is, if it may be handed
    /// out now; else why not.
    pub fn next_as(
        &self,
        consumer: Option<u64>,
        (message, deaths): (u64, &[Death]),
        now: u64,
    ) -> Result<Place, String> {
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
        if self.is_choosy() {
            return self.next_in_order(found, consumer, now);
        }
        let (first_place, first) = self.ready.first_key_value().expect("it has one");
        if first_place.0 == Reverse(found.level) && found.rank <= first.rank {
            return Ok(found.place());
        }
        Err(format!("message {} stands before it", first.message))
    }

    fn whereabouts(&self, message: u64) -> String {
        let is = |instance: &Instance| instance.message == message;
        if self.leased.values().any(|held| is(&held.instance)) {
            return "somebody else holds it".to_owned();
        }
        if let Some(waiting) = self.delayed.values().find(|waiting| is(&waiting.instance)) {
            return format!("it waits until {:?}", waiting.until);
        }
        if self.stuck.values().any(|stuck| is(&stuck.instance)) {
            return "it is on its way to the dead letters".to_owned();
        }
        if self.ready.values().any(is) {
            return "it is here with another history".to_owned();
        }
        match self.gone.iter().find(|gone| is(&gone.instance)) {
            Some(gone) => format!("it left in step {}", gone.step),
            None => "it is not here".to_owned(),
        }
    }
}
