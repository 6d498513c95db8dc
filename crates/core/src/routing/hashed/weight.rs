//! Weights: the binding keys of a consistent hash exchange.
//!
//! Invariants
//! - A weight is from 1 to `WEIGHT_MAX`; zeros before it and a plus sign do not matter.

use std::num::IntErrorKind;

use crate::arguments::{Term, Value};

/// Digits of the largest weight, in base 2.
pub(super) const WEIGHT_BITS: u32 = 20;

/// The largest weight of a binding to a consistent hash exchange.
pub const WEIGHT_MAX: u32 = (1 << WEIGHT_BITS) - 1;

/// A binding key that is no weight, in RabbitMQ's words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWeight {
    /// Not an integer.
    #[error("The binding key must be an integer: {0}")]
    NotInteger(String),
    /// Zero or less.
    #[error("The binding key must be greater than 0")]
    TooSmall,
    /// More than any binding may have.
    #[error("The binding key must be at most {WEIGHT_MAX}")]
    TooLarge,
}

/// The weight that a key says.
pub(super) fn parse(key: &[u8]) -> Result<u32, InvalidWeight> {
    let not_integer = || {
        let key = Value::Str(key.to_vec());
        InvalidWeight::NotInteger(Term(&key).to_string())
    };
    let text = std::str::from_utf8(key).map_err(|_| not_integer())?;
    match text.parse::<i64>() {
        Ok(..1) => Err(InvalidWeight::TooSmall),
        Ok(weight) => u32::try_from(weight)
            .ok()
            .filter(|weight| *weight <= WEIGHT_MAX)
            .ok_or(InvalidWeight::TooLarge),
        Err(error) => Err(match error.kind() {
            IntErrorKind::PosOverflow => InvalidWeight::TooLarge,
            IntErrorKind::NegOverflow => InvalidWeight::TooSmall,
            _ => not_integer(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_above_zero() {
        let not = |printed: &str| Err(InvalidWeight::NotInteger(printed.to_owned()));
        let long = "9".repeat(255);
        let negative = format!("-{}", "9".repeat(254));
        for (key, expected) in [
            ("1", Ok(1)),
            ("10", Ok(10)),
            ("+7", Ok(7)),
            ("007", Ok(7)),
            ("1048575", Ok(WEIGHT_MAX)),
            ("1048576", Err(InvalidWeight::TooLarge)),
            (&long, Err(InvalidWeight::TooLarge)),
            ("0", Err(InvalidWeight::TooSmall)),
            ("-0", Err(InvalidWeight::TooSmall)),
            ("-1", Err(InvalidWeight::TooSmall)),
            (&negative, Err(InvalidWeight::TooSmall)),
            ("", not("<<>>")),
            ("+", not("<<\"+\">>")),
            ("1.5", not("<<\"1.5\">>")),
            (" 1", not("<<\" 1\">>")),
            ("orders.#", not("<<\"orders.#\">>")),
            ("٣", not("<<\"٣\"/utf8>>")),
        ] {
            assert_eq!(parse(key.as_bytes()), expected, "{key:?}");
        }
        assert_eq!(parse(&[0xff]), not("<<255>>"));
    }
}
