//! What must be, may be and must not be there after a restart.
//!
//! A message must be there if it outlives the broker and either its publisher was told that it
//! is safe or the log was safe up to the step in which it came; unless it left. What left may be
//! back while its end was not safe. Everything else must not be there.
//!
//! Invariants
//! - After a recovery the model has exactly what was found, in the order in which it was found.

use std::collections::{BTreeMap, BTreeSet};

use super::found::{Candidate, Was};
pub use super::found::{Ending, Found, FoundMessage, FoundQueue, State};
use super::instance::{Instance, Stuck, Waiting};
use super::queue::QueueModel;
use super::window::{Fate, Known};
use super::{Model, Named, Reason, Step};
use crate::{Checked, violated};

/// How often parts of a transaction were found and missed.
type Transactions = BTreeMap<u64, (u64, u64)>;

/// A message that is not here any more, and as what it must live on.
type Missing = Vec<(u64, Vec<(u64, u64)>)>;

impl Model {
    /// Compares what was found with what must be there, and goes on from it.
    pub fn recover(&mut self, ending: Ending, found: Found) -> Checked {
        let mut known: BTreeMap<u64, QueueModel> = std::mem::take(&mut self.queues);
        self.check_queues(ending, &known, &found)?;
        for (queue, _) in std::mem::take(&mut self.graves) {
            known.entry(queue.id).or_insert(queue);
        }
        self.recover_routing(ending, &known, &found)?;
        self.policy.adopt(found.policy, ending.clean, ending.safe)?;
        let mut transactions = Transactions::new();
        self.recover_streams(ending, &found, &mut transactions)?;
        let (mut missing, mut present) = (Missing::new(), BTreeSet::new());
        for queue in found.queues {
            let Some(model) = known.get(&queue.id).cloned() else {
                return violated!("queue {} was never declared", queue.name);
            };
            let candidates = self.match_messages(ending, &model, &queue.messages)?;
            check_order(&queue.name, &candidates, &queue.messages)?;
            for (candidate, _) in &candidates {
                check_lost(ending, &model, candidate)?;
                count_parts(ending, &model, candidate, &mut transactions);
                if candidate.found.is_some() {
                    present.insert(candidate.instance.number);
                } else if matches!(candidate.was, Was::Gone(..))
                    && must(ending, &model, &candidate.instance)
                {
                    missing.push((candidate.instance.message, candidate.heirs.clone()));
                }
            }
            check_ids(ending, &model, &queue.ids, &present)?;
            let model = self.adopt(ending, model, candidates, &queue);
            self.queues.insert(queue.id, model);
        }
        for (transaction, (there, not_there)) in transactions {
            if there > 0 && not_there > 0 {
                return violated!("a part of transaction {transaction} was lost: {not_there}");
            }
        }
        self.went_back = false;
        known.retain(|id, _| self.queues.contains_key(id));
        check_heirs(&known, &missing, &present)
    }

    fn check_queues(
        &self,
        ending: Ending,
        known: &BTreeMap<u64, QueueModel>,
        found: &Found,
    ) -> Checked {
        let ids: BTreeSet<u64> = found.queues.iter().map(|queue| queue.id).collect();
        for queue in known.values().filter(|queue| queue.durable) {
            let safe = queue.confirmed || ending.keeps(queue.born);
            if safe && !ids.contains(&queue.id) {
                return violated!("queue {} is lost", queue.name);
            }
        }
        for (queue, end) in &self.graves {
            let safe = end.confirmed || ending.keeps(end.step);
            if safe && ids.contains(&queue.id) && !known.contains_key(&queue.id) {
                return violated!("queue {} came back after it was deleted", queue.name);
            }
        }
        Ok(())
    }

    /// Finds for each message which of those it is that the model knows.
    fn match_messages(
        &self,
        ending: Ending,
        model: &QueueModel,
        messages: &[FoundMessage],
    ) -> Checked<Vec<(Candidate, Option<usize>)>> {
        let name = &model.name;
        // A change of the policy may have been lost.
        let rules = [&model.rules, &self.rules_of(name, &model.declared)];
        let tries_end = rules.iter().filter_map(|rules| rules.tries_end()).min();
        let tried = |c: Candidate| (Candidate { tries_end, ..c }, None);
        let mut candidates: Vec<_> = candidates(model).into_iter().map(tried).collect();
        // Of two copies of a message, who died may be one of them alone: it chooses first.
        let mut order: Vec<(usize, &FoundMessage)> = messages.iter().enumerate().collect();
        order.sort_by_key(|(_, found)| !matches!(found.state, State::Stuck(_)));
        for (index, found) in order {
            let (message, deaths) = self.identify(&found.seen)?;
            let same = |(_, (c, _)): &(usize, &(Candidate, Option<usize>))| {
                c.found.is_none() && c.instance.message == message && c.instance.deaths == deaths
            };
            let misfit = |(_, (c, _)): &(usize, &(Candidate, Option<usize>))| {
                let waits = matches!(found.state, State::Delayed(_)) != c.waited();
                // One that came later has its body further on.
                let later = found.came_by.is_some_and(|step| step < c.instance.entered);
                (c.why_not(ending, &found.state).is_some(), later, waits)
            };
            let best = candidates
                .iter()
                .enumerate()
                .filter(same)
                .min_by_key(misfit);
            let Some(place) = best.map(|(place, _)| place) else {
                let here = candidates
                    .iter()
                    .filter(|(c, _)| c.instance.message == message);
                let here: Vec<_> = here
                    .map(|(c, _)| (&c.instance.deaths, &c.was, &c.found))
                    .collect();
                return violated!(
                    "queue {name}: message {message} came out of nothing with {deaths:?}; known \
                     is {here:?}"
                );
            };
            let (candidate, found_as) = &mut candidates[place];
            candidate.check(ending, name, &found.seen, &found.state)?;
            candidate.found = Some(found.state.clone());
            *found_as = Some(index);
        }
        Ok(candidates)
    }

    fn recover_routing(
        &mut self,
        ending: Ending,
        known: &BTreeMap<u64, QueueModel>,
        found: &Found,
    ) -> Checked {
        let safe = |life: &super::Life| life.confirmed || ending.keeps(life.step);
        let ids = found.queues.iter().map(|queue| queue.id);
        let durable = |id: &u64| known.get(id).is_some_and(|queue| queue.durable);
        let streams = found.streams.iter().map(|stream| stream.id);
        let queues: BTreeSet<u64> = ids.filter(durable).chain(streams).collect();
        let (exchanges, bindings) = (&found.exchanges, &found.bindings);
        let routing = &mut self.routing;
        routing.check_lost(&safe, &queues, exchanges, bindings)?;
        routing.check_invented(&safe, bindings)?;
        routing.adopt(&safe, exchanges, bindings)
    }

    /// Forgets ends that are safe up to `safe`.
    pub fn forget(&mut self, safe: Step) {
        for queue in self.queues.values_mut() {
            queue.gone.retain(|gone| gone.step > safe);
            queue.window.forget(safe);
            queue.all_mut().for_each(|instance| instance.forget(safe));
        }
        self.streams
            .values_mut()
            .for_each(|stream| stream.forget(safe));
        self.stream_graves
            .retain(|(_, end)| end.step > safe && !end.confirmed);
        self.graves
            .retain(|(_, end)| end.step > safe && !end.confirmed);
        self.routing
            .gone_bindings
            .retain(|(_, _, end)| end.step > safe && !end.confirmed);
        self.routing
            .gone_exchanges
            .retain(|(_, _, end)| end.step > safe && !end.confirmed);
    }

    /// The queue as it goes on: everything found is there, nobody holds anything.
    fn adopt(
        &self,
        ending: Ending,
        mut model: QueueModel,
        candidates: Vec<(Candidate, Option<usize>)>,
        found: &FoundQueue,
    ) -> QueueModel {
        let present = candidates.iter().filter(|(_, index)| index.is_some());
        let present: BTreeSet<u64> = present.map(|(c, _)| c.instance.number).collect();
        let gone: BTreeSet<u64> = model.gone.iter().map(|gone| gone.instance.number).collect();
        let fate = |known: &Known| match known.number {
            _ if ending.keeps(known.step) => Fate::Kept,
            number if present.contains(&number) => Fate::Kept,
            number if gone.contains(&number) => Fate::Unsure,
            _ if known.durable => Fate::Lost,
            _ => Fate::Kept,
        };
        let mut window = std::mem::take(&mut model.window);
        window.adopt(&found.ids, self.went_back, fate);
        model.window = window;
        model.ready.clear();
        model.delayed.clear();
        model.leased.clear();
        model.lost.clear();
        model.stuck.clear();
        model.gone.clear();
        model.consumers.clear();
        model.active = None;
        model.owners.clear();
        model.paused.clear();
        model.shared.clear();
        model.pace = Default::default();
        (model.born, model.confirmed) = (0, true);
        model.rules = self.rules_of(&model.name, &model.declared);
        for (candidate, index) in candidates {
            let Some(message) = index.map(|index| &found.messages[index]) else {
                continue;
            };
            let was = candidate.was.clone();
            let (instance, state) = candidate.adopt(
                ending,
                (self.now, self.went_back),
                (&message.seen, message.seq),
            );
            take_in(&mut model, instance, (state, was));
        }
        model
    }
}

fn take_in(model: &mut QueueModel, instance: Instance, (state, was): (State, Was)) {
    match state {
        State::Ready => {
            model.ready.insert(instance.place(), instance);
        }
        State::Delayed(at) => {
            let until = (at, at);
            let waiting = Waiting { instance, until };
            model.delayed.insert(waiting.instance.number, waiting);
        }
        State::Stuck(name) => {
            let reason = match was {
                _ if name == Reason::DeliveryLimit.name() => Reason::DeliveryLimit,
                Was::Stuck(reason, _) | Was::Gone(_, Some(reason)) => reason,
                _ => Reason::Rejected,
            };
            let stuck = Stuck {
                instance,
                reason,
                since: 0,
                refused_by: BTreeSet::new(),
                heirs: Vec::new(),
                free_since: None,
                transaction: None,
            };
            model.stuck.insert(stuck.instance.number, stuck);
        }
    }
}

/// Messages that are here come before those that left: they are the likelier ones.
fn candidates(model: &QueueModel) -> Vec<Candidate> {
    let new = |instance: &Instance, was| Candidate {
        instance: instance.clone(),
        was,
        heirs: Vec::new(),
        settled_by: None,
        found: None,
        tries_end: None,
        twin: false,
    };
    let mut all: Vec<_> = model.ready.values().map(|i| new(i, Was::Ready)).collect();
    let held = model.leased.values();
    all.extend(held.map(|held| new(&held.instance, Was::Held(held.operator))));
    for waiting in model.delayed.values() {
        let last = waiting.instance.waits.last();
        let settled_by = last.and_then(|wait| wait.transaction);
        let candidate = new(&waiting.instance, Was::Delayed);
        let born = waiting.instance.transaction;
        all.push(Candidate {
            settled_by: settled_by.filter(|by| Some(*by) != born),
            ..candidate
        });
    }
    all.sort_by_key(|candidate| candidate.instance.place());
    all.extend(model.stuck.values().map(|stuck| Candidate {
        heirs: stuck.heirs.clone(),
        settled_by: stuck.transaction,
        ..new(&stuck.instance, Was::Stuck(stuck.reason, stuck.since))
    }));
    all.extend(model.gone.iter().rev().map(|gone| Candidate {
        heirs: gone.heirs.clone(),
        settled_by: gone.transaction,
        ..new(&gone.instance, Was::Gone(gone.step, gone.reason))
    }));
    let mut names = BTreeMap::<Named, u32>::new();
    let name = |candidate: &Candidate| {
        let instance = &candidate.instance;
        (instance.message, instance.deaths.clone())
    };
    for candidate in &all {
        *names.entry(name(candidate)).or_default() += 1;
    }
    for candidate in &mut all {
        candidate.twin = names[&name(candidate)] > 1;
    }
    all
}

fn must(ending: Ending, model: &QueueModel, instance: &Instance) -> bool {
    let told = instance.confirmed && ending.was_told(model.rules.sync);
    instance.durable && (told || ending.keeps(instance.entered))
}

fn check_lost(ending: Ending, model: &QueueModel, candidate: &Candidate) -> Checked {
    let here = candidate.found.is_some() || matches!(candidate.was, Was::Gone(..));
    if !here && must(ending, model, &candidate.instance) {
        let (name, message) = (&model.name, candidate.instance.message);
        return violated!("queue {name}: message {message} is lost");
    }
    Ok(())
}

/// Counts for each transaction which of its parts are there.
fn count_parts(
    ending: Ending,
    model: &QueueModel,
    candidate: &Candidate,
    transactions: &mut Transactions,
) {
    let Candidate {
        instance,
        was,
        found,
        settled_by,
        ..
    } = candidate;
    if candidate.twin {
        return;
    }
    let mut count = |transaction: Option<u64>, there: bool| {
        if let Some(transaction) = transaction {
            let counts = transactions.entry(transaction).or_default();
            counts.0 += u64::from(there);
            counts.1 += u64::from(!there);
        }
    };
    // What was there before shows whether it was settled.
    if must(ending, model, instance) {
        let settled = match (was, found) {
            (Was::Gone(..), None) => true,
            // What is tried out dies at a start, too.
            (Was::Gone(_, Some(reason)) | Was::Stuck(reason, _), Some(State::Stuck(name))) => {
                reason.name() == name
            }
            (Was::Delayed, Some(State::Delayed(at))) => {
                instance.waits.last().is_some_and(|wait| wait.fits(*at))
            }
            _ => false,
        };
        count(*settled_by, settled);
    }
    if instance.durable && !matches!(was, Was::Gone(..)) {
        count(instance.transaction, found.is_some());
    }
}

fn check_order(
    name: &str,
    candidates: &[(Candidate, Option<usize>)],
    messages: &[FoundMessage],
) -> Checked {
    let ready = |(candidate, index): &&(Candidate, Option<usize>)| {
        !candidate.twin && index.is_some_and(|index| messages[index].state == State::Ready)
    };
    let mut order: Vec<_> = candidates.iter().filter(ready).collect();
    order.sort_by_key(|(_, index)| *index);
    let place = |candidate: &Candidate| {
        let instance = &candidate.instance;
        (std::cmp::Reverse(instance.level), instance.rank)
    };
    for pair in order.windows(2) {
        if place(&pair[0].0) > place(&pair[1].0) {
            let message = |(candidate, _): &(Candidate, _)| candidate.instance.message;
            let (first, second) = (message(pair[0]), message(pair[1]));
            return violated!("queue {name}: message {first} stands before {second} now");
        }
    }
    Ok(())
}

/// An id counts if its message was safe, and does not if its message was lost.
fn check_ids(
    ending: Ending,
    model: &QueueModel,
    ids: &BTreeSet<u64>,
    present: &BTreeSet<u64>,
) -> Checked {
    let name = &model.name;
    if let Some(id) = ids.iter().find(|id| !model.window.was_in(**id)) {
        return violated!("queue {name} knows the id {id}, which it never took");
    }
    for known in model.window.entries() {
        let number = known.number;
        let here = model.all().find(|instance| instance.number == number);
        let told = here.is_some_and(|instance| must(ending, model, instance));
        let must = ending.clean || known.durable && (ending.keeps(known.step) || told);
        let (id, counts) = (known.id, ids.contains(&known.id));
        if must && !counts && !model.window.is_vague(id) {
            return violated!("queue {name} forgot the id {id} of a message that was safe");
        }
        let lost = here.is_some_and(|instance| instance.durable) && !present.contains(&number);
        if counts && lost && !known.again {
            return violated!("queue {name} knows the id {id} of a message that was lost");
        }
    }
    Ok(())
}

/// A message that died and is gone must live on where it went.
fn check_heirs(
    known: &BTreeMap<u64, QueueModel>,
    missing: &Missing,
    present: &BTreeSet<u64>,
) -> Checked {
    for (message, heirs) in missing {
        for (queue, number) in heirs {
            let Some(model) = known.get(queue) else {
                continue;
            };
            let heir = |instance: &&Instance| instance.durable && instance.number == *number;
            if model.all().any(|instance| heir(&instance)) && !present.contains(number) {
                let name = &model.name;
                return violated!("message {message} was lost on its way to queue {name}");
            }
        }
    }
    Ok(())
}
