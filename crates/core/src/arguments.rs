//! Typed arguments: of declarations, of bindings, and of message headers.
//!
//! Invariants
//! - `Arguments` keeps the order and the duplicates it was given; a look-up finds the first.
//! - `==` means identical: same type and same bits. What a broker treats as the same value across
//!   types is `Value::equals_by_value`.
//! - Nothing here reads wire bytes. Whoever decodes them bounds depth and size first.
//! - What is stored nests no deeper than `nesting::DEPTH_MAX`; reading refuses the rest.
//!
//! Not here: how a type is tagged on a wire (the codec crates), what an argument does to a queue.

mod equivalence;
mod nesting;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

pub(crate) use equivalence::Term;
pub use equivalence::{Inequivalent, Resource, assert_equivalent, assert_field_equivalent};

/// `value` divided by ten to the power of `scale`.
#[must_use]
pub fn decimal(scale: u8, value: u32) -> f64 {
    f64::from(value) / 10f64.powi(i32::from(scale))
}

/// One typed value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// Signed, 8 bits.
    I8(i8),
    /// Unsigned, 8 bits.
    U8(u8),
    /// Signed, 16 bits.
    I16(i16),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Signed, 32 bits.
    I32(i32),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Signed, 64 bits.
    I64(i64),
    /// Unsigned, 64 bits; AMQP 0-9-1 has no tag for it, other protocols do.
    U64(u64),
    /// Floating point, 32 bits.
    F32(f32),
    /// Floating point, 64 bits.
    F64(f64),
    /// `value` divided by ten to the power of `scale`.
    Decimal {
        /// Digits after the decimal point.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// Seconds since the Unix epoch.
    Timestamp(u64),
    /// Text by intent; the wire promises no encoding, so these are bytes.
    Str(Vec<u8>),
    /// Binary by intent.
    Bytes(Vec<u8>),
    /// A list of values, each with its own type.
    Array(#[serde(with = "nesting")] Vec<Value>),
    /// Named values.
    Table(#[serde(with = "nesting")] Arguments),
    /// A name without a value.
    Void,
}

impl Value {
    /// The type's name in refusals, as RabbitMQ's users know it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Bool(_) => "bool",
            Value::I8(_) => "byte",
            Value::U8(_) => "unsignedbyte",
            Value::I16(_) => "short",
            Value::U16(_) => "unsignedshort",
            Value::I32(_) => "signedint",
            Value::U32(_) => "unsignedint",
            Value::I64(_) => "long",
            Value::U64(_) => "unsignedlong",
            Value::F32(_) => "float",
            Value::F64(_) => "double",
            Value::Decimal { .. } => "decimal",
            Value::Timestamp(_) => "timestamp",
            Value::Str(_) => "longstr",
            Value::Bytes(_) => "binary",
            Value::Array(_) => "array",
            Value::Table(_) => "table",
            Value::Void => "void",
        }
    }

    /// The value of any integer type; not of a timestamp, decimal or float.
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Value::I8(value) => Some(i128::from(value)),
            Value::U8(value) => Some(i128::from(value)),
            Value::I16(value) => Some(i128::from(value)),
            Value::U16(value) => Some(i128::from(value)),
            Value::I32(value) => Some(i128::from(value)),
            Value::U32(value) => Some(i128::from(value)),
            Value::I64(value) => Some(i128::from(value)),
            Value::U64(value) => Some(i128::from(value)),
            _ => None,
        }
    }

    /// The text of a `Str` that is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The bytes of a `Str` or `Bytes`.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(bytes) | Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value of a `Bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The table in a `Table`.
    pub fn as_table(&self) -> Option<&Arguments> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Whether two values are one to a headers binding or a declaration: integers compare whatever
    /// their width, and so do floats, but an integer is never a float; text equals binary of the
    /// same bytes, and inside arrays and tables the types count as well.
    pub fn equals_by_value(&self, other: &Value) -> bool {
        match (self.number(), other.number()) {
            (Some(Number::Integer(left)), Some(Number::Integer(right))) => left == right,
            (Some(Number::Float(left)), Some(Number::Float(right))) => left == right,
            (None, None) => self.same_content(other),
            _ => false,
        }
    }

    /// Hashes so that values equal by value hash alike.
    pub(crate) fn hash_by_value(&self, state: &mut impl Hasher) {
        match self.number() {
            Some(Number::Integer(value)) => (1u8, value).hash(state),
            Some(Number::Float(value)) => (2u8, (value + 0.0).to_bits()).hash(state),
            None => match self {
                Value::Bool(value) => (3u8, value).hash(state),
                Value::Str(bytes) | Value::Bytes(bytes) => (4u8, bytes).hash(state),
                _ => 5u8.hash(state),
            },
        }
    }

    fn number(&self) -> Option<Number> {
        match *self {
            Value::F32(value) => Some(Number::Float(f64::from(value))),
            Value::F64(value) => Some(Number::Float(value)),
            Value::Timestamp(value) => Some(Number::Integer(i128::from(value))),
            _ => self.as_integer().map(Number::Integer),
        }
    }

    /// Equality of what is no number, with text and binary as one.
    fn same_content(&self, other: &Value) -> bool {
        match (self.as_bytes(), other.as_bytes()) {
            (Some(left), Some(right)) => left == right,
            _ => self == other,
        }
    }
}

#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::F32(left), Value::F32(right)) => left.to_bits() == right.to_bits(),
            (Value::F64(left), Value::F64(right)) => left.to_bits() == right.to_bits(),
            (
                Value::Decimal { scale, value },
                Value::Decimal {
                    scale: other_scale,
                    value: other_value,
                },
            ) => scale == other_scale && value == other_value,
            (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
            (Value::Str(left), Value::Str(right)) => left == right,
            (Value::Bytes(left), Value::Bytes(right)) => left == right,
            (Value::Array(left), Value::Array(right)) => left == right,
            (Value::Table(left), Value::Table(right)) => left == right,
            (Value::Void, Value::Void) => true,
            _ => match (self.as_integer(), other.as_integer()) {
                (Some(left), Some(right)) => self.type_name() == other.type_name() && left == right,
                _ => false,
            },
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.type_name().hash(state);
        match self {
            Value::F32(value) => value.to_bits().hash(state),
            Value::F64(value) => value.to_bits().hash(state),
            Value::Decimal { scale, value } => (scale, value).hash(state),
            Value::Timestamp(value) => value.hash(state),
            Value::Bool(value) => value.hash(state),
            Value::Str(bytes) | Value::Bytes(bytes) => bytes.hash(state),
            Value::Array(values) => values.hash(state),
            Value::Table(table) => table.hash(state),
            _ => self.as_integer().hash(state),
        }
    }
}

macro_rules! value_from {
    ($($source:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$source> for Value {
            fn from(value: $source) -> Value {
                Value::$variant(value.into())
            }
        })+
    };
}

value_from! {
    bool => Bool, i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64,
    u64 => U64, f32 => F32, f64 => F64, &str => Str, String => Str, Arguments => Table,
    Vec<Value> => Array,
}

/// An ordered list of named values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Arguments(Vec<(String, Value)>);

impl Arguments {
    /// No arguments; allocates nothing.
    pub const fn new() -> Arguments {
        Arguments(Vec::new())
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// Whether there is a value of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the first value of that name, or adds it at the end; returns the value it replaces.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, current)) => Some(std::mem::replace(current, value)),
            None => {
                self.0.push((name, value));
                None
            }
        }
    }

    /// Adds a value at the end, whether or not the name is there already.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.push((name.into(), value.into()));
    }

    /// Removes the first value of that name.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(index).1)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many entries there are, duplicates included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorts by name; entries of one name keep their order.
    pub fn sort_by_name(&mut self) {
        self.0.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Arguments {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Arguments {
        let pairs = entries
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Arguments(pairs.collect())
    }
}

impl IntoIterator for Arguments {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
