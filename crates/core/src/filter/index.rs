//! Many filters: which of them have to be tried on a message.
//!
//! Invariants
//! - A filter that needs an equality is found under the constant of its name, any other is among
//!   `others`; each is in one place.
//! - No name and no list of `names` is without filters.
//! - What is given out comes in one order for one history of inserts and removes: never that of a
//!   hash table.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::view::{MessageView, Operand};

use super::value::{normal, order};
use super::{Constant, Filter, Name};

/// Filters, and what each is for.
#[derive(Debug, Clone)]
pub struct FilterIndex<T> {
    /// In the order of the names.
    names: Vec<(Name, HashTable<Bucket<T>>)>,
    others: Vec<(Filter, T)>,
    len: usize,
    hasher: FixedState,
}

/// The filters that need one constant.
#[derive(Debug, Clone)]
struct Bucket<T> {
    constant: Constant,
    filters: Vec<(Filter, T)>,
}

impl<T> Default for FilterIndex<T> {
    fn default() -> FilterIndex<T> {
        FilterIndex::with_seed(0)
    }
}

impl<T> FilterIndex<T> {
    /// An index without filters. Clients choose the constants, so the seed is better not known.
    pub fn with_seed(seed: u64) -> FilterIndex<T> {
        FilterIndex {
            names: Vec::new(),
            others: Vec::new(),
            len: 0,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a filter. The same may be there several times.
    pub fn insert(&mut self, filter: &Filter, what: T) {
        self.len += 1;
        let Some((name, constant)) = filter.equality() else {
            self.others.push((filter.clone(), what));
            return;
        };
        let at = match self.names.binary_search_by(|(known, _)| known.cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                self.names.insert(at, (name.clone(), HashTable::new()));
                at
            }
        };
        let hasher = &self.hasher;
        let wanted = constant.operand();
        let entry = self.names[at].1.entry(
            hash(hasher, wanted),
            |bucket| same(&bucket.constant, wanted),
            |bucket| hash(hasher, bucket.constant.operand()),
        );
        let constant = constant.clone();
        let bucket = entry.or_insert_with(|| Bucket {
            constant,
            filters: Vec::new(),
        });
        bucket.into_mut().filters.push((filter.clone(), what));
    }

    /// Takes out the first filter that was written so and is for this; whether there was one.
    pub fn remove(&mut self, filter: &Filter, what: &T) -> bool
    where
        T: PartialEq,
    {
        let removed = match filter.equality() {
            None => remove_from(&mut self.others, filter, what),
            Some((name, constant)) => self.remove_equality(name, constant, filter, what),
        };
        self.len -= usize::from(removed);
        removed
    }

    fn remove_equality(
        &mut self,
        name: &Name,
        constant: &Constant,
        filter: &Filter,
        what: &T,
    ) -> bool
    where
        T: PartialEq,
    {
        let Ok(at) = self.names.binary_search_by(|(known, _)| known.cmp(name)) else {
            return false;
        };
        let buckets = &mut self.names[at].1;
        let wanted = constant.operand();
        let found = buckets.find_entry(hash(&self.hasher, wanted), |bucket| {
            same(&bucket.constant, wanted)
        });
        let Ok(mut bucket) = found else {
            return false;
        };
        let filters = &mut bucket.get_mut().filters;
        let removed = remove_from(filters, filter, what);
        if filters.is_empty() {
            bucket.remove();
        }
        if buckets.is_empty() {
            self.names.remove(at);
        }
        removed
    }

    /// Gives out the filters that may match a message: those whose equality holds, and those that
    /// have none. Each name is read once, however many filters need it.
    pub fn candidates<'a>(
        &'a self,
        message: &dyn MessageView,
        mut each: impl FnMut(&'a Filter, &'a T),
    ) {
        for (name, buckets) in &self.names {
            let Some(found) = name.read(message) else {
                continue;
            };
            let bucket = buckets.find(hash(&self.hasher, found), |bucket| {
                same(&bucket.constant, found)
            });
            if let Some(bucket) = bucket {
                bucket
                    .filters
                    .iter()
                    .for_each(|(filter, what)| each(filter, what));
            }
        }
        self.others
            .iter()
            .for_each(|(filter, what)| each(filter, what));
    }

    /// Gives out what the filters that match a message are for.
    pub fn matching<'a>(&'a self, message: &dyn MessageView, mut each: impl FnMut(&'a T)) {
        self.candidates(message, |filter, what| {
            if filter.matches(message) {
                each(what);
            }
        });
    }
}

fn remove_from<T: PartialEq>(filters: &mut Vec<(Filter, T)>, filter: &Filter, what: &T) -> bool {
    let mut places = filters.iter();
    match places.position(|(known, known_for)| known == filter && known_for == what) {
        Some(at) => {
            filters.remove(at);
            true
        }
        None => false,
    }
}

fn same(constant: &Constant, operand: Operand<'_>) -> bool {
    order(constant.operand(), operand).is_eq()
}

/// Numbers that are worth the same have the same hash.
fn hash(hasher: &FixedState, operand: Operand<'_>) -> u64 {
    let mut hasher = hasher.build_hasher();
    match normal(operand) {
        None => {}
        Some(Operand::Text(text)) => text.hash(&mut hasher),
        Some(Operand::Integer(integer)) => integer.hash(&mut hasher),
        Some(Operand::Float(float)) => float.to_bits().hash(&mut hasher),
        Some(Operand::Bool(truth)) => truth.hash(&mut hasher),
    }
    hasher.finish()
}
