//! Definitions files: read, compared with a node, and looked over.
//!
//! Invariants
//! - Nothing here speaks to a node or writes anything: files and answers in, findings out.
//! - A section that a file does not have is not compared: nothing of it is missing.

mod file;
mod lint;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use file::{File, FileError};
pub(crate) use lint::{Finding, Level, lint};
pub(crate) use plan::{Change, Op, plan};
