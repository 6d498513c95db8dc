//! Values: constants, how values compare, and what comes of calculating with them.
//!
//! Invariants
//! - Only like values compare: text with text, truth with truth, number with number. Integers and
//!   floats compare by what they are worth, exactly.
//! - No calculation panics or wraps: an integer that does not fit becomes a float, and what is not
//!   a number (a division by zero, too) is nothing.

use std::cmp::Ordering;

use crate::view::Operand;

/// A value written in a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// Text.
    Text(Box<str>),
    /// An integer.
    Integer(i64),
    /// A number with a fraction; never NaN.
    Float(f64),
    /// True or false.
    Bool(bool),
}

impl Constant {
    /// The constant as an operand.
    #[inline]
    pub fn operand(&self) -> Operand<'_> {
        match self {
            Constant::Text(text) => Operand::Text(text.as_bytes()),
            Constant::Integer(integer) => Operand::Integer(*integer),
            Constant::Float(float) => Operand::Float(*float),
            Constant::Bool(truth) => Operand::Bool(*truth),
        }
    }

    /// The constant that a number is; none for text and truths.
    pub(super) fn of_number(number: Operand<'_>) -> Option<Constant> {
        match number {
            Operand::Integer(integer) => Some(Constant::Integer(integer)),
            Operand::Float(float) => Some(Constant::Float(float)),
            Operand::Text(_) | Operand::Bool(_) => None,
        }
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it asks which is the greater one.
    pub fn is_of_order(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::NotEqual)
    }

    /// Whether it holds; unlike values hold no comparison, not even `<>`.
    #[inline]
    pub fn holds(self, left: Operand<'_>, right: Operand<'_>) -> bool {
        let ordering = match (left, right) {
            (Operand::Bool(_), Operand::Bool(_)) if self.is_of_order() => return false,
            // Which of two texts is the greater need not be known.
            (Operand::Text(left), Operand::Text(right)) if !self.is_of_order() => {
                return (left == right) == (self == Comparison::Equal);
            }
            (left, right) if kind(left) == kind(right) => order(left, right),
            _ => return false,
        };
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// What a value compares with.
fn kind(operand: Operand<'_>) -> u8 {
    match operand {
        Operand::Bool(_) => 0,
        Operand::Integer(_) | Operand::Float(_) => 1,
        Operand::Text(_) => 2,
    }
}

/// An order of all values but NaN: truths, then numbers by worth, then texts by their bytes.
pub(super) fn order(left: Operand<'_>, right: Operand<'_>) -> Ordering {
    match (left, right) {
        (Operand::Bool(left), Operand::Bool(right)) => left.cmp(&right),
        (Operand::Text(left), Operand::Text(right)) => left.cmp(right),
        (Operand::Integer(left), Operand::Integer(right)) => left.cmp(&right),
        (Operand::Integer(left), Operand::Float(right)) => by_worth(left, right),
        (Operand::Float(left), Operand::Integer(right)) => by_worth(right, left).reverse(),
        (Operand::Float(left), Operand::Float(right)) => {
            left.partial_cmp(&right).unwrap_or(Ordering::Equal)
        }
        _ => kind(left).cmp(&kind(right)),
    }
}

/// 2 to the power of 63: the first float above all integers.
const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;

fn by_worth(integer: i64, float: f64) -> Ordering {
    if float >= INTEGERS_END {
        return Ordering::Less;
    }
    if float < -INTEGERS_END {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    let fraction = float - whole;
    let wholes = integer.cmp(&(whole as i64));
    wholes.then(0.0.partial_cmp(&fraction).unwrap_or(Ordering::Equal))
}

/// The one form of all numbers that are worth the same; none for NaN.
pub(super) fn normal(operand: Operand<'_>) -> Option<Operand<'_>> {
    match operand {
        Operand::Float(float) if float.is_nan() => None,
        Operand::Float(float)
            if float.fract() == 0.0 && (-INTEGERS_END..INTEGERS_END).contains(&float) =>
        {
            Some(Operand::Integer(float as i64))
        }
        operand => Some(operand),
    }
}

/// A calculation with two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Over,
}

impl Arithmetic {
    /// What comes of it; nothing if it is not a number.
    pub fn of<'a>(self, left: Operand<'_>, right: Operand<'_>) -> Option<Operand<'a>> {
        let (a, b) = match (left, right) {
            (Operand::Integer(a), Operand::Integer(b)) => {
                if self == Arithmetic::Over && b == 0 {
                    return None;
                }
                let result = match self {
                    Arithmetic::Plus => a.checked_add(b),
                    Arithmetic::Minus => a.checked_sub(b),
                    Arithmetic::Times => a.checked_mul(b),
                    Arithmetic::Over => a.checked_div(b),
                };
                if let Some(integer) = result {
                    return Some(Operand::Integer(integer));
                }
                (a as f64, b as f64)
            }
            (left, right) => (float(left)?, float(right)?),
        };
        let result = match self {
            Arithmetic::Plus => a + b,
            Arithmetic::Minus => a - b,
            Arithmetic::Times => a * b,
            Arithmetic::Over if b == 0.0 => return None,
            Arithmetic::Over => a / b,
        };
        (!result.is_nan()).then_some(Operand::Float(result))
    }
}

/// A number with the other sign; nothing if it is no number.
pub(super) fn negative<'a>(operand: Operand<'_>) -> Option<Operand<'a>> {
    match operand {
        Operand::Integer(integer) => Some(match integer.checked_neg() {
            Some(integer) => Operand::Integer(integer),
            None => Operand::Float(INTEGERS_END),
        }),
        Operand::Float(float) => Some(Operand::Float(-float)),
        Operand::Text(_) | Operand::Bool(_) => None,
    }
}

fn float(operand: Operand<'_>) -> Option<f64> {
    match operand {
        Operand::Integer(integer) => Some(integer as f64),
        Operand::Float(float) => Some(float),
        Operand::Text(_) | Operand::Bool(_) => None,
    }
}
