//! Messages in the order of leaving: one level per priority, each in order of arrival.
//!
//! A level is a head and a tail of unpacked entries with packed pages between them, so that a
//! long queue costs a few bytes a message and a short one no packing at all. What comes back
//! from a consumer is put at its old place.
//!
//! Invariants
//! - Within a level entries leave in the order of their `seq`, returned ones included.
//! - Every entry of a higher level leaves before any of a lower one.
//! - `sums` are those of all entries in all levels.
//! - A level above the lowest is there while it has entries, so the last one is the next to be
//!   served, and those that are not used cost nothing.
//!
//! Not here: who gets the next message (`consumer`), what is made of an expired one (`Queue`).

#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use super::super::entry::Entry;
use super::super::page::Packed;
use super::level::{Level, NEVER};
use super::{Place, Sums};
use crate::Millis;

/// All levels of one queue.
#[derive(Debug)]
pub struct Levels {
    /// Priority 0.
    lowest: Level,
    /// The other priorities that have entries, in ascending order.
    upper: Vec<(u8, Box<Level>)>,
    /// The last level that became empty, to be used again.
    spare: Option<Box<Level>>,
    sums: Sums,
}

impl Default for Levels {
    fn default() -> Levels {
        Levels::new()
    }
}

impl Levels {
    /// Without messages.
    pub const fn new() -> Levels {
        Levels {
            lowest: Level::new(),
            upper: Vec::new(),
            spare: None,
            sums: Sums::NOTHING,
        }
    }

    /// What all its entries come to.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// How many messages wait.
    pub fn count(&self) -> u64 {
        self.sums.count
    }

    /// The level of a priority, made if it is not there.
    #[inline]
    fn level(&mut self, priority: u8) -> &mut Level {
        match priority {
            0 => &mut self.lowest,
            _ => self.upper_level(priority),
        }
    }

    #[inline(never)]
    fn upper_level(&mut self, priority: u8) -> &mut Level {
        let at = match self.upper_at(priority) {
            Ok(at) => at,
            Err(at) => {
                let level = self.spare.take().unwrap_or_default();
                self.upper.insert(at, (priority, level));
                at
            }
        };
        &mut self.upper[at].1
    }

    fn upper_at(&self, priority: u8) -> Result<usize, usize> {
        self.upper
            .binary_search_by_key(&priority, |(level, _)| *level)
    }

    /// Drops level `at` of the upper ones if it is empty.
    fn drop_empty(&mut self, at: usize) {
        if self.upper[at].1.is_empty() {
            self.spare = Some(self.upper.remove(at).1);
        }
    }

    fn drop_all_empty(&mut self) {
        self.upper.retain(|(_, level)| !level.is_empty());
    }

    /// All levels with their priorities, in the order of leaving.
    fn levels(&self) -> impl DoubleEndedIterator<Item = (u8, &Level)> {
        let upper = self
            .upper
            .iter()
            .map(|(priority, level)| (*priority, &**level));
        std::iter::once((0, &self.lowest)).chain(upper).rev()
    }

    fn levels_mut(&mut self) -> impl Iterator<Item = &mut Level> {
        let upper = self.upper.iter_mut().rev().map(|(_, level)| &mut **level);
        upper.chain([&mut self.lowest])
    }

    /// Adds a message at the end of its level; its `seq` is above all before it.
    pub fn push_back(&mut self, entry: Entry) {
        self.sums.added(&entry);
        self.level(entry.priority).push_back(entry);
    }

    /// Puts a message that was out back at its place.
    pub fn put_back(&mut self, entry: Entry) {
        self.sums.added(&entry);
        let vacant = self.level(entry.priority).put_back(entry);
        assert!(vacant, "a message is in one place only");
    }

    /// Adds a message at its place, at the end of its level or before it.
    pub fn place(&mut self, entry: Entry) {
        let level = self.level(entry.priority);
        match level.last_seq() {
            Some(last) if entry.seq <= last => self.put_back(entry),
            _ => self.push_back(entry),
        }
    }

    /// The message that leaves next.
    pub fn front(&mut self) -> Option<&Entry> {
        if self.sums.count == 0 {
            return None;
        }
        match self.upper.last_mut() {
            Some((_, level)) => level.front(),
            None => self.lowest.front(),
        }
    }

    /// Where the message stands that leaves next.
    pub fn first(&mut self) -> Option<Place> {
        let front = self.front()?;
        Some((Reverse(front.priority), front.seq))
    }

    /// Takes the message that leaves next.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Entry> {
        if self.sums.count == 0 {
            return None;
        }
        let entry = if self.upper.is_empty() {
            self.lowest.pop_front()
        } else {
            self.pop_upper()
        };
        if let Some(entry) = &entry {
            self.sums.removed(entry);
        }
        entry
    }

    #[inline(never)]
    fn pop_upper(&mut self) -> Option<Entry> {
        let (_, level) = self.upper.last_mut()?;
        let entry = level.pop_front();
        self.drop_empty(self.upper.len() - 1);
        entry
    }

    /// The message at a place.
    pub fn get(&self, priority: u8, seq: u64) -> Option<Entry> {
        if priority == 0 {
            return self.lowest.get(seq);
        }
        let at = self.upper_at(priority).ok()?;
        self.upper[at].1.get(seq)
    }

    /// Takes the message at a place.
    pub fn take(&mut self, priority: u8, seq: u64) -> Option<Entry> {
        let entry = if priority == 0 {
            self.lowest.take(seq)?
        } else {
            let at = self.upper_at(priority).ok()?;
            let entry = self.upper[at].1.take(seq)?;
            self.drop_empty(at);
            entry
        };
        self.sums.removed(&entry);
        Some(entry)
    }

    /// Takes up to `max` expired messages, wherever they stand, and adds them to `out` in the
    /// order of their `seq`.
    pub fn take_expired(&mut self, now: Millis, max: usize, out: &mut Vec<Entry>) {
        if self.sums.next_expiry().is_none_or(|at| at > now) {
            return;
        }
        let (before, mut due) = (out.len(), NEVER);
        let out_max = before.saturating_add(max);
        for level in self.levels_mut() {
            if level.due() <= now {
                level.take_expired(now, out_max, out);
            }
            due = due.min(level.due());
        }
        self.sums.due = due;
        self.drop_all_empty();
        out[before..]
            .iter()
            .for_each(|entry| self.sums.removed(entry));
        out[before..].sort_unstable_by_key(|entry| entry.seq);
    }

    /// Lets `each` change every entry and drops those that it does not want to keep. Packed pages
    /// that `touched` declines stay as they are, unseen.
    pub fn retain(
        &mut self,
        touched: impl Fn(&Packed) -> bool,
        mut each: impl FnMut(&mut Entry) -> bool,
    ) {
        let mut lowest = std::mem::take(&mut self.lowest);
        let mut upper = std::mem::take(&mut self.upper);
        let mut keep = |entry: &mut Entry| {
            self.sums.removed(entry);
            let kept = each(entry);
            if kept {
                self.sums.added(entry);
            }
            kept
        };
        lowest.retain(&touched, &mut keep);
        for (_, level) in &mut upper {
            level.retain(&touched, &mut keep);
        }
        (self.lowest, self.upper) = (lowest, upper);
        self.drop_all_empty();
    }

    /// Takes everything, handing each entry to `each` in the order of leaving.
    pub fn drain(&mut self, mut each: impl FnMut(Entry)) {
        while let Some(entry) = self.pop_front() {
            each(entry);
        }
    }

    /// The waiting messages that outlive the broker, as pages in order of their levels.
    pub fn durable_pages(&self, mut each: impl FnMut(Packed)) {
        for (_, level) in self.levels().rev() {
            level.durable_pages(&mut each);
        }
    }

    /// The messages that came back.
    pub fn returned(&self) -> impl Iterator<Item = &Entry> {
        self.levels().rev().flat_map(|(_, level)| level.returned())
    }

    /// Adds a packed page of a checkpoint behind all that its level has. False if a place is
    /// taken twice: then this is no queue to go on with.
    pub fn push_page(&mut self, page: Packed) -> bool {
        self.sums.count += page.len() as u64;
        self.sums.bytes += page.body_bytes();
        self.sums.expiring += page.expiring();
        self.sums.due = self.sums.due.min(page.earliest().unwrap_or(NEVER));
        self.level(page.priority()).push_page(page)
    }

    /// Visits the waiting messages that leave after the place `after`, a priority and a `seq`,
    /// in the order of leaving, until `each` returns false. The place may be vacant.
    pub fn visit_after(&self, after: Option<(u8, u64)>, each: impl FnMut(&Entry) -> bool) {
        let from = |priority: u8| match after {
            Some((highest, _)) if priority > highest => u64::MAX,
            Some((highest, seq)) if priority == highest => seq.saturating_add(1),
            _ => 0,
        };
        self.visit_from(from, each);
    }

    /// Visits the waiting messages in the order of leaving until `each` returns false, those of
    /// each priority from the `seq` on that `from` says.
    pub fn visit_from(&self, from: impl Fn(u8) -> u64, mut each: impl FnMut(&Entry) -> bool) {
        for (priority, level) in self.levels() {
            if !level.visit_from(from(priority), &mut each) {
                return;
            }
        }
    }
}
