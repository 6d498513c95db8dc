//! The bindings of one virtual host, each in three chains at once.
//!
//! Invariants
//! - Every binding is in the chain of its source, in that of its destination, and in its home:
//!   the trie node, key group, header group or member that finds it. Chains keep the order of
//!   binding. A binding with a filter is at a site instead of in a home's chain (`filtered`).
//! - `identities` holds each binding's place once, under the hash of its identity.
//! - Adding and removing cost the same whatever the number of bindings.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::ids::{BindingIx, ExchangeIx, place};
use super::selection::Selection;
use super::{BINDINGS_COUNT_MAX, QueueId};
use crate::arguments::Arguments;

static NO_ARGUMENTS: Arguments = Arguments::new();

/// Where a binding leads, inside the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Queue(QueueId),
    Exchange(ExchangeIx),
}

/// The three chains.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chain {
    Source,
    Destination,
    Home,
}

/// The ends of one chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    first: BindingIx,
    last: BindingIx,
}

impl Ends {
    pub(super) const EMPTY: Ends = Ends {
        first: BindingIx::NONE,
        last: BindingIx::NONE,
    };

    pub(super) fn first(&self) -> Option<BindingIx> {
        (self.first != BindingIx::NONE).then_some(self.first)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == BindingIx::NONE
    }
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: BindingIx,
    after: BindingIx,
}

const UNLINKED: Link = Link {
    before: BindingIx::NONE,
    after: BindingIx::NONE,
};

/// One binding.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) target: Target,
    pub(super) key: Box<[u8]>,
    arguments: Option<Box<Arguments>>,
    pub(super) selection: Selection,
    pub(super) source: ExchangeIx,
    /// Which group of its exchange holds it, in that exchange's own terms.
    pub(super) home: u32,
    links: [Link; 3],
}

impl Slot {
    pub(super) fn arguments(&self) -> &Arguments {
        self.arguments.as_deref().unwrap_or(&NO_ARGUMENTS)
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            source: self.source,
            target: self.target,
            key: &self.key,
            arguments: self.arguments(),
        }
    }
}

/// What makes two bindings one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity<'a> {
    pub(super) source: ExchangeIx,
    pub(super) target: Target,
    pub(super) key: &'a [u8],
    pub(super) arguments: &'a Arguments,
}

/// All bindings.
#[derive(Clone, Debug)]
pub(super) struct Arena {
    slots: Vec<Option<Slot>>,
    free: Vec<BindingIx>,
    identities: HashTable<BindingIx>,
    hasher: FixedState,
}

impl Arena {
    pub(super) fn new(hasher: FixedState) -> Arena {
        Arena {
            slots: Vec::new(),
            free: Vec::new(),
            identities: HashTable::new(),
            hasher,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.identities.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= BINDINGS_COUNT_MAX
    }

    pub(super) fn slot(&self, ix: BindingIx) -> &Slot {
        let slot = self.slots.get(ix.0 as usize).and_then(Option::as_ref);
        slot.expect("a place in a chain is taken")
    }

    fn slot_mut(&mut self, ix: BindingIx) -> &mut Slot {
        let slot = self.slots.get_mut(ix.0 as usize).and_then(Option::as_mut);
        slot.expect("a place in a chain is taken")
    }

    pub(super) fn set_home(&mut self, ix: BindingIx, home: u32) {
        self.slot_mut(ix).home = home;
    }

    pub(super) fn find(&self, identity: Identity<'_>) -> Option<BindingIx> {
        let same = |ix: &BindingIx| self.slot(*ix).identity() == identity;
        self.identities
            .find(self.hasher.hash_one(identity), same)
            .copied()
    }

    /// Adds a binding that is not there yet; it is in no chain.
    pub(super) fn insert(&mut self, identity: Identity<'_>, selection: Selection) -> BindingIx {
        debug_assert!(self.find(identity).is_none());
        let arguments = identity.arguments;
        let slot = Slot {
            target: identity.target,
            key: identity.key.into(),
            arguments: (!arguments.is_empty()).then(|| Box::new(arguments.clone())),
            selection,
            source: identity.source,
            home: 0,
            links: [UNLINKED; 3],
        };
        let ix = match self.free.pop() {
            Some(ix) => {
                self.slots[ix.0 as usize] = Some(slot);
                ix
            }
            None => {
                self.slots.push(Some(slot));
                BindingIx(place(self.slots.len() - 1))
            }
        };
        let Arena {
            slots,
            identities,
            hasher,
            ..
        } = self;
        let hash_of = |ix: &BindingIx| {
            let slot = slots[ix.0 as usize]
                .as_ref()
                .expect("an identity's place is taken");
            hasher.hash_one(slot.identity())
        };
        identities.insert_unique(hasher.hash_one(identity), ix, hash_of);
        ix
    }

    /// Takes out a binding that is in no chain any more.
    pub(super) fn remove(&mut self, ix: BindingIx) -> Slot {
        let hash = self.hasher.hash_one(self.slot(ix).identity());
        match self.identities.find_entry(hash, |other| *other == ix) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => unreachable!("every binding is in `identities`"),
        }
        self.free.push(ix);
        self.slots[ix.0 as usize].take().expect("it was just read")
    }

    pub(super) fn append(&mut self, chain: Chain, ends: &mut Ends, ix: BindingIx) {
        let last = ends.last;
        self.slot_mut(ix).links[chain as usize] = Link {
            before: last,
            after: BindingIx::NONE,
        };
        if last == BindingIx::NONE {
            ends.first = ix;
        } else {
            self.slot_mut(last).links[chain as usize].after = ix;
        }
        ends.last = ix;
    }

    pub(super) fn unlink(&mut self, chain: Chain, ends: &mut Ends, ix: BindingIx) {
        let link = std::mem::replace(&mut self.slot_mut(ix).links[chain as usize], UNLINKED);
        match link.before {
            BindingIx::NONE => ends.first = link.after,
            before => self.slot_mut(before).links[chain as usize].after = link.after,
        }
        match link.after {
            BindingIx::NONE => ends.last = link.before,
            after => self.slot_mut(after).links[chain as usize].before = link.before,
        }
    }

    pub(super) fn walk(&self, chain: Chain, ends: Ends) -> impl Iterator<Item = BindingIx> {
        std::iter::successors(ends.first(), move |ix| {
            let after = self.slot(*ix).links[chain as usize].after;
            (after != BindingIx::NONE).then_some(after)
        })
    }
}
