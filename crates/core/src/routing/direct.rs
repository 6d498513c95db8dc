//! The direct exchange: bindings grouped by their exact key.
//!
//! Invariants
//! - A group is never empty; its key is that of any binding in it.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::arena::{Arena, Chain, Ends};
use super::ids::BindingIx;

/// The groups of one exchange.
#[derive(Clone, Debug, Default)]
pub(super) struct Direct {
    groups: HashTable<Ends>,
}

impl Direct {
    pub(super) fn insert(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let hash = hasher.hash_one(&*arena.slot(ix).key);
        let same = |group: &Ends| key_of(arena, group) == Some(&*arena.slot(ix).key);
        if let Some(group) = self.groups.find_mut(hash, same) {
            return arena.append(Chain::Home, group, ix);
        }
        let mut group = Ends::EMPTY;
        arena.append(Chain::Home, &mut group, ix);
        let hash_of = |group: &Ends| key_of(arena, group).map_or(0, |key| hasher.hash_one(key));
        self.groups.insert_unique(hash, group, hash_of);
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let hash = hasher.hash_one(&*arena.slot(ix).key);
        let same = |group: &Ends| key_of(arena, group) == Some(&*arena.slot(ix).key);
        if let Ok(mut entry) = self.groups.find_entry(hash, same) {
            arena.unlink(Chain::Home, entry.get_mut(), ix);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    pub(super) fn find(&self, arena: &Arena, hasher: &FixedState, key: &[u8]) -> Option<Ends> {
        let same = |group: &Ends| key_of(arena, group) == Some(key);
        self.groups.find(hasher.hash_one(key), same).copied()
    }
}

fn key_of<'a>(arena: &'a Arena, group: &Ends) -> Option<&'a [u8]> {
    group.first().map(|ix| &*arena.slot(ix).key)
}
