//! Dead letters: where they go, which of them can not get there, and when those go on.
//!
//! In which order the dead letters of one call arrive is not known here. Which of them a full
//! target refused is seen at the source, which keeps them; that a target was full at some time,
//! and that nothing is kept without need, is checked.
//!
//! Invariants
//! - A message is kept at its source until every target has its copy, and leaves it then.
//! - What was kept for one target goes on in the order in which it came.

use std::collections::BTreeSet;

use super::call::Call;
use super::instance::{Dead, Gone, Instance, Stuck};
use super::queue::Strategy;
use super::{Model, Named, Reason};
use crate::format::Death;
use crate::{Checked, violated};

/// The place of what arrives by the broker's own doing, behind all else of its step.
const LAST: u64 = u64::MAX;

/// How long a dead letter may be kept that nothing keeps, in milliseconds: the broker tries again
/// each second.
const FREE_MS_MAX: u64 = 1000;

/// Where a dead letter goes.
struct Way {
    /// The queues that take a copy.
    targets: BTreeSet<u64>,
    /// The exchange leads to some queue, if only in a cycle.
    routed: bool,
    key: String,
    deaths: Vec<Death>,
}

fn named(instance: &Instance) -> Named {
    (instance.message, instance.deaths.clone())
}

impl Model {
    /// Everything that died goes where it must, and so does what was kept and has room now.
    pub(super) fn deliver_letters(&mut self, call: &mut Call) -> Checked {
        let mut left = self.no_longer_kept(call);
        loop {
            while let Some((from, dead)) = call.afters.pop_front() {
                self.dead_letter(from, dead, call)?;
            }
            match left.pop() {
                Some((from, number)) => self.goes_on(from, number, call)?,
                None => break,
            }
        }
        for (queue, kept) in &call.seen.stuck {
            if let (Some(model), Some((message, _))) = (self.queues.get(queue), kept.first()) {
                let name = &model.name;
                return violated!("queue {name} keeps message {message}, which did not die");
            }
        }
        Ok(())
    }

    /// What was kept before this call and is not any more. What is still kept is struck off the
    /// list of what is.
    fn no_longer_kept(&self, call: &mut Call) -> Vec<(u64, u64)> {
        let mut left = Vec::new();
        let here = &call.seen.queues;
        for (id, model) in self.queues.iter().filter(|(id, _)| here.contains(id)) {
            let mut kept = call.seen.stuck.remove(id).unwrap_or_default();
            let mut by_age: Vec<_> = model.stuck.iter().collect();
            by_age.sort_by_key(|(number, stuck)| (stuck.since, **number));
            for (number, stuck) in by_age {
                let name = named(&stuck.instance);
                match kept.iter().position(|other| *other == name) {
                    Some(place) => drop(kept.remove(place)),
                    None => left.push((stuck.since, *id, *number)),
                }
            }
            if !kept.is_empty() {
                call.seen.stuck.insert(*id, kept);
            }
        }
        left.sort_unstable_by(|a, b| b.cmp(a));
        left.into_iter()
            .map(|(_, id, number)| (id, number))
            .collect()
    }

    /// None if there is no dead-letter exchange set.
    fn way(&self, from: u64, instance: &Instance, reason: Reason) -> Option<Way> {
        let model = self.queues.get(&from)?;
        let (exchange, key) = model.rules.dead_letter.as_ref()?;
        let key = key.clone().unwrap_or_else(|| instance.key.clone());
        let deaths = died(&instance.deaths, &model.name, reason);
        let dress = &instance.dress;
        let mut targets = self.route(exchange, &key, dress).unwrap_or_default();
        let routed = !targets.is_empty();
        targets.retain(|queue| {
            reason == Reason::Rejected || !in_cycle(&self.queues[queue].name, &deaths)
        });
        Some(Way {
            targets,
            routed,
            key,
            deaths,
        })
    }

    /// A copy arrives; false if the queue refuses it.
    fn arrives(
        &mut self,
        queue: u64,
        instance: &Instance,
        way: &Way,
        call: &mut Call,
    ) -> Checked<Option<u64>> {
        let Some(sent) = self.sent.get(&instance.message).cloned() else {
            return violated!("message {} died before it was published", instance.message);
        };
        let rank = (self.step, LAST);
        let Some(mut heir) = self.instance(queue, &sent, None, rank) else {
            return Ok(None);
        };
        heir.deaths.clone_from(&way.deaths);
        heir.key.clone_from(&way.key);
        let number = heir.number;
        // In which order they arrived is not known, but that they did.
        let certain = self.queues[&queue].may_refuse() && !self.is_exact(queue, call);
        let taken = if certain {
            self.add_ready(queue, heir, call)?;
            true
        } else {
            self.enqueue(queue, heir, call, None)?
        };
        Ok(taken.then_some(number))
    }

    /// A message that died goes where it must.
    fn dead_letter(&mut self, from: u64, dead: Dead, call: &mut Call) -> Checked {
        if !self.queues.contains_key(&from) {
            return Ok(());
        }
        let Dead {
            instance,
            reason,
            refused,
            transaction,
        } = dead;
        let way = self.way(from, &instance, reason);
        if !refused && take_named(call, from, &instance) {
            let way = way.as_ref();
            return self.is_kept(from, (instance, reason, transaction), way, call);
        }
        let mut heirs = Vec::new();
        if let Some(way) = &way {
            let model = &self.queues[&from];
            let kept = model.strategy() != Strategy::AtMostOnce && !refused;
            let (name, strategy) = (model.name.clone(), model.strategy());
            if !way.routed && !refused && strategy == Strategy::AtLeastOnce {
                let message = instance.message;
                return violated!("queue {name} dropped message {message} for want of a route");
            }
            for queue in &way.targets {
                match self.arrives(*queue, &instance, way, call)? {
                    Some(number) => heirs.push((*queue, number)),
                    None if kept && self.is_exact(*queue, call) => {
                        let (to, message) = (&self.queues[queue].name, instance.message);
                        return violated!("queue {name} let {message} go, which {to} refused");
                    }
                    None => {}
                }
            }
        }
        self.buried(from, (instance, reason, transaction), heirs, refused);
        Ok(())
    }

    /// Whether the order of arrivals makes no difference to what the queue takes: nobody takes
    /// anything out of it meanwhile, and each needs the same room.
    fn is_exact(&self, queue: u64, call: &Call) -> bool {
        self.queues[&queue].rules.bytes_max.is_none() && !call.hands_out(queue)
    }

    fn buried(
        &mut self,
        from: u64,
        (instance, reason, transaction): (Instance, Reason, Option<u64>),
        heirs: Vec<(u64, u64)>,
        refused: bool,
    ) {
        let step = self.step;
        if let Some(model) = self.queues.get_mut(&from).filter(|_| !refused) {
            model.gone.push(Gone {
                instance,
                step,
                reason: Some(reason),
                heirs,
                transaction,
            });
        }
    }

    /// A message that just died is kept at its source.
    fn is_kept(
        &mut self,
        from: u64,
        (instance, reason, transaction): (Instance, Reason, Option<u64>),
        way: Option<&Way>,
        call: &mut Call,
    ) -> Checked {
        let model = &self.queues[&from];
        let (name, message, strategy) = (model.name.clone(), instance.message, model.strategy());
        let Some(way) = way.filter(|_| strategy != Strategy::AtMostOnce) else {
            return violated!("queue {name} keeps message {message} and must not");
        };
        let all_cycles = way.routed && way.targets.is_empty();
        if all_cycles || !way.routed && strategy != Strategy::AtLeastOnce {
            return violated!("queue {name} keeps message {message}, which nobody wants");
        }
        let refusing = |queue: &u64| {
            let target = &self.queues[queue];
            target.may_refuse() && (target.refuses(instance.size) || call.filled.contains(queue))
        };
        let refused_by: BTreeSet<u64> = way.targets.iter().copied().filter(refusing).collect();
        let may = |queue: &u64| self.queues[queue].may_refuse();
        let might: BTreeSet<u64> = way.targets.iter().copied().filter(may).collect();
        if way.routed && might.is_empty() {
            return violated!("queue {name} keeps message {message} and nobody refused it");
        }
        // Who is not full yet may have been when the message came.
        let refused_by = if refused_by.is_empty() {
            might
        } else {
            refused_by
        };
        let mut heirs = Vec::new();
        for queue in way.targets.difference(&refused_by) {
            if let Some(number) = self.arrives(*queue, &instance, way, call)? {
                heirs.push((*queue, number));
            }
        }
        let since = self.step;
        let stuck = Stuck {
            instance,
            reason,
            since,
            refused_by,
            heirs,
            free_since: None,
            transaction,
        };
        let model = self.queues.get_mut(&from).expect("it was just there");
        model.stuck.insert(stuck.instance.number, stuck);
        Ok(())
    }

    /// A message that was kept is kept no longer.
    fn goes_on(&mut self, from: u64, number: u64, call: &mut Call) -> Checked {
        let Some(model) = self.queues.get_mut(&from) else {
            return Ok(());
        };
        let Some(stuck) = model.stuck.remove(&number) else {
            return Ok(());
        };
        let (name, message) = (model.name.clone(), stuck.instance.message);
        let earlier = |other: &&Stuck| {
            other.since < stuck.since
                && other.refused_by == stuck.refused_by
                && !other.refused_by.is_empty()
        };
        if let Some(earlier) = model.stuck.values().find(earlier) {
            let earlier = earlier.instance.message;
            return violated!("queue {name}: {message} left before {earlier}, kept for longer");
        }
        let strategy = model.strategy();
        let mut heirs = stuck.heirs;
        if let Some(mut way) = self.way(from, &stuck.instance, stuck.reason) {
            if !way.routed && strategy == Strategy::AtLeastOnce {
                return violated!("queue {name} dropped message {message} that it kept");
            }
            if !way.targets.is_disjoint(&stuck.refused_by) {
                way.targets.retain(|queue| stuck.refused_by.contains(queue));
            }
            for queue in &way.targets {
                match self.arrives(*queue, &stuck.instance, &way, call)? {
                    Some(number) => heirs.push((*queue, number)),
                    None if self.is_exact(*queue, call) => {
                        let to = &self.queues[queue].name;
                        return violated!("queue {name} let {message} go, which {to} refuses");
                    }
                    None => {}
                }
            }
        }
        let death = (stuck.instance, stuck.reason, stuck.transaction);
        self.buried(from, death, heirs, false);
        Ok(())
    }

    /// After each step: nothing is kept that could go.
    pub fn check_kept(&mut self) -> Checked {
        let now = self.now;
        let mut free = Vec::new();
        for (id, model) in self
            .queues
            .iter()
            .filter(|(_, model)| !model.stuck.is_empty())
        {
            for (number, stuck) in &model.stuck {
                let way = self.way(*id, &stuck.instance, stuck.reason);
                let blocked = way.is_some_and(|way| {
                    // Of a limit in bytes it is not known who stands before it.
                    let full = |queue: &u64| {
                        let target = &self.queues[queue];
                        target.refuses(stuck.instance.size) || target.rules.bytes_max.is_some()
                    };
                    way.targets.iter().any(full)
                        || !way.routed && model.strategy() == Strategy::AtLeastOnce
                });
                free.push((*id, *number, !blocked));
            }
        }
        for (id, number, is_free) in free {
            let model = self.queues.get_mut(&id).expect("it was just there");
            let name = &model.name;
            let stuck = model.stuck.get_mut(&number).expect("it was just there");
            let since = stuck.free_since.filter(|since| is_free && *since <= now);
            if since.is_some_and(|since| now - since > FREE_MS_MAX) {
                let message = stuck.instance.message;
                return violated!("queue {name} keeps message {message} and nothing keeps it");
            }
            stuck.free_since = is_free.then_some(since.unwrap_or(now));
        }
        Ok(())
    }
}

/// Whether the source is seen to keep the message; it is struck off the list then.
fn take_named(call: &mut Call, from: u64, instance: &Instance) -> bool {
    let name = named(instance);
    let Some(kept) = call.seen.stuck.get_mut(&from) else {
        return false;
    };
    let Some(place) = kept.iter().position(|other| *other == name) else {
        return false;
    };
    kept.remove(place);
    true
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
