//! Several stores of messages seen, or put together, in one order.
//!
//! Invariants
//! - What comes out is in the order of leaving, whatever store it was in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::super::entry::Entry;
use super::{Levels, Place, place};

/// Entries that are copied out of a store at once, at first; later more.
const COPIED_ENTRIES_FIRST: usize = 8;

/// Entries that are copied out of a store at once.
const COPIED_ENTRIES_MAX: usize = 512;

/// Two messages claim the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twice;

/// Puts the messages of all `stores` into one.
pub fn merge(stores: Vec<Levels>) -> Result<Levels, Twice> {
    let mut stores: Vec<Levels> = stores
        .into_iter()
        .filter(|store| store.count() > 0)
        .collect();
    if stores.len() < 2 {
        return Ok(stores.pop().unwrap_or_default());
    }
    let firsts = stores.iter_mut().enumerate();
    let firsts = firsts.filter_map(|(index, store)| Some(Reverse((store.first()?, index))));
    let mut firsts: BinaryHeap<Reverse<(Place, usize)>> = firsts.collect();
    let (mut merged, mut last) = (Levels::default(), None);
    while let Some(Reverse((place, index))) = firsts.pop() {
        if last == Some(place) {
            return Err(Twice);
        }
        last = Some(place);
        let store = &mut stores[index];
        if let Some(entry) = store.pop_front() {
            merged.push_back(entry);
        }
        firsts.extend(store.first().map(|place| Reverse((place, index))));
    }
    Ok(merged)
}

/// A store that is looked through.
struct Reading<'a> {
    store: &'a Levels,
    copied: VecDeque<Entry>,
    /// Behind which place to go on.
    after: Option<(u8, u64)>,
    copied_max: usize,
    ended: bool,
}

impl Reading<'_> {
    fn first(&mut self) -> Option<Place> {
        if self.copied.is_empty() && !self.ended {
            let (copied, max) = (&mut self.copied, self.copied_max);
            self.store.visit_after(self.after, |entry| {
                copied.push_back(entry.clone());
                copied.len() < max
            });
            self.ended = copied.len() < max;
            self.copied_max = (max * 8).min(COPIED_ENTRIES_MAX);
            let last = self.copied.back();
            self.after = last.map(|last| (last.priority, last.seq)).or(self.after);
        }
        self.copied.front().map(place)
    }
}

/// The messages of several stores in one order, without taking them.
pub struct Merged<'a> {
    stores: Vec<Reading<'a>>,
    firsts: BinaryHeap<Reverse<(Place, usize)>>,
    current: Option<Entry>,
}

impl<'a> Merged<'a> {
    /// Those that leave after the place `after`.
    pub fn new(stores: Vec<&'a Levels>, after: Option<(u8, u64)>) -> Merged<'a> {
        let read = |store| Reading {
            store,
            copied: VecDeque::new(),
            after,
            copied_max: COPIED_ENTRIES_FIRST,
            ended: false,
        };
        let mut stores: Vec<Reading<'a>> = stores.into_iter().map(read).collect();
        let firsts = stores.iter_mut().enumerate();
        let firsts = firsts.filter_map(|(index, store)| Some(Reverse((store.first()?, index))));
        Merged {
            firsts: firsts.collect(),
            stores,
            current: None,
        }
    }

    /// The next one.
    pub fn next(&mut self) -> Option<&Entry> {
        let Reverse((_, index)) = self.firsts.pop()?;
        let store = &mut self.stores[index];
        self.current = store.copied.pop_front();
        let first = store.first();
        self.firsts
            .extend(first.map(|place| Reverse((place, index))));
        self.current.as_ref()
    }
}
