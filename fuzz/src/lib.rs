//! What the fuzz targets share: a limit on memory, and other implementations to compare with.
//!
//! The checks themselves stand in the tests of the crates that they check, so that they run over
//! the corpora in `cargo test`, too.

mod memory;
pub mod reference;

pub use memory::{Memory, bounded};

/// A target: any bytes, a check, and how much memory it may take.
#[macro_export]
macro_rules! target {
    ($memory:expr, $check:path) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::bounded($memory, bytes, $check));
    };
}
