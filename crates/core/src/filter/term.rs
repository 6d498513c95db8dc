//! Terms: what has a value.
//!
//! Invariants
//! - What can be calculated without a message was calculated when the term was made.
//! - The depth of a term is bounded by the depth of the text: a row of calculations is one term.

use crate::view::{MessageView, Operand};

use super::name::{Name, Slot};
use super::value::{Arithmetic, Constant, negative};

/// What has a value, or none.
#[derive(Debug)]
pub(super) enum Term {
    Constant(Constant),
    /// What has no value in any message.
    Null,
    Name(Slot),
    Negative(Box<Term>),
    /// A row of calculations, from left to right.
    Row(Box<Term>, Vec<(Arithmetic, Term)>),
}

impl Term {
    /// The term with the other sign.
    pub fn negative(self) -> Term {
        match self {
            Term::Constant(constant) => Term::calculated(negative(constant.operand())),
            Term::Null => Term::Null,
            term => Term::Negative(Box::new(term)),
        }
    }

    /// The same number; no value if it is none.
    pub fn positive(self) -> Term {
        Term::row(
            Term::Constant(Constant::Integer(0)),
            vec![(Arithmetic::Plus, self)],
        )
    }

    /// A row of calculations.
    pub fn row(mut first: Term, mut rest: Vec<(Arithmetic, Term)>) -> Term {
        if matches!(first, Term::Null) || rest.iter().any(|(_, term)| matches!(term, Term::Null)) {
            return Term::Null;
        }
        let mut done = 0;
        for (arithmetic, right) in &rest {
            let (Term::Constant(left), Term::Constant(right)) = (&first, right) else {
                break;
            };
            first = Term::calculated(arithmetic.of(left.operand(), right.operand()));
            done += 1;
        }
        rest.drain(..done);
        match rest.is_empty() || matches!(first, Term::Null) {
            true => first,
            false => Term::Row(Box::new(first), rest),
        }
    }

    fn calculated(result: Option<Operand<'_>>) -> Term {
        match result.and_then(Constant::of_number) {
            Some(constant) => Term::Constant(constant),
            None => Term::Null,
        }
    }

    /// Its value in a message.
    #[inline]
    pub fn value<'a, const N: usize>(&'a self, reader: &mut Reader<'a, N>) -> Option<Operand<'a>> {
        match self {
            Term::Constant(constant) => Some(constant.operand()),
            Term::Null => None,
            Term::Name(slot) => reader.read(*slot),
            Term::Negative(term) => negative(term.value(reader)?),
            Term::Row(first, rest) => {
                let mut value = first.value(reader)?;
                for (arithmetic, right) in rest {
                    value = arithmetic.of(value, right.value(reader)?)?;
                }
                Some(value)
            }
        }
    }
}

/// Reads the names of a filter in one message, each once.
pub(super) struct Reader<'a, const N: usize> {
    message: &'a dyn MessageView,
    names: &'a [Name],
    found: [Option<Option<Operand<'a>>>; N],
}

impl<'a, const N: usize> Reader<'a, N> {
    /// `found` is empty and has room for all names.
    pub fn new(
        message: &'a dyn MessageView,
        names: &'a [Name],
        found: [Option<Option<Operand<'a>>>; N],
    ) -> Reader<'a, N> {
        debug_assert!(names.len() <= N);
        Reader {
            message,
            names,
            found,
        }
    }

    #[inline]
    pub fn read(&mut self, slot: Slot) -> Option<Operand<'a>> {
        let index = slot.index();
        if let Some(found) = self.found[index] {
            return found;
        }
        let found = self.names[index].read(self.message);
        self.found[index] = Some(found);
        found
    }
}
