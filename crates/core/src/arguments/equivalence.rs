//! Equivalence: whether a second declaration asks for what is already there.
//!
//! Invariants
//! - A refusal's text is RabbitMQ's, to the letter: clients and runbooks match on it.
//! - All integer types are one; a missing `x-queue-type` and `classic` are one.
//! - The first difference in the order of the keys is the one reported.

use std::fmt::{self, Display, Formatter};

use super::{Arguments, Value};

const QUEUE_TYPE: &str = "x-queue-type";
const QUEUE_TYPE_DEFAULT: &str = "classic";

/// What a declaration is about, for the text of a refusal.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// `queue` or `exchange`.
    pub kind: &'a str,
    /// The resource's name.
    pub name: &'a str,
    /// The virtual host it lives in.
    pub vhost: &'a str,
}

impl Display for Resource<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}' in vhost '{}'", self.kind, self.name, self.vhost)
    }
}

/// A declaration that differs from what exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "inequivalent arg '{argument}' for {resource}: received {received} but current is {current}"
)]
pub struct Inequivalent {
    /// The field or argument that differs.
    pub argument: String,
    /// The resource, as printed.
    pub resource: String,
    /// What the declaration asks for, as printed.
    pub received: String,
    /// What is there, as printed.
    pub current: String,
}

/// Compares the arguments named by `keys`.
pub fn assert_equivalent(
    resource: Resource<'_>,
    current: &Arguments,
    received: &Arguments,
    keys: &[&str],
) -> Result<(), Inequivalent> {
    for key in keys {
        let (current, received) = (current.get(key), received.get(key));
        let (current, received) = match (current, received) {
            (None, None) => continue,
            (Some(current), Some(received)) if current.equals_by_value(received) => continue,
            (Some(current), Some(received)) => (untyped(current), untyped(received)),
            (None, Some(value)) | (Some(value), None) if is_default(key, value) => continue,
            (current, received) => (typed(current), typed(received)),
        };
        return Err(inequivalent(resource, key, current, received));
    }
    Ok(())
}

/// Compares one field of a declaration, such as `durable`, by its printed value.
pub fn assert_field_equivalent(
    resource: Resource<'_>,
    field: &str,
    current: impl Display,
    received: impl Display,
) -> Result<(), Inequivalent> {
    let (current, received) = (format!("'{current}'"), format!("'{received}'"));
    if current == received {
        return Ok(());
    }
    Err(inequivalent(resource, field, current, received))
}

fn inequivalent(
    resource: Resource<'_>,
    argument: &str,
    current: String,
    received: String,
) -> Inequivalent {
    let (argument, resource) = (argument.to_owned(), resource.to_string());
    Inequivalent {
        argument,
        resource,
        received,
        current,
    }
}

fn is_default(key: &str, value: &Value) -> bool {
    key == QUEUE_TYPE && value.as_str() == Some(QUEUE_TYPE_DEFAULT)
}

fn untyped(value: &Value) -> String {
    match value {
        Value::Void => "none".to_owned(),
        value => format!("'{}'", Outer(value)),
    }
}

fn typed(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!(
            "the value '{}' of type '{}'",
            Outer(value),
            value.type_name()
        ),
    }
}

/// A value as printed on its own: text bare.
pub(crate) struct Outer<'a>(pub(crate) &'a Value);

impl Display for Outer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.as_bytes() {
            Some(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            None => Term(self.0).fmt(f),
        }
    }
}

/// A value as an Erlang term, which is how existing refusals print it.
pub(crate) struct Term<'a>(pub(crate) &'a Value);

impl Display for Term<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(value) => write!(f, "{value}"),
            Value::F32(value) => f.write_str(&float(f64::from(*value))),
            Value::F64(value) => f.write_str(&float(*value)),
            Value::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            Value::Timestamp(value) => write!(f, "{value}"),
            Value::Str(bytes) | Value::Bytes(bytes) => binary(f, bytes),
            Value::Void => f.write_str("undefined"),
            Value::Array(values) => {
                let items = values.iter().map(|value| (None, value));
                list(f, items)
            }
            Value::Table(table) => list(f, table.iter().map(|(name, value)| (Some(name), value))),
            integer => match integer.as_integer() {
                Some(value) => write!(f, "{value}"),
                None => f.write_str("undefined"),
            },
        }
    }
}

/// The shorter of the two ways to write a float; past the exact integers always with exponent.
fn float(value: f64) -> String {
    const INTEGERS_EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    let scientific = format!("{value:e}");
    let scientific = match scientific.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => scientific,
    };
    let plain = format!("{value}");
    let plain = if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    };
    if value.abs() >= INTEGERS_EXACT_BELOW || scientific.len() < plain.len() {
        return scientific;
    }
    plain
}

fn list<'a>(
    f: &mut Formatter<'_>,
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
) -> fmt::Result {
    f.write_str("[")?;
    for (index, (name, value)) in items.enumerate() {
        f.write_str(if index == 0 { "{" } else { ",{" })?;
        if let Some(name) = name {
            binary(f, name.as_bytes())?;
            f.write_str(",")?;
        }
        write!(f, "{},{}}}", value.type_name(), Term(value))?;
    }
    f.write_str("]")
}

fn binary(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok("") => f.write_str("<<>>"),
        Ok(text) if text.is_ascii() => write!(f, "<<{text:?}>>"),
        Ok(text) => write!(f, "<<{text:?}/utf8>>"),
        Err(_) => {
            let octets: Vec<String> = bytes.iter().map(u8::to_string).collect();
            write!(f, "<<{}>>", octets.join(","))
        }
    }
}
