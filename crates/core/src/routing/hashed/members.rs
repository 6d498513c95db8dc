//! Members: what a hash exchange picks one of.
//!
//! Invariants
//! - Bindings with the same destination and key are one member, whatever their arguments.
//! - A member has a binding; its place is in the `home` of each and is reused after it has gone.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::super::arena::{Arena, Chain, Ends, Target};
use super::super::ids::{BindingIx, place};

#[derive(Clone, Copy, Debug)]
struct Member {
    bindings: Ends,
    identity: u64,
}

/// The members of one exchange.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    places: Vec<Member>,
    free: Vec<u32>,
    known: HashTable<u32>,
}

impl Members {
    /// Adds a binding; gives the member's place if it is new. `identity` is the member's hash.
    pub(super) fn join(
        &mut self,
        arena: &mut Arena,
        hasher: &FixedState,
        ix: BindingIx,
        identity: u64,
    ) -> Option<u32> {
        let Members {
            places,
            free,
            known,
        } = self;
        let (hash, same) = (hash(arena, hasher, ix), same(arena, places, ix));
        if let Some(member) = known.find(hash, same).copied() {
            arena.set_home(ix, member);
            arena.append(Chain::Home, &mut places[member as usize].bindings, ix);
            return None;
        }
        let mut bindings = Ends::EMPTY;
        arena.append(Chain::Home, &mut bindings, ix);
        let new = Member { bindings, identity };
        let member = match free.pop() {
            Some(member) => {
                places[member as usize] = new;
                member
            }
            None => {
                places.push(new);
                place(places.len() - 1)
            }
        };
        arena.set_home(ix, member);
        let hash_of = |member: &u32| {
            let first = places[*member as usize].bindings.first();
            first.map_or(0, |ix| self::hash(arena, hasher, ix))
        };
        known.insert_unique(hash, member, hash_of);
        Some(member)
    }

    /// Takes a binding out; gives place and hash of its member if that has gone with it.
    pub(super) fn leave(
        &mut self,
        arena: &mut Arena,
        hasher: &FixedState,
        ix: BindingIx,
    ) -> Option<(u32, u64)> {
        let member = arena.slot(ix).home;
        let hash = hash(arena, hasher, ix);
        let entry = self.known.find_entry(hash, |other| *other == member);
        let Member { bindings, identity } = &mut self.places[member as usize];
        arena.unlink(Chain::Home, bindings, ix);
        if !bindings.is_empty() {
            return None;
        }
        match entry {
            Ok(entry) => drop(entry.remove()),
            Err(_) => unreachable!("every member is in `known`"),
        }
        self.free.push(member);
        Some((member, *identity))
    }

    /// The bindings of a member.
    pub(super) fn bindings(&self, member: u32) -> Ends {
        self.places[member as usize].bindings
    }
}

fn identity_of(arena: &Arena, ix: BindingIx) -> (Target, &[u8]) {
    let slot = arena.slot(ix);
    (slot.target, &slot.key)
}

fn hash(arena: &Arena, hasher: &FixedState, ix: BindingIx) -> u64 {
    hasher.hash_one(identity_of(arena, ix))
}

fn same(arena: &Arena, places: &[Member], ix: BindingIx) -> impl Fn(&u32) -> bool {
    move |member| {
        let first = places[*member as usize].bindings.first();
        first.is_some_and(|first| identity_of(arena, first) == identity_of(arena, ix))
    }
}
