//! For tests and the simulator: a disk in memory with every fault of a real one.

mod faulty_disk;
mod faulty_file;
mod random;

pub use faulty_disk::{Crash, Fault, FaultyDisk};
pub use random::Random;
