//! The ready messages of a queue with shards.
//!
//! Each shard has a store; so have the messages without a key, those that a shard's owner does not
//! want, and each key that could not go on when its turn came. Stores whose next message may go to
//! the same consumer make a **pile**, ordered by those next messages.
//!
//! Invariants
//! - `sums` are those of all stores.
//! - A store that is not empty stands in the pile that it belongs to, once, under the place of its
//!   next message; an empty one in none. A key's or an unwanted one's store goes when it is empty.
//! - Of one key and level, what is in the key's store comes before what its shard's store has,
//!   unless it came back later; all are in order within their store.
//! - A consumer whose pile got something it did not have before is in `called`.
//!
//! Not here: which pile a store belongs to (`shards`).

use std::collections::{BTreeMap, BTreeSet};

use super::super::entry::Entry;
use super::{Levels, Place, Sums, merge};
use crate::Millis;
use crate::queue::ready::level::NEVER;

/// A store of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Messages without a key.
    Common,
    /// Those of a shard.
    Shard(u16),
    /// Those of a shard that its owner does not want.
    Unwanted(u16),
    /// Those of one key.
    Key(u32),
}

/// Stores whose next messages may go to the same consumer, or to nobody for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pile(u32);

impl Pile {
    /// Keys that can not go on.
    pub const BLOCKED: Pile = Pile(0);
    /// What owners do not want.
    pub const UNWANTED: Pile = Pile(1);
    /// Shards that nobody owns.
    pub const UNOWNED: Pile = Pile(2);
    /// What may go to anyone.
    pub const COMMON: Pile = Pile(3);

    /// What goes to the consumer of that place.
    pub fn of(consumer: u32) -> Pile {
        Pile(consumer + 4)
    }

    fn consumer(self) -> Option<u32> {
        self.0.checked_sub(4)
    }
}

#[derive(Debug)]
struct Store {
    levels: Levels,
    pile: Pile,
    /// Where it stands in its pile, if it does.
    filed: Option<Place>,
}

impl Store {
    fn new(pile: Pile) -> Box<Store> {
        Box::new(Store {
            levels: Levels::default(),
            pile,
            filed: None,
        })
    }
}

/// All stores of one queue.
#[derive(Debug)]
pub struct Parts {
    stores: BTreeMap<Source, Box<Store>>,
    piles: Vec<BTreeSet<(Place, Source)>>,
    /// Where each shard belongs.
    shards: Vec<Pile>,
    sums: Sums,
    called: Vec<u32>,
}

impl Parts {
    /// So many shards that nobody owns, without messages.
    pub fn new(shards: u16) -> Parts {
        let common = (Source::Common, Store::new(Pile::COMMON));
        Parts {
            stores: BTreeMap::from([common]),
            piles: vec![BTreeSet::new(); 4],
            shards: vec![Pile::UNOWNED; usize::from(shards)],
            sums: Sums::default(),
            called: Vec::new(),
        }
    }

    /// What all entries come to.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The shard of a key.
    pub fn shard_of(&self, key: u32) -> u16 {
        (key as usize % self.shards.len()) as u16
    }

    fn source_of(&self, key: u32) -> Source {
        match key {
            0 => Source::Common,
            _ => Source::Shard(self.shard_of(key)),
        }
    }

    /// Changes a store, which is made if it is not there, and stands it where it belongs then.
    fn change<R>(&mut self, source: Source, change: impl FnOnce(&mut Levels) -> R) -> R {
        let pile = match source {
            Source::Common => Pile::COMMON,
            Source::Shard(shard) => self.shards[usize::from(shard)],
            Source::Unwanted(_) => Pile::UNWANTED,
            Source::Key(_) => Pile::BLOCKED,
        };
        let store = self.stores.entry(source);
        let store = store.or_insert_with(|| Store::new(pile));
        let before = store.levels.sums().clone();
        let result = change(&mut store.levels);
        self.sums.changed(&before, store.levels.sums());
        let first = store.levels.first();
        let pile = store.pile;
        if first != store.filed {
            let filed = std::mem::replace(&mut store.filed, first);
            self.stand(pile, source, filed, first);
        }
        if first.is_none() && matches!(source, Source::Key(_) | Source::Unwanted(_)) {
            self.stores.remove(&source);
        }
        result
    }

    fn stand(&mut self, pile: Pile, source: Source, from: Option<Place>, to: Option<Place>) {
        let at = pile.0 as usize;
        if self.piles.len() <= at {
            self.piles.resize_with(at + 1, BTreeSet::new);
        }
        if let Some(place) = from {
            self.piles[at].remove(&(place, source));
        }
        if let Some(place) = to {
            self.piles[at].insert((place, source));
            if let (None, Some(consumer)) = (from, pile.consumer()) {
                self.call(consumer);
            }
        }
    }

    /// A consumer may be able to take something of its pile.
    pub fn call(&mut self, consumer: u32) {
        if !self.called.contains(&consumer) {
            self.called.push(consumer);
        }
    }

    /// A consumer that was called.
    pub fn next_called(&mut self) -> Option<u32> {
        self.called.pop()
    }

    /// The store whose message is the next in a pile.
    pub fn first_of(&self, pile: Pile) -> Option<(Place, Source)> {
        self.piles.get(pile.0 as usize)?.first().copied()
    }

    /// The store whose message leaves next.
    pub fn first(&self) -> Option<Source> {
        let firsts = self.piles.iter().filter_map(BTreeSet::first);
        firsts.min().map(|(_, source)| *source)
    }

    /// All stores whose next messages are not blocked, with the places of these.
    pub fn open(&self) -> impl Iterator<Item = (Place, Source)> {
        let open = &self.piles[Pile::BLOCKED.0 as usize + 1..];
        open.iter().flatten().copied()
    }

    /// Where the next message of a store stands.
    pub fn first_in(&self, source: Source) -> Option<Place> {
        self.stores.get(&source)?.filed
    }

    /// The messages without a key.
    pub fn common(&self) -> &Levels {
        let common = self.stores.get(&Source::Common);
        &common.expect("it is there from the start").levels
    }

    /// The next message of a store.
    pub fn front(&mut self, source: Source) -> Option<&Entry> {
        self.stores.get_mut(&source)?.levels.front()
    }

    /// Takes the next message of a store.
    pub fn pop(&mut self, source: Source) -> Option<Entry> {
        self.change(source, Levels::pop_front)
    }

    /// Adds a message behind all others of its level.
    pub fn push_back(&mut self, entry: Entry) {
        self.change(self.source_of(entry.key), |levels| levels.push_back(entry));
    }

    /// Puts a message back at its place.
    pub fn put_back(&mut self, entry: Entry) {
        let own = Source::Key(entry.key);
        let source = match entry.key != 0 && self.stores.contains_key(&own) {
            true => own,
            false => self.source_of(entry.key),
        };
        self.change(source, |levels| levels.put_back(entry));
    }

    /// Moves the next message of a store to another.
    pub fn pass(&mut self, from: Source, to: Source) {
        if let Some(entry) = self.pop(from) {
            self.change(to, |levels| levels.place(entry));
        }
    }

    /// Gives a shard to a pile, with what its owner did not want.
    pub fn move_shard(&mut self, shard: u16, pile: Pile) {
        self.shards[usize::from(shard)] = pile;
        let source = Source::Shard(shard);
        if let Some(unwanted) = self.take_levels(Source::Unwanted(shard)) {
            let wanted = self.take_levels(source).unwrap_or_default();
            let both = merge(vec![unwanted, wanted]);
            let both = both.expect("a message is in one place only");
            self.change(source, |levels| *levels = both);
        }
        self.move_store(source, pile);
    }

    /// Takes the messages of a store out of it.
    fn take_levels(&mut self, source: Source) -> Option<Levels> {
        let there = self.stores.contains_key(&source);
        there.then(|| self.change(source, std::mem::take))
    }

    /// Gives the store of a key to a pile, if the key has one.
    pub fn move_key(&mut self, key: u32, pile: Pile) {
        self.move_store(Source::Key(key), pile);
    }

    fn move_store(&mut self, source: Source, pile: Pile) {
        let Some(store) = self.stores.get_mut(&source) else {
            return;
        };
        let before = std::mem::replace(&mut store.pile, pile);
        let filed = store.filed;
        if before != pile {
            self.stand(before, source, filed, None);
            self.stand(pile, source, None, filed);
        }
    }

    /// The keys that have stores.
    pub fn keys(&self) -> Vec<u32> {
        let keys = self
            .stores
            .range(Source::Key(0)..)
            .map(|(source, _)| *source);
        let key = |source| match source {
            Source::Key(key) => Some(key),
            _ => None,
        };
        keys.filter_map(key).collect()
    }

    /// The message at a place.
    pub fn get(&self, priority: u8, seq: u64) -> Option<Entry> {
        let mut stores = self.stores.values();
        stores.find_map(|store| store.levels.get(priority, seq))
    }

    /// Takes the message at a place.
    pub fn take(&mut self, priority: u8, seq: u64) -> Option<Entry> {
        let has = |store: &Store| store.levels.get(priority, seq).is_some();
        let (source, _) = self.stores.iter().find(|(_, store)| has(store))?;
        self.take_from(*source, priority, seq)
    }

    /// Takes the message at a place of a store.
    pub fn take_from(&mut self, source: Source, priority: u8, seq: u64) -> Option<Entry> {
        self.change(source, |levels| levels.take(priority, seq))
    }

    /// As `Ready::take_expired`.
    pub fn take_expired(&mut self, now: Millis, max: usize, out: &mut Vec<Entry>) {
        if self.sums.next_expiry().is_none_or(|at| at > now) {
            return;
        }
        let before = out.len();
        let is_due = |store: &Store| {
            store
                .levels
                .sums()
                .next_expiry()
                .is_some_and(|at| at <= now)
        };
        let due = self.stores.iter().filter(|(_, store)| is_due(store));
        for source in due.map(|(source, _)| *source).collect::<Vec<_>>() {
            let left = max - (out.len() - before);
            self.change(source, |levels| levels.take_expired(now, left, out));
        }
        out[before..].sort_unstable_by_key(|entry| entry.seq);
        let stores = self.stores.values();
        let expiries = stores.filter_map(|store| store.levels.sums().next_expiry());
        self.sums.due = expiries.min().unwrap_or(NEVER);
    }

    /// Changes every store.
    pub fn change_all(&mut self, mut each: impl FnMut(&mut Levels)) {
        for source in self.stores.keys().copied().collect::<Vec<_>>() {
            self.change(source, &mut each);
        }
    }

    /// Takes everything.
    pub fn take_all(&mut self) -> Levels {
        let mut all = Vec::with_capacity(self.stores.len());
        self.change_all(|levels| all.push(std::mem::take(levels)));
        merge(all).expect("a message is in one place only")
    }

    /// All stores.
    pub fn all_levels(&self) -> Vec<&Levels> {
        self.stores.values().map(|store| &store.levels).collect()
    }
}

#[cfg(test)]
impl Parts {
    /// Of every store the place of its next message, and where it stands.
    pub(super) fn stores(&mut self) -> impl Iterator<Item = (Option<Place>, Option<Place>)> {
        let stores = self.stores.values_mut();
        stores.map(|store| (store.levels.first(), store.filed))
    }

    /// How many stores stand in piles.
    pub(super) fn piled(&self) -> u64 {
        self.piles.iter().map(|pile| pile.len() as u64).sum()
    }
}
