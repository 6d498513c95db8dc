//! Conditions: what is true, false or unknown.
//!
//! Invariants
//! - What is the same for every message was decided when the condition was made.
//! - `NOT` of unknown is unknown; `AND` and `OR` know as soon as one side decides.
//! - The depth of a condition is bounded by the depth of the text: a row of `AND` is one condition.

use crate::view::{NoView, Operand};

use super::like::Pattern;
use super::name::Slot;
use super::term::{Reader, Term};
use super::value::{Comparison, Constant, order};

/// True, false or unknown.
pub(super) type Truth = Option<bool>;

/// What is true, false or unknown of a message.
#[derive(Debug)]
pub(super) enum Condition {
    /// The same for every message.
    Known(Truth),
    /// The value of a name that is a truth.
    Is(Slot),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Compare(Comparison, Term, Term),
    /// Between two values, both included.
    Between(Term, Term, Term),
    /// Less than the first or greater than the second value.
    Outside(Term, Term, Term),
    /// One of the constants, which are in order.
    In(Term, Box<[Constant]>),
    Like(Term, Pattern),
    IsNull(Term),
}

impl Condition {
    /// That it is not so.
    pub fn not(self) -> Condition {
        match self {
            Condition::Known(truth) => Condition::Known(truth.map(|truth| !truth)),
            condition => Condition::Not(Box::new(condition)),
        }
    }

    /// That all are so.
    pub fn all(conditions: Vec<Condition>) -> Condition {
        Condition::row(conditions, true, Condition::All)
    }

    /// That at least one is so.
    pub fn any(conditions: Vec<Condition>) -> Condition {
        Condition::row(conditions, false, Condition::Any)
    }

    /// A row of conditions that any one can decide; `neutral` is the truth that decides nothing.
    fn row(
        mut conditions: Vec<Condition>,
        neutral: bool,
        make: fn(Vec<Condition>) -> Condition,
    ) -> Condition {
        let known = |condition: &Condition, wanted: bool| match condition {
            Condition::Known(truth) => *truth == Some(wanted),
            _ => false,
        };
        if conditions
            .iter()
            .any(|condition| known(condition, !neutral))
        {
            return Condition::Known(Some(!neutral));
        }
        conditions.retain(|condition| !known(condition, neutral));
        match conditions.len() {
            0 => Condition::Known(Some(neutral)),
            1 => conditions.remove(0),
            _ => make(conditions),
        }
    }

    /// One of the constants, in any order.
    pub fn one_of(term: Term, mut list: Vec<Constant>) -> Condition {
        list.sort_by(|left, right| order(left.operand(), right.operand()));
        list.dedup_by(|left, right| order(left.operand(), right.operand()).is_eq());
        Condition::In(term, list.into())
    }

    /// The condition, decided if every message decides it alike.
    pub fn decided(self) -> Condition {
        let null = |term: &Term| matches!(term, Term::Null);
        let known = |term: &Term| null(term) || matches!(term, Term::Constant(_));
        let decided = match &self {
            Condition::Compare(_, left, right) if null(left) || null(right) => {
                return Condition::Known(None);
            }
            Condition::Compare(_, left, right) => known(left) && known(right),
            Condition::Between(value, low, high) | Condition::Outside(value, low, high) => {
                known(value) && known(low) && known(high)
            }
            Condition::In(value, _) | Condition::Like(value, _) | Condition::IsNull(value) => {
                known(value)
            }
            _ => false,
        };
        match decided {
            true => Condition::Known(self.truth(&mut Reader::new(&NoView, &[], []))),
            false => self,
        }
    }

    /// Whether it is so in a message.
    pub fn truth<'a, const N: usize>(&'a self, reader: &mut Reader<'a, N>) -> Truth {
        match self {
            Condition::Known(truth) => *truth,
            Condition::Is(slot) => match reader.read(*slot)? {
                Operand::Bool(truth) => Some(truth),
                _ => None,
            },
            Condition::Not(condition) => condition.truth(reader).map(|truth| !truth),
            Condition::All(conditions) => decide(conditions, false, reader),
            Condition::Any(conditions) => decide(conditions, true, reader),
            Condition::Compare(comparison, left, right) => {
                let left = left.value(reader)?;
                Some(comparison.holds(left, right.value(reader)?))
            }
            Condition::Between(value, low, high) => {
                let value = value.value(reader)?;
                let low = bound(Comparison::GreaterOrEqual, value, low, reader);
                let high = bound(Comparison::LessOrEqual, value, high, reader);
                both(low, high)
            }
            Condition::Outside(value, low, high) => {
                let value = value.value(reader)?;
                let low = bound(Comparison::Less, value, low, reader);
                let high = bound(Comparison::Greater, value, high, reader);
                both(low.map(|truth| !truth), high.map(|truth| !truth)).map(|truth| !truth)
            }
            Condition::In(value, list) => {
                let value = value.value(reader)?;
                let found = list.binary_search_by(|constant| order(constant.operand(), value));
                Some(found.is_ok())
            }
            Condition::Like(value, pattern) => Some(match value.value(reader)? {
                Operand::Text(text) => pattern.matches(text),
                _ => false,
            }),
            Condition::IsNull(value) => Some(value.value(reader).is_none()),
        }
    }

    /// The equality without which it is not true.
    pub fn equality(&self) -> Option<(Slot, Constant)> {
        match self {
            Condition::Is(slot) => Some((*slot, Constant::Bool(true))),
            Condition::Compare(Comparison::Equal, Term::Name(slot), Term::Constant(constant))
            | Condition::Compare(Comparison::Equal, Term::Constant(constant), Term::Name(slot)) => {
                Some((*slot, constant.clone()))
            }
            Condition::In(Term::Name(slot), list) => match &**list {
                [constant] => Some((*slot, constant.clone())),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A row of conditions, of which the first that is `deciding` decides.
fn decide<'a, const N: usize>(
    conditions: &'a [Condition],
    deciding: bool,
    reader: &mut Reader<'a, N>,
) -> Truth {
    let mut truth = Some(!deciding);
    for condition in conditions {
        match condition.truth(reader) {
            Some(found) if found == deciding => return Some(deciding),
            Some(_) => {}
            None => truth = None,
        }
    }
    truth
}

fn bound<'a, const N: usize>(
    comparison: Comparison,
    value: Operand<'a>,
    bound: &'a Term,
    reader: &mut Reader<'a, N>,
) -> Truth {
    Some(comparison.holds(value, bound.value(reader)?))
}

fn both(left: Truth, right: Truth) -> Truth {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}
