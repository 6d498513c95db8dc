//! What an operator does with single messages, leases and the policy.
//!
//! Invariants
//! - A message is taken by its place, which was looked up just before.

use std::sync::Arc;

use ferry_broker::{ApplyTo, Broker, Burst, Clock, Lease, NoView, Outcome, Policy, QueueHandle};
use ferry_core::message::Draft;
use ferry_core::queue::{QueueKind, Settled, Spot};

use super::arguments::{rules_of, settings};
use crate::body::body;
use crate::format::{dressed, plain};
use crate::model::found::{FoundMessage, State};
use crate::model::policy::{NAME, PATTERN};
use crate::model::queue::QueueModel;
use crate::model::rules::PolicyRules;
use crate::model::{Change, Sent};
use crate::world::{Defined, HeldLease, Pending, World};
use crate::{Checked, Violation, peek, violated};

impl World {
    /// Something is done with a message or a lease.
    pub(crate) fn operator(&mut self) -> Checked {
        match self.random.below(10) {
            0 | 1 => self.extend(),
            2 | 3 => self.revoke(),
            4 => self.reschedule(),
            5 => self.purge_delayed(),
            6 => self.give_back_one(),
            _ => self.take_one(),
        }
    }

    fn any_held(&mut self) -> Option<HeldLease> {
        let held = self.clients.iter().flat_map(|client| client.held.clone());
        let single = |held: &HeldLease| held.queue.kind() != QueueKind::Stream;
        let held: Vec<HeldLease> = held.filter(single).collect();
        self.any_of(&held)
    }

    /// A lease gets another deadline.
    fn extend(&mut self) -> Checked {
        let Some(held) = self.any_held() else {
            return Ok(());
        };
        let time_ms = self.random.chance(60).then(|| self.random.below(6000));
        let now = self.clock.now();
        self.trace
            .line(format!("  extend {} {time_ms:?}", held.number));
        let extended = self.broker.command(&held.queue, |queue, _| {
            queue.extend(held.lease.id(), time_ms, now)
        });
        let model = self.model.queues.get_mut(&held.queue.id().0);
        let known = model.and_then(|model| {
            let lease_ms = time_ms.or(model.rules.lease_ms);
            Some((model.leased.get_mut(&held.number)?, lease_ms))
        });
        let expected = match known {
            Some((lease, lease_ms)) => {
                lease.deadline = lease_ms.map_or(0, |time_ms| now + time_ms);
                Settled::Done
            }
            None => Settled::Late,
        };
        if extended.is_some_and(|extended| extended != expected) {
            return violated!("extending lease {}: {extended:?}", held.number);
        }
        Ok(())
    }

    /// A lease ends for another reason than its holder.
    fn revoke(&mut self) -> Checked {
        let Some(held) = self.any_held() else {
            return Ok(());
        };
        let outcomes = [
            Outcome::Requeue,
            Outcome::Reject,
            Outcome::Accept,
            Outcome::Delay(Some(self.random.below(1000))),
        ];
        let outcome = outcomes[self.random.below(4) as usize];
        self.trace
            .line(format!("  end lease {} {outcome:?}", held.number));
        let (queue, lease) = (held.queue.id().0, held.number);
        let model = self.model.queues.get(&queue);
        let known = model.is_some_and(|model| model.leased.contains_key(&lease));
        let revoked = self.broker.command(&held.queue, |queue, context| {
            queue.revoke(held.lease.id(), outcome, context)
        });
        let expected = if known { Settled::Done } else { Settled::Late };
        if revoked.is_some_and(|revoked| revoked != expected) {
            return violated!("ending lease {lease}: {revoked:?}");
        }
        self.observe(vec![Change::Revoke {
            queue,
            lease,
            outcome,
        }])?;
        Ok(())
    }

    /// A queue by chance that has something to look at.
    fn any_handle(&mut self) -> Option<Arc<QueueHandle>> {
        let queues = self.vhost.queues();
        let filled = |queue: &Arc<QueueHandle>| {
            queue.kind() != QueueKind::Stream && queue.ready() + queue.delayed() > 0
        };
        let queues: Vec<_> = queues.into_iter().filter(filled).collect();
        self.any_of(&queues)
    }

    fn spot_of(found: &FoundMessage) -> Spot {
        match found.state {
            State::Delayed(at) => Spot::Delayed { at, seq: found.seq },
            _ => Spot::Ready {
                priority: found.level,
                seq: found.seq,
            },
        }
    }

    /// The message of the model that was found here; `before` are those before it in its state.
    fn number_of(&self, queue: u64, found: &FoundMessage, before: &[FoundMessage]) -> Option<u64> {
        let model = self.model.queues.get(&queue)?;
        let same = |other: &&FoundMessage| {
            other.state == found.state
                && other.seen.message == found.seen.message
                && other.seen.deaths == found.seen.deaths
        };
        let skipped = before.iter().filter(same).count();
        let is = |instance: &&crate::model::instance::Instance| {
            Some(instance.message) == found.seen.message
                && Some(&instance.deaths) == found.seen.deaths.as_ref()
        };
        let instance = match found.state {
            State::Delayed(at) => {
                let waiting = model.delayed.values().filter(|w| w.until.0 == at);
                waiting.map(|w| &w.instance).filter(is).nth(skipped)
            }
            _ => model.ready.values().filter(is).nth(skipped),
        };
        instance.map(|instance| instance.number)
    }

    /// A message that waits gets another time.
    fn reschedule(&mut self) -> Checked {
        let Some(handle) = self.any_handle() else {
            return Ok(());
        };
        let found = peek::delayed(&self.broker, &handle)?;
        if found.is_empty() {
            return Ok(());
        }
        let index = self.random.below(found.len() as u64) as usize;
        let (one, before) = (&found[index], &found[..index]);
        let queue = handle.id().0;
        let Some(number) = self.number_of(queue, one, before) else {
            return violated!("{:?} does not wait in {}", one.seen.message, handle.name());
        };
        let at = self.clock.now() + self.random.below(4000);
        let State::Delayed(waits_until) = one.state else {
            return Ok(());
        };
        self.trace
            .line(format!("  {:?} waits until {at} now", one.seen.message));
        let moved = self.broker.command(&handle, |queue, context| {
            queue.reschedule(waits_until, one.seq, at, context)
        });
        if moved.flatten().is_none() {
            return violated!("{:?} can not wait for longer: {moved:?}", one.seen.message);
        }
        let moment = self.model.moment();
        if let Some(model) = self.model.queues.get_mut(&queue) {
            model.reschedule(number, at, moment);
        }
        self.observe(Vec::new())?;
        Ok(())
    }

    /// What waits is dropped.
    fn purge_delayed(&mut self) -> Checked {
        let Some(handle) = self.any_handle().filter(|_| self.random.chance(30)) else {
            return Ok(());
        };
        self.trace
            .line(format!("  purge what waits in {}", handle.name()));
        let purged = self.broker.command(&handle, |queue, context| {
            queue.purge_delayed(u64::MAX, context)
        });
        let step = self.model.step;
        let Some(model) = self.model.queues.get_mut(&handle.id().0) else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut model.delayed);
        let count = waiting.len() as u64;
        for waiting in waiting.into_values() {
            model.leaves(waiting.instance, step, None);
        }
        if purged != Some(count) {
            return violated!("purging {count} that wait in {}: {purged:?}", model.name);
        }
        self.observe(Vec::new())?;
        Ok(())
    }

    /// A message is taken from its place: dropped, moved, or kept for a while.
    fn take_one(&mut self) -> Checked {
        let Some(handle) = self.any_handle() else {
            return Ok(());
        };
        let mut found = peek::all(&self.broker, &handle)?;
        found.retain(|found| !matches!(found.state, State::Stuck(_)));
        if found.is_empty() {
            return Ok(());
        }
        let index = self.random.below(found.len() as u64) as usize;
        let (one, before) = (&found[index], &found[..index]);
        let queue = handle.id().0;
        let Some(number) = self.number_of(queue, one, before) else {
            return violated!("{} has {:?}", handle.name(), one.seen.message);
        };
        let taken = self.broker.command(&handle, |queue, context| {
            queue.borrow(World::spot_of(one), one.position, context)
        });
        let Some(lease) = taken.flatten().and_then(|taken| taken.lease) else {
            return violated!("{:?} can not be taken", one.seen.message);
        };
        let lease_number = self.model.new_number();
        if let Some(model) = self.model.queues.get_mut(&queue) {
            model.borrow(number, lease_number);
        }
        self.observe(Vec::new())?;
        let held = HeldLease {
            queue: handle,
            lease: Lease::of(lease),
            number: lease_number,
        };
        self.trace
            .line(format!("  take {:?} {:?}", one.seen.message, one.state));
        match self.random.below(4) {
            0 => self.settle_borrowed(held, Outcome::Accept),
            1 => self.settle_borrowed(held, Outcome::Release),
            2 => self.move_borrowed(held, one.seen.message),
            _ => {
                self.borrowed.push(held);
                Ok(())
            }
        }
    }

    fn give_back_one(&mut self) -> Checked {
        if self.borrowed.is_empty() {
            return Ok(());
        }
        let held = self.borrowed.remove(0);
        let outcomes = [Outcome::Release, Outcome::Accept, Outcome::Reject];
        let outcome = outcomes[self.random.below(3) as usize];
        self.settle_borrowed(held, outcome)
    }

    /// Nothing is kept by the operator any more.
    pub(crate) fn give_back_all(&mut self) -> Checked {
        for held in std::mem::take(&mut self.borrowed) {
            self.settle_borrowed(held, Outcome::Release)?;
        }
        Ok(())
    }

    fn settle_borrowed(&mut self, held: HeldLease, outcome: Outcome) -> Checked {
        self.trace
            .line(format!("  give back {} {outcome:?}", held.number));
        let mut burst = Burst::new();
        burst.settle(&held.queue, held.lease, outcome);
        burst.submit(&self.broker);
        let queue = held.queue.id().0;
        self.observe(vec![Change::Settle {
            queue,
            lease: held.number,
            outcome,
            transaction: None,
        }])?;
        Ok(())
    }

    /// A message goes to another queue at once: it is in one of both whatever happens.
    fn move_borrowed(&mut self, held: HeldLease, message: Option<u64>) -> Checked {
        let from = held.queue.id().0;
        // Where it was before, or dies to come back from there, it could not be told from itself.
        let fits = |queue: &&QueueModel| {
            let gone = queue.gone.iter().map(|gone| &gone.instance);
            let mut all = queue.all().chain(gone);
            let open = queue.id != from && !queue.may_refuse() && queue.owner.is_none();
            let known = all.any(|instance| Some(instance.message) == message);
            open && !known && queue.rules.dead_letter.is_none()
        };
        let targets = self.model.queues.values().filter(fits);
        let targets: Vec<(u64, String)> = targets.map(|q| (q.id, q.name.clone())).collect();
        let sent = message.and_then(|id| self.model.sent.get(&id).cloned());
        let (Some((to, name)), Some(sent)) = (self.any_of(&targets), sent) else {
            return self.settle_borrowed(held, Outcome::Release);
        };
        let sent = Sent {
            key: name.clone(),
            deliver_at: None,
            identity: None,
            ..sent
        };
        let properties = dressed(sent.id, None, sent.dress);
        let (properties, body) = (properties, body(sent.id, sent.size));
        let draft = Draft {
            persistent: sent.persistent,
            priority: sent.priority,
            ttl_ms: sent.ttl_ms,
            published_ms: self.clock.now(),
            ..plain(&name, &properties, &body)
        };
        self.trace.line(format!("  move {} to {name}", sent.id));
        let mut burst = Burst::new();
        burst.settle(&held.queue, held.lease, Outcome::Accept);
        let publisher = &mut self.clients[0].publisher;
        let published = burst.publish(&self.broker, publisher, &draft, &NoView, None);
        if published != Ok(ferry_broker::Published::Routed) {
            return violated!("moving {}: {published:?}", sent.id);
        }
        let transaction = self.next_transaction;
        self.next_transaction += 1;
        let promise = match self.broker.commit(&mut burst) {
            Ok(promise) => promise,
            Err(error) => return self.excuse("a move failed", error),
        };
        let changes = vec![
            Change::Settle {
                queue: from,
                lease: held.number,
                outcome: Outcome::Accept,
                transaction: Some(transaction),
            },
            Change::Publish {
                tag: sent.id,
                queues: [to].into(),
                sent,
                transaction: Some(transaction),
            },
        ];
        let result = self.observe(changes)?;
        self.pending.push(Pending::Commit(promise, result.placed));
        self.tear_behind(promise)
    }

    /// The policy is set, changed or cleared.
    pub(crate) fn policy(&mut self) -> Checked {
        let clears = self.model.policy.rules().is_some() && self.random.chance(40);
        let drawn = self.draw_policy();
        let empty = drawn == PolicyRules::default();
        let rules = (!clears && !empty).then_some(drawn);
        if rules.is_none() && self.model.policy.rules().is_none() {
            return Ok(());
        }
        self.trace.line(format!("  policy {rules:?}"));
        let done = match &rules {
            Some(rules) => self.broker.set_policy(Policy {
                vhost: "/".to_owned(),
                name: NAME.to_owned(),
                pattern: PATTERN.to_owned(),
                apply_to: ApplyTo::Queues,
                priority: 0,
                definition: settings(rules),
            }),
            None => {
                let cleared = self.broker.clear_policy("/", NAME);
                cleared.map(|durable_at| ferry_broker::PolicySet {
                    created: false,
                    durable_at,
                })
            }
        };
        let promise = match done {
            Ok(set) => set.durable_at,
            Err(error) => return violated!("a policy: {error}"),
        };
        let version = self.model.policy.set(rules, self.model.step);
        let queues = self.model.queues.keys().copied();
        let changes = queues.map(Change::Rules).collect();
        self.observe(changes)?;
        let what = Defined::Policy(version);
        self.pending.push(Pending::Definition(promise, what));
        Ok(())
    }

    /// The policy of a broker.
    pub(crate) fn policy_of(broker: &Broker) -> Checked<Option<PolicyRules>> {
        let policies = broker
            .policies("/")
            .map_err(|error| Violation(format!("no policies: {error}")))?;
        let policy = policies.iter().find(|policy| policy.name == NAME);
        Ok(policy.map(|policy| rules_of(&policy.definition)))
    }
}
