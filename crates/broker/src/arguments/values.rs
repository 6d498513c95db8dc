//! One value: its type and its range, with a refusal in the words of a queue's argument.
//!
//! Invariants
//! - What RabbitMQ checks is refused in its words; for what it does not know, the words name the
//!   allowed range.

use std::ops::RangeInclusive;

use ferry_core::arguments::{Value, decimal};
use ferry_core::limits::{NAME_BYTES_MAX, TTL_MS_MAX};

/// A value as it is used, or what is wrong with it.
pub(super) type Checked<T> = Result<T, String>;

pub(super) fn integer(value: &Value) -> Checked<i128> {
    value
        .as_integer()
        .ok_or_else(|| format!("\"expected integer, got {}\"", value.type_name()))
}

/// An integer from 0 to `max`, as RabbitMQ checks it.
pub(super) fn count(value: &Value, max: u64) -> Checked<u64> {
    let integer = integer(value)?;
    if integer < 0 {
        return Err(format!("{{value_negative,{integer}}}"));
    }
    match u64::try_from(integer) {
        Ok(count) if count <= max => Ok(count),
        _ => Err(format!("{{value_too_large,{integer}}}")),
    }
}

/// An integer from 1 to `max`, as RabbitMQ checks it.
pub(super) fn positive(value: &Value, max: u64) -> Checked<u64> {
    match count(value, max)? {
        0 => Err("{value_zero,0}".to_owned()),
        count => Ok(count),
    }
}

/// An integer of that range.
pub(super) fn within<T>(value: &Value, range: RangeInclusive<T>) -> Checked<T>
where
    T: TryFrom<i128> + PartialOrd + Copy + std::fmt::Display,
{
    let (min, max) = (range.start(), range.end());
    let Some(integer) = value.as_integer() else {
        let got = value.type_name();
        return Err(format!("expected an integer in {min}..{max}, got {got}"));
    };
    let inside = T::try_from(integer)
        .ok()
        .filter(|found| range.contains(found));
    inside.ok_or_else(|| format!("{integer} is not in {min}..{max}"))
}

/// A number of that range in thousandths: integer, decimal or float.
pub(super) fn thousandths(value: &Value, range: RangeInclusive<u32>) -> Checked<u32> {
    let (min, max) = (range.start(), range.end());
    let number = match *value {
        Value::F32(float) => f64::from(float),
        Value::F64(float) => float,
        Value::Decimal { scale, value } => decimal(scale, value),
        _ => match value.as_integer() {
            Some(integer) => integer as f64,
            None => {
                let got = value.type_name();
                return Err(format!("expected a number in {min}..{max}, got {got}"));
            }
        },
    };
    if !(f64::from(*min)..=f64::from(*max)).contains(&number) {
        return Err(format!("{number:?} is not in {min}..{max}"));
    }
    Ok((number * 1000.0).round() as u32)
}

pub(super) fn text(value: &Value) -> Checked<String> {
    match value {
        Value::Str(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(unacceptable_type(value)),
    }
}

/// The name of an exchange, or a routing key.
pub(super) fn name(value: &Value) -> Checked<String> {
    let name = text(value)?;
    match name.len() {
        0..=NAME_BYTES_MAX => Ok(name),
        bytes => Err(format!("its {bytes} bytes are not in 0..{NAME_BYTES_MAX}")),
    }
}

/// An age of messages.
pub(super) fn age(value: &Value) -> Checked<u64> {
    age_ms(&text(value)?).ok_or_else(|| "invalid_max_age".to_owned())
}

/// An age as RabbitMQ writes it: a number and one of the units `Y M D h m s`, in milliseconds.
pub fn age_ms(text: &str) -> Option<u64> {
    let seconds: u64 = match text.chars().next_back()? {
        'Y' => 365 * 86_400,
        'M' => 30 * 86_400,
        'D' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    let age_ms = number.checked_mul(seconds * 1000)?;
    (1..=TTL_MS_MAX).contains(&age_ms).then_some(age_ms)
}

/// A flag as RabbitMQ checks it.
pub(super) fn flag(value: &Value) -> Checked<bool> {
    value.as_bool().ok_or_else(|| unacceptable_type(value))
}

/// A flag that RabbitMQ does not know.
pub(super) fn truth(value: &Value) -> Checked<bool> {
    let why = || format!("expected true or false, got {}", value.type_name());
    value.as_bool().ok_or_else(why)
}

/// One of some texts.
pub(super) fn choice<T: Copy>(
    value: &Value,
    choices: &[(&str, T)],
    otherwise: impl Fn(&str) -> String,
) -> Checked<T> {
    let text = text(value)?;
    let chosen = choices.iter().find(|(choice, _)| *choice == text);
    chosen
        .map(|(_, value)| *value)
        .ok_or_else(|| otherwise(&text))
}

fn unacceptable_type(value: &Value) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}
