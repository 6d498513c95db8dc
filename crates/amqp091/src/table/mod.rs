//! Tables: ordered names with typed values, in method arguments and message headers.
//!
//! ```text
//! table   | size u32 | entry ... |          entry   | name short string | tag u8 | value |
//! array   | size u32 | tag, value ... |
//!
//! t bool   b i8   B u8   s i16   u u16   I i32   i u32   l, L i64   f f32   d f64
//! T timestamp u64   D decimal (scale u8, value u32)
//! S string   x bytes   A array   F table   V nothing
//! ```
//!
//! Two views: [`RawTable`] reads in place and builds nothing; [`Table`] owns what it holds.
//!
//! Invariants
//! - Order is kept, names may repeat, a look-up finds the first; an empty name is a name.
//! - Tables and arrays nest at most [`DEPTH_MAX`] deep, the outermost being 1.
//! - A decoded table takes at most 16 bytes of memory per byte of input: a value is 16 bytes, an
//!   entry 32, and the smallest on the wire are 1 and 2.

mod raw;
mod value;

pub use raw::{Entries, RawArray, RawTable, RawValue, Values};
pub use value::{Array, Blob, Table, Value};

use crate::reply::ReplyCode;

/// How deep tables and arrays may nest.
pub const DEPTH_MAX: u32 = 32;

/// Why bytes are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A name or value goes on past the end.
    #[error("malformed table: cut short")]
    Truncated,
    /// No value has this tag.
    #[error("malformed table: unknown type tag {0}")]
    UnknownTag(u8),
    /// More than [`DEPTH_MAX`] tables in one another.
    #[error("malformed table: nested more than {DEPTH_MAX} deep")]
    TooDeep,
}

impl TableError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn reply_code(self) -> ReplyCode {
        ReplyCode::SyntaxError
    }
}

#[cfg(test)]
mod tests;
