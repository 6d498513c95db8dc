//! Tables that own what they hold, and their encoder.
//!
//! Invariants
//! - A name has at most 255 bytes: it is only ever made from a [`ShortStr`].
//! - A [`Value`] is 16 bytes and an entry 32 (asserted below): the memory bound of the parent
//!   rests on it.

use std::fmt;
use std::ops::Deref;

use super::RawTable;
use crate::wire::{ShortStr, put_long, put_short};

const _: () = assert!(size_of::<Value>() == 16);
const _: () = assert!(size_of::<(Box<[u8]>, Value)>() == 32);

/// A table that owns its entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    entries: Vec<(Box<[u8]>, Value)>,
}

/// An array of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array {
    values: Vec<Value>,
}

/// Owned bytes, behind a pointer of one word to keep [`Value`] small.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Blob {
    bytes: Box<Box<[u8]>>,
}

/// A value that owns what it holds. Tags as in [`super::RawValue`].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` / 10^`scale`.
    Decimal {
        /// How many digits are after the point.
        scale: u8,
        /// All digits.
        value: u32,
    },
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `S`
    LongStr(Blob),
    /// `x`
    Bytes(Blob),
    /// `A`
    Array(Box<Array>),
    /// `F`
    Table(Box<Table>),
    /// `V`
    #[default]
    Void,
}

impl Table {
    /// A table without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    pub(super) fn with_capacity(entries: usize) -> Self {
        Self {
            entries: Vec::with_capacity(entries),
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry at the end, whether or not the name is there already.
    pub fn push(&mut self, name: ShortStr<'_>, value: impl Into<Value>) {
        self.entries.push((name.as_bytes().into(), value.into()));
    }

    /// Gives the first entry of that name another value, or adds one at the end.
    pub fn set(&mut self, name: ShortStr<'_>, value: impl Into<Value>) {
        match self.get_mut(name.as_bytes()) {
            Some(found) => *found = value.into(),
            None => self.push(name, value),
        }
    }

    /// The first value of that name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Value> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The first value of that name, to change.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Value> {
        let found = self.entries.iter_mut().find(|(key, _)| **key == *name);
        found.map(|(_, value)| value)
    }

    /// Removes every entry of that name; whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(key, _)| **key != *name);
        self.entries.len() < before
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// Appends the entries as on the wire, without the size in front.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            put_short(
                out,
                ShortStr::new(name).expect("a name is made from a ShortStr"),
            );
            value.encode(out);
        }
    }

    /// The entries as on the wire, without the size in front: what [`RawTable::new`] takes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

impl TryFrom<RawTable<'_>> for Table {
    type Error = super::TableError;
    fn try_from(raw: RawTable<'_>) -> Result<Self, Self::Error> {
        raw.decode()
    }
}

impl Value {
    /// Any integer.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(value) => value as i64,
            Self::U8(value) => value as i64,
            Self::I16(value) => value as i64,
            Self::U16(value) => value as i64,
            Self::I32(value) => value as i64,
            Self::U32(value) => value as i64,
            Self::I64(value) => value,
            _ => return None,
        })
    }

    /// The bytes of a string or blob.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::LongStr(bytes) | Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A string or blob that is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// A boolean.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = *self {
            Some(value)
        } else {
            None
        }
    }

    /// Appends tag and value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.extend_from_slice(&[b't', u8::from(*value)]),
            Self::I8(value) => put(out, b'b', value.to_be_bytes()),
            Self::U8(value) => put(out, b'B', [*value]),
            Self::I16(value) => put(out, b's', value.to_be_bytes()),
            Self::U16(value) => put(out, b'u', value.to_be_bytes()),
            Self::I32(value) => put(out, b'I', value.to_be_bytes()),
            Self::U32(value) => put(out, b'i', value.to_be_bytes()),
            Self::I64(value) => put(out, b'l', value.to_be_bytes()),
            Self::F32(value) => put(out, b'f', value.to_be_bytes()),
            Self::F64(value) => put(out, b'd', value.to_be_bytes()),
            Self::Decimal { scale, value } => {
                put(out, b'D', [*scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Timestamp(seconds) => put(out, b'T', seconds.to_be_bytes()),
            Self::LongStr(bytes) => {
                out.push(b'S');
                put_long(out, bytes);
            }
            Self::Bytes(bytes) => {
                out.push(b'x');
                put_long(out, bytes);
            }
            Self::Array(array) => put_sized(out, b'A', |out| {
                array.iter().for_each(|value| value.encode(out));
            }),
            Self::Table(table) => put_sized(out, b'F', |out| table.encode(out)),
            Self::Void => out.push(b'V'),
        }
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, tag: u8, value: [u8; N]) {
    out.push(tag);
    out.extend_from_slice(&value);
}

/// Appends a tag, the size of what `fill` appends, and that.
fn put_sized(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    put(out, tag, [0; 4]);
    let start = out.len();
    fill(out);
    let size = crate::wire::length_u32(out.len() - start).to_be_bytes();
    out[start - size.len()..start].copy_from_slice(&size);
}

impl Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

impl Deref for Array {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.values
    }
}

impl From<Vec<Value>> for Array {
    fn from(values: Vec<Value>) -> Self {
        Self { values }
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self {
            bytes: Box::new(bytes.into()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::LongStr(text.as_bytes().into())
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }
    )*};
}
value_from!(
    bool => Bool, i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64,
    f32 => F32, f64 => F64
);

impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self::Table(Box::new(table))
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::Array(Box::new(values.into()))
    }
}
