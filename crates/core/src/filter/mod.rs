//! Filters: which messages somebody wants, said in the SQL-92 subset of JMS selectors.
//!
//! Invariants
//! - A filter is compiled once; what a match costs is bounded when it is compiled.
//! - A match is true, false or unknown; only true lets a message through.
//! - A match reads each name of the message at most once, and allocates nothing.
//!
//! What a match costs at most: each of `NODES_MAX` operators and operands is looked at once, an
//! `IN` list by halving. Texts are compared, and searched by `LIKE`, in one pass of their length.

mod condition;
mod index;
mod like;
mod name;
mod parse;
mod term;
#[cfg(test)]
mod tests;
mod token;
mod value;

use std::fmt;
use std::sync::Arc;

use crate::view::MessageView;

use condition::Condition;
pub use index::FilterIndex;
pub use name::Name;
use name::Slot;
use term::Reader;
pub use value::Constant;

/// Longest text of a filter, in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Deepest nesting of parentheses, `NOT` and signs.
pub const DEPTH_MAX: usize = 32;

/// Most operators, names and constants of a filter.
pub const NODES_MAX: usize = 512;

/// Most constants in the list of one `IN`.
pub const LIST_MAX: usize = 512;

/// Most different names in a filter.
pub const NAMES_MAX: usize = 32;

/// Longest name of a header, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest pattern of a `LIKE`, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// Longest part of a pattern that stands after a `%` and has a `_` in it, in characters.
pub const PATTERN_PART_CHARS_MAX: usize = 64;

/// A filter of so few names gets by with little room for what it reads.
const NAMES_FEW: usize = 4;

/// Why a filter was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {why}")]
pub struct FilterError {
    /// Where, in characters from the beginning, counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub why: String,
}

/// A compiled filter. A clone shares what was compiled.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    names: Box<[Name]>,
    condition: Condition,
    equality: Option<(Slot, Constant)>,
}

impl Filter {
    /// Compiles a filter; empty text is none.
    ///
    /// # Errors
    /// What makes no sense or would cost too much, with its place.
    pub fn compile(text: &str) -> Result<Option<Filter>, FilterError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let parsed = parse::parse(text)?;
        let equality = equality_of(&parsed.condition, &parsed.names);
        Ok(Some(Filter(Arc::new(Compiled {
            text: text.into(),
            names: parsed.names,
            condition: parsed.condition,
            equality,
        }))))
    }

    /// The filter as it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether a message is wanted.
    pub fn matches(&self, message: &dyn MessageView) -> bool {
        let names = &*self.0.names;
        let truth = match names.len() {
            0..=NAMES_FEW => {
                let mut reader = Reader::new(message, names, [const { None }; NAMES_FEW]);
                self.0.condition.truth(&mut reader)
            }
            _ => {
                let mut reader = Reader::new(message, names, [const { None }; NAMES_MAX]);
                self.0.condition.truth(&mut reader)
            }
        };
        truth == Some(true)
    }

    /// A name and what it must be equal to, or else the filter is not true.
    pub fn equality(&self) -> Option<(&Name, &Constant)> {
        let (slot, constant) = self.0.equality.as_ref()?;
        Some((&self.0.names[slot.index()], constant))
    }
}

/// The first equality that all else depends on; of those the first that tells many messages apart.
fn equality_of(condition: &Condition, names: &[Name]) -> Option<(Slot, Constant)> {
    let conditions = match condition {
        Condition::All(conditions) => conditions,
        one => std::slice::from_ref(one),
    };
    let equalities = conditions.iter().filter_map(Condition::equality);
    equalities.min_by_key(|(slot, constant)| {
        names[slot.index()].is_delivery_mode() || matches!(constant, Constant::Bool(_))
    })
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Filter").field(&self.text()).finish()
    }
}

/// Filters are equal if they were written the same.
impl PartialEq for Filter {
    fn eq(&self, other: &Filter) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Filter {}
