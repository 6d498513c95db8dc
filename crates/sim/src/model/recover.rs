//! What must be, may be and must not be there after a restart.
//!
//! A message must be there if it outlives the broker and either its publisher was told that it
//! is safe or the log was safe up to the step in which it came; unless it left. What left may be
//! back while its end was not safe. Everything else must not be there.
//!
//! Invariants
//! - After a recovery the model has exactly what was found, in the order in which it was found.

use std::collections::{BTreeMap, BTreeSet};

use ferry_broker::SyncPolicy;

use super::queue::{Instance, QueueModel};
use super::routing::{Binding, Kind};
use super::{Model, Step};
use crate::outlet::Seen;
use crate::{Checked, violated};

/// How the life before ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// In order: nothing may be lost and nothing may come back.
    pub clean: bool,
    /// The power went, so that only what was synced is safe.
    pub power_lost: bool,
    /// All steps up to this one are safe.
    pub safe: Step,
}

impl Ending {
    fn was_told(self, sync: SyncPolicy) -> bool {
        match sync {
            SyncPolicy::Sync => true,
            SyncPolicy::Written => !self.power_lost,
            SyncPolicy::Memory => false,
        }
    }
}

/// A queue as it was found.
#[derive(Debug)]
pub struct FoundQueue {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its messages in the order of leaving.
    pub messages: Vec<Seen>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Queues in order of their names.
    pub queues: Vec<FoundQueue>,
    /// Exchanges that the broker does not have by itself.
    pub exchanges: BTreeMap<String, Kind>,
    /// Bindings of queues.
    pub bindings: BTreeSet<Binding>,
}

/// Where a message was when the life before ended.
#[derive(Debug, Clone)]
enum Was {
    Ready,
    Held,
    Gone(Step, Vec<(u64, u64)>, Option<u64>),
}

struct Candidate {
    instance: Instance,
    was: Was,
    found: bool,
}

/// How often messages of a transaction were found and missed.
type Transactions = BTreeMap<u64, (u64, u64)>;

impl Model {
    /// Compares what was found with what must be there, and goes on from it.
    pub fn recover(&mut self, ending: Ending, found: Found) -> Checked {
        let mut known: BTreeMap<u64, QueueModel> = std::mem::take(&mut self.queues);
        self.check_queues(ending, &known, &found)?;
        for (queue, _) in std::mem::take(&mut self.graves) {
            known.entry(queue.id).or_insert(queue);
        }
        self.recover_routing(ending, &known, &found)?;
        let mut transactions = Transactions::new();
        let mut missing = Vec::new();
        let mut present = BTreeSet::new();
        for queue in found.queues {
            let Some(model) = known.get(&queue.id).cloned() else {
                return violated!("queue {} was never declared", queue.name);
            };
            let messages = queue.messages;
            let candidates = self.match_messages(ending, &model, messages, &mut transactions)?;
            for candidate in candidates.iter().filter(|candidate| !candidate.found) {
                if let Was::Gone(_, heirs, _) = &candidate.was
                    && must(ending, &model, &candidate.instance)
                {
                    missing.push((candidate.instance.message, heirs.clone()));
                }
            }
            let found = candidates.iter().filter(|candidate| candidate.found);
            present.extend(found.map(|candidate| candidate.instance.number));
            self.queues
                .insert(queue.id, adopt(ending, model, candidates));
        }
        for (transaction, (there, not_there)) in transactions {
            if there > 0 && not_there > 0 {
                return violated!("a part of transaction {transaction} was lost: {not_there}");
            }
        }
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
            let safe = ending.clean || queue.confirmed || queue.born <= ending.safe;
            if safe && !ids.contains(&queue.id) {
                return violated!("queue {} is lost", queue.name);
            }
        }
        for (queue, end) in &self.graves {
            let safe = ending.clean || end.confirmed || end.step <= ending.safe;
            if safe && ids.contains(&queue.id) && !known.contains_key(&queue.id) {
                return violated!("queue {} came back after it was deleted", queue.name);
            }
        }
        Ok(())
    }

    fn match_messages(
        &self,
        ending: Ending,
        model: &QueueModel,
        messages: Vec<Seen>,
        transactions: &mut Transactions,
    ) -> Checked<Vec<Candidate>> {
        let name = &model.name;
        let mut candidates = candidates(model);
        let mut order = Vec::new();
        for seen in messages {
            let (message, deaths) = self.identify(&seen)?;
            let same = |c: &Candidate| {
                !c.found && c.instance.message == message && c.instance.deaths == deaths
            };
            let Some(index) = candidates.iter().position(same) else {
                let here = candidates.iter().filter(|c| c.instance.message == message);
                let here: Vec<_> = here
                    .map(|c| (&c.instance.deaths, &c.was, c.found))
                    .collect();
                return violated!(
                    "queue {name}: message {message} came out of nothing with {deaths:?}; known \
                     is {here:?}"
                );
            };
            let candidate = &mut candidates[index];
            candidate.found = true;
            check_found(ending, name, candidate, &seen)?;
            candidate.instance.redelivered = Some(seen.redelivered);
            candidate.instance.returns = seen.returns;
            order.push(index);
        }
        check_order(name, &candidates, &order)?;
        for candidate in &candidates {
            let Candidate {
                instance,
                was,
                found,
            } = candidate;
            if let Was::Gone(_, _, transaction) = was {
                if let Some(transaction) = transaction.filter(|_| must(ending, model, instance)) {
                    let counts = transactions.entry(transaction).or_default();
                    counts.0 += u64::from(!*found);
                    counts.1 += u64::from(*found);
                }
                continue;
            }
            if !found && (ending.clean && instance.durable || must(ending, model, instance)) {
                return violated!("queue {name}: message {} is lost", instance.message);
            }
            if let Some(transaction) = instance.transaction.filter(|_| instance.durable) {
                let counts = transactions.entry(transaction).or_default();
                counts.0 += u64::from(*found);
                counts.1 += u64::from(!*found);
            }
        }
        for (place, index) in order.iter().enumerate() {
            candidates[*index].instance.rank = (0, place as u64);
        }
        Ok(candidates)
    }

    fn recover_routing(
        &mut self,
        ending: Ending,
        known: &BTreeMap<u64, QueueModel>,
        found: &Found,
    ) -> Checked {
        let safe = |life: &super::Life| ending.clean || life.confirmed || life.step <= ending.safe;
        let ids = found.queues.iter().map(|queue| queue.id);
        let durable = |id: &u64| known.get(id).is_some_and(|queue| queue.durable);
        let queues: BTreeSet<u64> = ids.filter(durable).collect();
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
        }
        self.graves
            .retain(|(_, end)| end.step > safe && !end.confirmed);
        self.routing
            .gone_bindings
            .retain(|(_, _, end)| end.step > safe && !end.confirmed);
        self.routing
            .gone_exchanges
            .retain(|(_, _, end)| end.step > safe && !end.confirmed);
    }
}

/// Messages that wait or are held come before those that left: they are the likelier ones.
fn candidates(model: &QueueModel) -> Vec<Candidate> {
    let new = |instance: &Instance, was| Candidate {
        instance: instance.clone(),
        was,
        found: false,
    };
    let mut all: Vec<_> = model.ready.values().map(|i| new(i, Was::Ready)).collect();
    all.extend(
        model
            .leased
            .values()
            .map(|held| new(&held.instance, Was::Held)),
    );
    all.sort_by_key(|candidate| candidate.instance.place());
    let gone = model.gone.iter().rev();
    all.extend(gone.map(|gone| {
        new(
            &gone.instance,
            Was::Gone(gone.step, gone.heirs.clone(), gone.transaction),
        )
    }));
    all
}

fn must(ending: Ending, model: &QueueModel, instance: &Instance) -> bool {
    let told = instance.confirmed && ending.was_told(model.rules.sync);
    instance.durable && (told || instance.entered <= ending.safe)
}

fn check_found(ending: Ending, name: &str, candidate: &Candidate, seen: &Seen) -> Checked {
    let Candidate { instance, was, .. } = candidate;
    let message = instance.message;
    if !instance.durable {
        return violated!("queue {name}: message {message} survived and is transient");
    }
    if let Was::Gone(step, _, _) = was
        && (ending.clean || *step <= ending.safe)
    {
        return violated!("queue {name}: message {message} left in step {step} and came back");
    }
    if !ending.clean {
        if !seen.redelivered {
            return violated!("queue {name}: message {message} is not flagged after a crash");
        }
        return Ok(());
    }
    let held = matches!(was, Was::Held);
    let expected = if held {
        Some(true)
    } else {
        instance.redelivered
    };
    if expected.is_some_and(|expected| expected != seen.redelivered) {
        let flag = seen.redelivered;
        return violated!("queue {name}: message {message} is flagged {flag} after a stop");
    }
    let returns = instance.returns + u32::from(held);
    if returns != seen.returns {
        let told = seen.returns;
        return violated!("queue {name}: message {message} returned {returns}, not {told} times");
    }
    Ok(())
}

fn check_order(name: &str, candidates: &[Candidate], order: &[usize]) -> Checked {
    let place = |index: &usize| {
        let instance = &candidates[*index].instance;
        (std::cmp::Reverse(instance.level), instance.rank)
    };
    for pair in order.windows(2) {
        if place(&pair[0]) > place(&pair[1]) {
            let message = |index: &usize| candidates[*index].instance.message;
            let (first, second) = (message(&pair[0]), message(&pair[1]));
            return violated!("queue {name}: message {first} stands before {second} now");
        }
    }
    Ok(())
}

/// The queue as it goes on: everything found waits.
fn adopt(ending: Ending, mut model: QueueModel, candidates: Vec<Candidate>) -> QueueModel {
    model.ready.clear();
    model.leased.clear();
    model.gone.clear();
    model.consumers.clear();
    model.active = None;
    (model.born, model.confirmed) = (0, true);
    for candidate in candidates.into_iter().filter(|candidate| candidate.found) {
        let mut instance = candidate.instance;
        (instance.entered, instance.transaction) = (0, None);
        // What was safe only for a crash of the process is synced by the start.
        instance.confirmed |= ending.clean;
        model.ready.insert(instance.place(), instance);
    }
    model
}

/// A message that died and is gone must live on where it went.
fn check_heirs(
    known: &BTreeMap<u64, QueueModel>,
    missing: &[(u64, Vec<(u64, u64)>)],
    present: &BTreeSet<u64>,
) -> Checked {
    for (message, heirs) in missing {
        for (queue, number) in heirs {
            let Some(model) = known.get(queue) else {
                continue;
            };
            let waits = model
                .ready
                .values()
                .chain(model.leased.values().map(|h| &h.instance));
            let expected = waits.filter(|instance| instance.durable && instance.number == *number);
            if expected.count() > 0 && !present.contains(number) {
                return violated!(
                    "message {message} was lost on its way to queue {}",
                    model.name
                );
            }
        }
    }
    Ok(())
}
