//! Identities: of queues, and of the places of exchanges and bindings inside a topology.
//!
//! Invariants
//! - A `QueueId` is never given to a second queue by whoever hands them out.
//! - `ExchangeIx` and `BindingIx` are places, reused after removal, and never leave this module.

use serde::{Deserialize, Serialize};

/// Names one queue for as long as the data directory lives.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct QueueId(pub u64);

/// The place of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ExchangeIx(pub(super) u32);

/// The place of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BindingIx(pub(super) u32);

impl BindingIx {
    pub(super) const NONE: BindingIx = BindingIx(u32::MAX);
}

/// Turns a collection's length into the place of its next entry.
pub(super) fn place(length: usize) -> u32 {
    u32::try_from(length).expect("counts are bounded far below 2^32 by BINDINGS_COUNT_MAX")
}
