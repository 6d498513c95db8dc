//! How the tables of the doors hash.
//!
//! Invariants
//! - Each table has keys of its own, so that nobody can aim at its buckets; only in a simulation,
//!   which must repeat itself, all have the same.

#[cfg(not(feature = "testing"))]
pub(crate) use foldhash::fast::RandomState as HashState;
#[cfg(feature = "testing")]
pub(crate) use simulated::HashState;

#[cfg(feature = "testing")]
mod simulated {
    use std::hash::BuildHasher;

    use foldhash::fast::{FixedState, FoldHasher, RandomState};

    /// See the head of the module.
    #[derive(Debug, Clone)]
    pub(crate) enum HashState {
        Random(RandomState),
        Fixed(FixedState),
    }

    impl Default for HashState {
        fn default() -> HashState {
            match crate::testing::is_simulated() {
                true => HashState::Fixed(FixedState::default()),
                false => HashState::Random(RandomState::default()),
            }
        }
    }

    impl BuildHasher for HashState {
        type Hasher = FoldHasher<'static>;

        fn build_hasher(&self) -> FoldHasher<'static> {
            match self {
                HashState::Random(state) => state.build_hasher(),
                HashState::Fixed(state) => state.build_hasher(),
            }
        }
    }
}
