//! The hash exchanges: of all that is bound, one gets a message.
//!
//! Invariants
//! - One member is picked whenever there is one. Its bindings may still refuse the message by
//!   their filters; then nobody else gets it.
//! - Adding and removing a member of a row moves what stands behind it: a matter of microseconds
//!   with 10,000 of them.
//!
//! Not here: where chance comes from (the caller of a route hands it in).

mod circle;
mod members;
mod ring;
pub(super) mod stable;
mod weight;

use foldhash::fast::FixedState;

use self::members::Members;
use self::ring::Ring;
pub use self::weight::{InvalidWeight, WEIGHT_MAX};
use super::arena::{Arena, Ends};
use super::ids::BindingIx;
use super::route::Message;
use crate::view::Property;

/// How one of the members is picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// By a value of the message, each member's share being as its weight.
    Consistent(HashOn),
    /// By the routing keys, modulo the number of members.
    Modulus,
    /// By chance.
    Random,
}

/// The value that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HashOn {
    /// The first routing key.
    RoutingKey,
    /// A header.
    Header(Box<str>),
    /// A property.
    Property(Property),
}

impl HashOn {
    fn hash(&self, message: &Message<'_>) -> u64 {
        match self {
            HashOn::RoutingKey => {
                let first = message.keys.first();
                stable::of_keys(&[first.copied().unwrap_or_default()])
            }
            HashOn::Header(name) => stable::of_operand(message.view().header(name)),
            HashOn::Property(property) => stable::of_operand(message.view().property(*property)),
        }
    }
}

/// Whether a binding key is one that a consistent hash exchange takes.
pub(super) fn validate_weight(key: &[u8]) -> Result<(), InvalidWeight> {
    weight::parse(key).map(drop)
}

/// The members of one exchange, and how one is found.
#[derive(Clone, Debug)]
pub(super) struct Hashed {
    members: Members,
    picker: Picker,
}

#[derive(Clone, Debug)]
enum Picker {
    Consistent(HashOn, Ring),
    Modulus(Row),
    Random(Row),
}

/// Hashes and places of members in ascending order.
type Row = Vec<(u64, u32)>;

impl Hashed {
    pub(super) fn new(pick: Pick) -> Hashed {
        Hashed {
            members: Members::default(),
            picker: match pick {
                Pick::Consistent(on) => Picker::Consistent(on, Ring::default()),
                Pick::Modulus => Picker::Modulus(Row::new()),
                Pick::Random => Picker::Random(Row::new()),
            },
        }
    }

    /// Adds a binding; `destination` is the hash of where it leads.
    pub(super) fn insert(
        &mut self,
        arena: &mut Arena,
        hasher: &FixedState,
        ix: BindingIx,
        destination: u64,
    ) {
        let identity = stable::of_member(destination, &arena.slot(ix).key);
        let Some(member) = self.members.join(arena, hasher, ix, identity) else {
            return;
        };
        match &mut self.picker {
            Picker::Consistent(_, ring) => {
                ring.insert(member, identity, weight_of(&arena.slot(ix).key));
            }
            Picker::Modulus(row) | Picker::Random(row) => {
                let index = row.partition_point(|other| *other < (identity, member));
                row.insert(index, (identity, member));
            }
        }
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let Some((member, identity)) = self.members.leave(arena, hasher, ix) else {
            return;
        };
        match &mut self.picker {
            Picker::Consistent(_, ring) => {
                ring.remove(member, identity, weight_of(&arena.slot(ix).key));
            }
            Picker::Modulus(row) | Picker::Random(row) => {
                let index = row.binary_search(&(identity, member));
                row.remove(index.expect("every member is in the row"));
            }
        }
    }

    /// The bindings of the one that gets a message.
    pub(super) fn pick(&self, message: &Message<'_>) -> Option<Ends> {
        let member = match &self.picker {
            Picker::Consistent(on, ring) => ring.find(on.hash(message))?,
            Picker::Modulus(row) => {
                let count = row.len() as u64;
                let index = stable::of_keys(message.keys).checked_rem(count)?;
                row[index as usize].1
            }
            Picker::Random(row) => {
                let drawn = stable::mixed(message.chance());
                row.get(stable::scaled(drawn, row.len()))?.1
            }
        };
        Some(self.members.bindings(member))
    }
}

fn weight_of(key: &[u8]) -> u32 {
    weight::parse(key).expect("a binding was refused unless its key is a weight")
}
