//! What one consumer has looked at, and its way through the rest.
//!
//! Invariants
//! - Of each level what stands before the cursor was not wanted, but for what is in `back`.
//! - A message is looked at once, until it came back; the one that was found stays to be found
//!   until it is gone.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::super::effect::{Context, Lens};
use super::super::entry::{BodyRef, Entry};
use super::super::ready::{Levels, Place, place};
use super::{Choosers, Work};
use crate::filter::Filter;

/// What a search met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A message that is wanted, and the length of its body in bytes.
    At(Place, u32),
    /// Nothing: the consumer is caught up.
    Nothing,
    /// Nothing so far, and enough was done at once.
    Later,
}

/// Where a consumer is in looking for what it wants.
#[derive(Debug)]
pub struct Search {
    caught_up: bool,
    /// In every level nothing before this is wanted.
    floor: u64,
    /// In these levels nothing before that is, either.
    passed: Vec<(u8, u64)>,
    /// What came back before the cursor and must be looked at again.
    back: BTreeSet<Place>,
    /// How many messages had come back when it looked last.
    noted: u64,
}

impl Search {
    /// Nothing was looked at; so many messages came back before.
    pub fn new(noted: u64) -> Search {
        Search {
            caught_up: false,
            floor: 0,
            passed: Vec::new(),
            back: BTreeSet::new(),
            noted,
        }
    }

    /// Whether nothing is left to look at.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// What comes now is not looked at any more: it was caught up before `horizon`.
    pub fn fall_behind(&mut self, horizon: u64, noted: u64) {
        if std::mem::take(&mut self.caught_up) {
            (self.floor, self.noted) = (horizon, noted);
        }
    }

    /// What stands at `seq` or behind it is looked at again.
    pub fn go_back_to(&mut self, seq: u64, noted: u64) {
        self.fall_behind(seq, noted);
        self.floor = self.floor.min(seq);
        for (_, passed) in &mut self.passed {
            *passed = (*passed).min(seq);
        }
    }

    fn cursor(&self, priority: u8) -> u64 {
        let passed = self.passed.iter().find(|(level, _)| *level == priority);
        passed.map_or(self.floor, |(_, seq)| *seq)
    }

    fn pass(&mut self, (priority, seq): (u8, u64)) {
        match self.passed.iter_mut().find(|(level, _)| *level == priority) {
            Some((_, passed)) => *passed = seq,
            None => self.passed.push((priority, seq)),
        }
    }

    /// Takes notice of what came back since it looked last.
    fn look_back(&mut self, choosers: &Choosers) {
        let Some(skipped) = self.noted.checked_sub(choosers.forgotten) else {
            *self = Search::new(choosers.noted());
            return;
        };
        for place in choosers.back.range(skipped as usize..) {
            let (Reverse(priority), seq) = *place;
            if seq < self.cursor(priority) {
                self.back.insert(*place);
            }
        }
        self.noted = choosers.noted();
    }

    /// Goes on to the next message that `filter` wants.
    pub fn go_on(
        &mut self,
        filter: &Filter,
        choosers: &Choosers,
        store: &Levels,
        work: &mut Work,
        cx: &Context<'_>,
    ) -> Found {
        self.look_back(choosers);
        let mut wants = |entry: &Entry| match work.one() {
            true => Some(wants(filter, &BodyRef::from(&entry.body), cx)),
            false => None,
        };
        let found = match self.among_back(store, cx, &mut wants) {
            Found::Nothing => None,
            Found::At(place, size) => Some((place, size)),
            Found::Later => return Found::Later,
        };
        let above = found.map(|((Reverse(priority), _), _)| priority);
        match (self.among_rest(above, store, cx, &mut wants), found) {
            (Found::Nothing, Some((place, size))) => Found::At(place, size),
            (Found::Nothing, None) => {
                self.caught_up = true;
                self.passed.clear();
                Found::Nothing
            }
            (met, _) => met,
        }
    }

    fn among_back(
        &mut self,
        store: &Levels,
        cx: &Context<'_>,
        wants: &mut impl FnMut(&Entry) -> Option<bool>,
    ) -> Found {
        while let Some(&(Reverse(priority), seq)) = self.back.first() {
            let entry = store.get(priority, seq);
            if let Some(entry) = entry.filter(|entry| !entry.expired(cx.now)) {
                match wants(&entry) {
                    Some(true) => return Found::At(place(&entry), entry.size),
                    Some(false) => {}
                    None => return Found::Later,
                }
            }
            self.back.pop_first();
        }
        Found::Nothing
    }

    /// Looks at what it has not seen, in the levels above one if that is given.
    fn among_rest(
        &mut self,
        above: Option<u8>,
        store: &Levels,
        cx: &Context<'_>,
        wants: &mut impl FnMut(&Entry) -> Option<bool>,
    ) -> Found {
        let mut met = Found::Nothing;
        let mut passed: Vec<(u8, u64)> = Vec::new();
        let from = |priority: u8| match above {
            Some(found) if priority <= found => u64::MAX,
            _ => self.cursor(priority),
        };
        store.visit_from(from, |entry| {
            let wanted = match entry.expired(cx.now) {
                true => Some(false),
                false => wants(entry),
            };
            match wanted {
                Some(true) => met = Found::At(place(entry), entry.size),
                None => met = Found::Later,
                Some(false) => {
                    match passed.last_mut() {
                        Some((level, seq)) if *level == entry.priority => *seq = entry.seq + 1,
                        _ => passed.push((entry.priority, entry.seq + 1)),
                    }
                    return true;
                }
            }
            false
        });
        passed.into_iter().for_each(|level| self.pass(level));
        met
    }
}

/// Whether a filter wants the message of a body; what can not be read is not wanted.
pub fn wants(filter: &Filter, body: &BodyRef, cx: &Context<'_>) -> bool {
    let (mut wanted, lens) = (false, cx.lens);
    Lens::show(lens, cx.staged, body, &mut |message| {
        wanted = filter.matches(message);
    });
    wanted
}
