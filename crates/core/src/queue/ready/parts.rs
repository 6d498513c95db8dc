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

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::entry::Entry;
use super::{Levels, Place, Sums, merge};
use crate::Millis;
use crate::queue::ready::level::NEVER;
use crate::queue::recover::SEQ_MAX;

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

/// A place as one number, which is compared at once; a message comes and goes by a few of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u64);

impl Rank {
    const SEQ_BITS: u32 = 56;

    fn of((Reverse(priority), seq): Place) -> Rank {
        assert!(seq >> Rank::SEQ_BITS == 0, "no queue ever sees so many");
        Rank(u64::from(!priority) << Rank::SEQ_BITS | seq)
    }

    fn place(self) -> Place {
        let priority = !((self.0 >> Rank::SEQ_BITS) as u8);
        (Reverse(priority), self.0 & ((1 << Rank::SEQ_BITS) - 1))
    }
}

const _: () = assert!(
    SEQ_MAX < 1 << Rank::SEQ_BITS,
    "what a checkpoint may say has a rank"
);

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

/// A shard: where it belongs, and its messages once it has had any.
#[derive(Debug)]
struct Shard {
    pile: Pile,
    store: Option<Box<Store>>,
}

/// All stores of one queue.
#[derive(Debug)]
pub struct Parts {
    common: Box<Store>,
    shards: Vec<Shard>,
    /// Of keys, and of what owners do not want; in most queues there are none.
    aside: BTreeMap<Source, Box<Store>>,
    /// Stores by the place of their next message; no two messages stand at one.
    piles: Vec<BTreeMap<Rank, Source>>,
    sums: Sums,
    called: Vec<u32>,
}

impl Parts {
    /// So many shards that nobody owns, without messages.
    pub fn new(shards: u16) -> Parts {
        let unowned = || Shard {
            pile: Pile::UNOWNED,
            store: None,
        };
        Parts {
            common: Store::new(Pile::COMMON),
            shards: std::iter::repeat_with(unowned)
                .take(usize::from(shards))
                .collect(),
            aside: BTreeMap::new(),
            piles: vec![BTreeMap::new(); 4],
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

    fn store(&self, source: Source) -> Option<&Store> {
        match source {
            Source::Common => Some(&self.common),
            Source::Shard(shard) => self.shards[usize::from(shard)].store.as_deref(),
            Source::Unwanted(_) | Source::Key(_) => self.aside.get(&source).map(|store| &**store),
        }
    }

    fn store_mut(&mut self, source: Source) -> Option<&mut Store> {
        match source {
            Source::Common => Some(&mut self.common),
            Source::Shard(shard) => self.shards[usize::from(shard)].store.as_deref_mut(),
            Source::Unwanted(_) | Source::Key(_) => {
                self.aside.get_mut(&source).map(|store| &mut **store)
            }
        }
    }

    /// All stores, in the order of their sources.
    fn stores(&self) -> impl Iterator<Item = (Source, &Store)> {
        let shards = self.shards.iter().enumerate();
        let shards = shards
            .filter_map(|(at, shard)| Some((Source::Shard(at as u16), shard.store.as_deref()?)));
        let aside = self.aside.iter().map(|(source, store)| (*source, &**store));
        std::iter::once((Source::Common, &*self.common))
            .chain(shards)
            .chain(aside)
    }

    /// Changes a store, which is made if it is not there, and stands it where it belongs then.
    fn change<R>(&mut self, source: Source, change: impl FnOnce(&mut Levels) -> R) -> R {
        let store = match source {
            Source::Common => &mut self.common,
            Source::Shard(shard) => {
                let Shard { pile, store } = &mut self.shards[usize::from(shard)];
                store.get_or_insert_with(|| Store::new(*pile))
            }
            Source::Unwanted(_) => {
                let store = self.aside.entry(source);
                store.or_insert_with(|| Store::new(Pile::UNWANTED))
            }
            Source::Key(_) => {
                let store = self.aside.entry(source);
                store.or_insert_with(|| Store::new(Pile::BLOCKED))
            }
        };
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
            self.aside.remove(&source);
        }
        result
    }

    fn stand(&mut self, pile: Pile, source: Source, from: Option<Place>, to: Option<Place>) {
        let at = pile.0 as usize;
        if self.piles.len() <= at {
            self.piles.resize_with(at + 1, BTreeMap::new);
        }
        if let Some(place) = from {
            self.piles[at].remove(&Rank::of(place));
        }
        if let Some(place) = to {
            self.piles[at].insert(Rank::of(place), source);
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
        let first = self.piles.get(pile.0 as usize)?.first_key_value();
        first.map(|(rank, source)| (rank.place(), *source))
    }

    /// The store whose message leaves next.
    pub fn first(&self) -> Option<Source> {
        let firsts = self.piles.iter().filter_map(BTreeMap::first_key_value);
        firsts.min().map(|(_, source)| *source)
    }

    /// All stores whose next messages are not blocked, with the places of these.
    pub fn open(&self) -> impl Iterator<Item = (Place, Source)> {
        let open = &self.piles[Pile::BLOCKED.0 as usize + 1..];
        let open = open.iter().flatten();
        open.map(|(rank, source)| (rank.place(), *source))
    }

    /// Where the next message of a store stands.
    pub fn first_in(&self, source: Source) -> Option<Place> {
        self.store(source)?.filed
    }

    /// The messages without a key.
    pub fn common(&self) -> &Levels {
        &self.common.levels
    }

    /// The next message of a store.
    pub fn front(&mut self, source: Source) -> Option<&Entry> {
        self.store_mut(source)?.levels.front()
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
        let source = match entry.key != 0 && self.aside.contains_key(&own) {
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
        self.shards[usize::from(shard)].pile = pile;
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
        let there = self.store(source).is_some();
        there.then(|| self.change(source, std::mem::take))
    }

    /// Gives the store of a key to a pile, if the key has one.
    pub fn move_key(&mut self, key: u32, pile: Pile) {
        self.move_store(Source::Key(key), pile);
    }

    fn move_store(&mut self, source: Source, pile: Pile) {
        let Some(store) = self.store_mut(source) else {
            return;
        };
        let before = std::mem::replace(&mut store.pile, pile);
        let filed = store.filed;
        if before != pile {
            self.stand(before, source, filed, None);
            self.stand(pile, source, None, filed);
        }
    }

    /// Whether some key may have a store.
    pub fn sets_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// The keys that have stores.
    pub fn keys(&self) -> Vec<u32> {
        let keys = self
            .aside
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
        let mut stores = self.stores();
        stores.find_map(|(_, store)| store.levels.get(priority, seq))
    }

    /// Takes the message at a place.
    pub fn take(&mut self, priority: u8, seq: u64) -> Option<Entry> {
        let has = |store: &Store| store.levels.get(priority, seq).is_some();
        let (source, _) = self.stores().find(|(_, store)| has(store))?;
        self.take_from(source, priority, seq)
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
        let due = self.stores().filter(|(_, store)| is_due(store));
        for source in due.map(|(source, _)| source).collect::<Vec<_>>() {
            let left = max - (out.len() - before);
            self.change(source, |levels| levels.take_expired(now, left, out));
        }
        out[before..].sort_unstable_by_key(|entry| entry.seq);
        let expiries = self
            .stores()
            .filter_map(|(_, store)| store.levels.sums().next_expiry());
        self.sums.due = expiries.min().unwrap_or(NEVER);
    }

    /// Changes every store.
    pub fn change_all(&mut self, mut each: impl FnMut(&mut Levels)) {
        for source in self.stores().map(|(source, _)| source).collect::<Vec<_>>() {
            self.change(source, &mut each);
        }
    }

    /// Takes everything.
    pub fn take_all(&mut self) -> Levels {
        let mut all = Vec::new();
        self.change_all(|levels| all.push(std::mem::take(levels)));
        merge(all).expect("a message is in one place only")
    }

    /// All stores.
    pub fn all_levels(&self) -> Vec<&Levels> {
        self.stores().map(|(_, store)| &store.levels).collect()
    }
}

#[cfg(test)]
impl Parts {
    /// Of every store the place of its next message, and where it stands.
    pub(super) fn places(&mut self) -> impl Iterator<Item = (Option<Place>, Option<Place>)> {
        let shards = self.shards.iter_mut();
        let shards = shards.filter_map(|shard| shard.store.as_deref_mut());
        let aside = self.aside.values_mut().map(|store| &mut **store);
        let stores = std::iter::once(&mut *self.common)
            .chain(shards)
            .chain(aside);
        stores.map(|store| (store.levels.first(), store.filed))
    }

    /// How many stores stand in piles.
    pub(super) fn piled(&self) -> u64 {
        self.piles.iter().map(|pile| pile.len() as u64).sum()
    }
}
