//! Selections: which of the messages that match its key and criteria a binding takes.
//!
//! Invariants
//! - A selection is made once, when the binding is, from its argument `x-filter`.
//! - A binding whose filter is no filter any more takes nothing: it was asked to leave things out.

use super::route::Message;
use crate::arguments::{Arguments, Value};
use crate::filter::{Filter, FilterError};

/// The argument with a binding's filter.
pub(super) const FILTER: &str = "x-filter";

/// What a binding takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Selection {
    All,
    Filter(Filter),
    Nothing,
}

/// A filter that no binding can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Not text.
    #[error("invalid arg '{FILTER}' of binding: expected text, got {0}")]
    Type(&'static str),
    /// Not UTF-8.
    #[error("invalid arg '{FILTER}' of binding: it is not UTF-8")]
    Encoding,
    /// It makes no sense, or costs too much.
    #[error("invalid arg '{FILTER}' of binding: {0}")]
    Text(#[from] FilterError),
}

impl Selection {
    /// What the arguments of a binding ask for.
    pub(super) fn of(arguments: &Arguments) -> Result<Selection, InvalidFilter> {
        let text = match arguments.get(FILTER) {
            None => return Ok(Selection::All),
            Some(Value::Str(text)) => text,
            Some(value) => return Err(InvalidFilter::Type(value.type_name())),
        };
        let text = std::str::from_utf8(text).map_err(|_| InvalidFilter::Encoding)?;
        let filter = Filter::compile(text)?;
        Ok(filter.map_or(Selection::All, Selection::Filter))
    }

    /// Whether a message is taken.
    pub(super) fn takes(&self, message: &Message<'_>) -> bool {
        match self {
            Selection::All => true,
            Selection::Filter(filter) => filter.matches(message.view()),
            Selection::Nothing => false,
        }
    }
}
