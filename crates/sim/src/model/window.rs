//! The message ids that a queue has seen, as they must be.
//!
//! Invariants
//! - Entries stand in the order in which they came; their times never fall.

use std::collections::BTreeSet;

use super::Step;
use super::rules::Identity;

/// An id that counts.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The id.
    pub id: u64,
    /// Since when.
    pub at: u64,
    /// The order in which it came.
    pub order: u64,
    /// The step in which it came.
    pub step: Step,
    /// The message that it came with.
    pub number: u64,
    /// Whether that outlives the broker.
    pub durable: bool,
    /// It had been in before, and was too old.
    pub again: bool,
}

/// Whether the message that an id came with was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was.
    Kept,
    /// It was not.
    Lost,
    /// It is not there; it may have come and gone, or never have come.
    Unsure,
}

/// What a queue has seen.
#[derive(Debug, Clone, Default)]
pub struct Window {
    entries: Vec<Known>,
    /// Ids that were pushed out by others, until that is safe.
    pushed_out: Vec<(Known, Step)>,
    /// All ids that ever were in.
    ever: BTreeSet<u64>,
    /// Ids of which it is not known how long they count.
    vague: BTreeSet<u64>,
    orders: u64,
}

impl Window {
    /// Forgets what is too old.
    pub fn expire(&mut self, rule: Identity, now: u64) {
        let over = |known: &Known| known.at.saturating_add(rule.ttl_ms) <= now;
        while self.entries.first().is_some_and(over) {
            self.entries.remove(0);
        }
    }

    /// The entry of an id, if it counts.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<Known> {
        self.entries.iter().find(|known| known.id == id).copied()
    }

    /// Whether the model can not tell how long the id counts.
    #[must_use]
    pub fn is_vague(&self, id: u64) -> bool {
        self.vague.contains(&id)
    }

    /// Takes an id that does not count yet.
    pub fn insert(&mut self, rule: Identity, now: u64, new: Known) {
        self.expire(rule, now);
        while self.entries.len() as u64 >= rule.ids_max {
            let oldest = self.entries.remove(0);
            self.pushed_out.push((oldest, new.step));
        }
        self.orders += 1;
        let at = self.entries.last().map_or(now, |last| last.at.max(now));
        let (order, again) = (self.orders, self.was_in(new.id));
        self.entries.push(Known {
            at,
            order,
            again,
            ..new
        });
        self.ever.insert(new.id);
        if !self.vague.is_empty() {
            // The time of what came before it, which may be ahead, counts for it as well; and it
            // may push out one more than is known.
            self.vague.extend(self.entries.iter().map(|known| known.id));
        }
    }

    /// The id came with this message.
    pub fn rename(&mut self, id: u64, number: u64) {
        let mut entries = self.entries.iter_mut();
        if let Some(known) = entries.find(|known| known.id == id) {
            known.number = number;
        }
    }

    /// Forgets an id whose message was refused after all.
    pub fn remove(&mut self, id: u64) {
        self.entries.retain(|known| known.id != id);
    }

    /// Whether the id was in at any time.
    #[must_use]
    pub fn was_in(&self, id: u64) -> bool {
        self.ever.contains(&id)
    }

    /// All ids that ever were in.
    pub fn all(&self) -> impl Iterator<Item = u64> {
        self.ever.iter().copied()
    }

    /// All that count.
    pub fn entries(&self) -> impl Iterator<Item = &Known> {
        self.entries.iter()
    }

    /// Forgets what was pushed out up to a safe step.
    pub fn forget(&mut self, safe: Step) {
        self.pushed_out.retain(|(_, step)| *step > safe);
    }

    /// After a restart: goes on with the ids that were found. Of each that is known `fate` says
    /// whether its message is there. If the clock went back it is not known since when each of
    /// them counts.
    pub fn adopt(&mut self, found: &BTreeSet<u64>, vague: bool, fate: impl Fn(&Known) -> Fate) {
        let pushed_out = std::mem::take(&mut self.pushed_out);
        let back = pushed_out.into_iter().map(|(known, _)| known);
        let here: BTreeSet<u64> = self.entries.iter().map(|known| known.id).collect();
        self.entries
            .extend(back.filter(|known| !here.contains(&known.id)));
        self.entries.sort_by_key(|known| known.order);
        // What was too old may be all that was found of an id that came again.
        let again = |known: &&Known| {
            let unsure = !known.durable || fate(known) == Fate::Unsure;
            known.again && known.step > 0 && unsure
        };
        let unsure = self.entries.iter().filter(again).map(|known| known.id);
        self.vague.extend(unsure);
        let vague_ids = &self.vague;
        self.entries.retain(|known| {
            let old = known.again && fate(known) == Fate::Lost || vague_ids.contains(&known.id);
            found.contains(&known.id) && !old
        });
        for known in &mut self.entries {
            known.step = 0;
        }
        if vague {
            self.vague.extend(&self.ever);
            self.entries.clear();
        }
    }
}
