//! Which consumer each shard belongs to.
//!
//! Invariants
//! - Every shard has an owner if anyone may own one; nobody owns two more than anyone else.
//! - A shard moves only when its owner may own it no longer, or to even out.
//!
//! Not here: who may own shards (`Consumers::leading`), what moving a shard means (`shards`).

use std::collections::BTreeSet;

use crate::queue::ConsumerSlot;

/// The owner of every shard.
#[derive(Debug)]
pub struct Owners {
    of: Vec<Option<ConsumerSlot>>,
}

impl Owners {
    /// So many shards without owners.
    pub fn new(shards: u16) -> Owners {
        Owners {
            of: vec![None; usize::from(shards)],
        }
    }

    /// How many shards there are.
    pub fn count(&self) -> u16 {
        self.of.len() as u16
    }

    /// The owner of a shard.
    pub fn of(&self, shard: u16) -> Option<ConsumerSlot> {
        self.of[usize::from(shard)]
    }

    /// Divides the shards among `all` of those who may own them. Says which have other owners now.
    pub fn divide(&mut self, all: &[ConsumerSlot]) -> Vec<u16> {
        let before = self.of.clone();
        let mut shares = self.keep(all);
        let orphans = self.of.iter().enumerate();
        let orphans: Vec<usize> = orphans
            .filter(|(_, owner)| owner.is_none())
            .map(|(shard, _)| shard)
            .collect();
        let sizes = shares.iter().enumerate();
        let mut sizes: BTreeSet<(usize, usize)> =
            sizes.map(|(at, share)| (share.len(), at)).collect();
        for shard in orphans {
            if let Some((size, at)) = sizes.pop_first() {
                self.give(shard, at, all, &mut shares);
                sizes.insert((size + 1, at));
            }
        }
        while let (Some(&(least, to)), Some(&(most, from))) = (sizes.first(), sizes.last())
            && most > least + 1
            && let Some(shard) = shares[from].pop()
        {
            self.give(shard, to, all, &mut shares);
            sizes.remove(&(least, to));
            sizes.remove(&(most, from));
            sizes.extend([(least + 1, to), (most - 1, from)]);
        }
        let changed = before.iter().zip(&self.of).enumerate();
        changed
            .filter(|(_, (before, after))| before != after)
            .map(|(shard, _)| shard as u16)
            .collect()
    }

    /// Takes shards from those who are not among `all`. The shards of each who is.
    fn keep(&mut self, all: &[ConsumerSlot]) -> Vec<Vec<usize>> {
        let places = all.iter().map(|slot| slot.index() as usize + 1);
        let mut at = vec![None; places.max().unwrap_or(0)];
        for (place, slot) in all.iter().enumerate() {
            at[slot.index() as usize] = Some(place);
        }
        let mut shares = vec![Vec::new(); all.len()];
        for (shard, owner) in self.of.iter_mut().enumerate() {
            let place = owner.and_then(|slot| *at.get(slot.index() as usize)?);
            match place.filter(|place| Some(all[*place]) == *owner) {
                Some(place) => shares[place].push(shard),
                None => *owner = None,
            }
        }
        shares
    }

    fn give(&mut self, shard: usize, to: usize, all: &[ConsumerSlot], shares: &mut [Vec<usize>]) {
        self.of[shard] = Some(all[to]);
        shares[to].push(shard);
    }
}
