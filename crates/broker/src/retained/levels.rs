//! The names of levels, each kept once.
//!
//! Invariants
//! - A name is here as long as somebody uses it, and its number is its own for that long.
//! - Equal names have equal numbers.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;

/// What a name takes beside its bytes: a number, users, a box, a place in the table; about.
const NAME_BYTES: usize = 70;

struct Name {
    bytes: Box<[u8]>,
    users: u32,
}

/// Names by number and numbers by name.
#[derive(Default)]
pub(super) struct Levels {
    names: Slab<Name>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    /// Length of all names.
    bytes: usize,
}

impl Levels {
    /// The number of a name that is here.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        let same = |level: &u32| *self.names[*level as usize].bytes == *name;
        self.by_name.find(hash, same).copied()
    }

    /// The number of a name, which has one user more.
    pub fn take(&mut self, name: &[u8]) -> u32 {
        if let Some(level) = self.find(name) {
            self.names[level as usize].users += 1;
            return level;
        }
        let level = self.names.insert(Name {
            bytes: name.into(),
            users: 1,
        }) as u32;
        let Levels {
            names,
            by_name,
            hasher,
            bytes,
        } = self;
        *bytes += name.len();
        let hash = hasher.hash_one(name);
        by_name.insert_unique(hash, level, |other| {
            hasher.hash_one(&*names[*other as usize].bytes)
        });
        level
    }

    /// A name has one user less.
    pub fn give_back(&mut self, level: u32) {
        let name = &mut self.names[level as usize];
        name.users -= 1;
        if name.users > 0 {
            return;
        }
        let name = self.names.remove(level as usize);
        self.bytes -= name.bytes.len();
        let hash = self.hasher.hash_one(&*name.bytes);
        if let Ok(found) = self.by_name.find_entry(hash, |other| *other == level) {
            found.remove();
        }
    }

    /// The name of that number.
    pub fn name(&self, level: u32) -> &[u8] {
        &self.names[level as usize].bytes
    }

    /// How many names there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// About what they take in memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.names.len() * NAME_BYTES + self.bytes
    }
}
