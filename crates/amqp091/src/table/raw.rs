//! Tables read in place: iterate, look up, validate, decode.
//!
//! Invariants
//! - An iterator ends after its first error.
//! - Nothing is built before `decode`; `decode` counts entries before it reserves room for them.

use std::fmt;

use super::{Array, DEPTH_MAX, Table, TableError, Value};
use crate::wire::{Reader, ShortStr};

/// A table's entries as on the wire, without the size in front. May be malformed inside.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RawTable<'a>(&'a [u8]);

/// An array's values as on the wire, without the size in front. May be malformed inside.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RawArray<'a>(&'a [u8]);

/// A value read in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawValue<'a> {
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
    /// `l`, and `L`, which RabbitMQ reads alike.
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
    LongStr(&'a [u8]),
    /// `x`
    Bytes(&'a [u8]),
    /// `A`
    Array(RawArray<'a>),
    /// `F`
    Table(RawTable<'a>),
    /// `V`
    Void,
}

impl<'a> RawTable<'a> {
    /// The table without entries.
    pub const EMPTY: RawTable<'static> = RawTable(&[]);

    /// Takes entries as they are on the wire, without the size in front.
    #[must_use]
    pub const fn new(entries: &'a [u8]) -> Self {
        Self(entries)
    }

    /// The entries as they are on the wire.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether it has no entries.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its entries in order; an error is the last item.
    #[must_use]
    pub const fn iter(self) -> Entries<'a> {
        Entries {
            reader: Reader::new(self.0),
        }
    }

    /// The first value of that name. A malformed table is searched up to where it breaks.
    #[must_use]
    pub fn get(self, name: &[u8]) -> Option<RawValue<'a>> {
        let found = self
            .iter()
            .map_while(Result::ok)
            .find(|(key, _)| key.as_bytes() == name);
        found.map(|(_, value)| value)
    }

    /// Checks everything in it, to every depth.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(self) -> Result<(), TableError> {
        validate_table(self, 1)
    }

    /// Builds the table.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn decode(self) -> Result<Table, TableError> {
        self.validate()?;
        decode_table(self)
    }
}

impl<'a> RawArray<'a> {
    /// Takes values as they are on the wire, without the size in front.
    #[must_use]
    pub const fn new(values: &'a [u8]) -> Self {
        Self(values)
    }

    /// The values as they are on the wire.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Its values in order; an error is the last item.
    #[must_use]
    pub const fn iter(self) -> Values<'a> {
        Values {
            reader: Reader::new(self.0),
        }
    }
}

impl<'a> RawValue<'a> {
    /// Any integer, if it fits.
    #[must_use]
    pub const fn as_i64(self) -> Option<i64> {
        Some(match self {
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
    pub const fn as_bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::LongStr(bytes) | Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A string or blob that is UTF-8.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// A boolean.
    #[must_use]
    pub const fn as_bool(self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(value)
        } else {
            None
        }
    }

    /// A nested table.
    #[must_use]
    pub const fn as_table(self) -> Option<RawTable<'a>> {
        if let Self::Table(table) = self {
            Some(table)
        } else {
            None
        }
    }

    /// A nested array.
    #[must_use]
    pub const fn as_array(self) -> Option<RawArray<'a>> {
        if let Self::Array(array) = self {
            Some(array)
        } else {
            None
        }
    }

    /// Builds the value.
    ///
    /// # Errors
    /// What is wrong inside a nested table or array.
    pub fn decode(self) -> Result<Value, TableError> {
        validate_value(self, 0)?;
        decode_value(self)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, TableError> {
        let tag = reader.u8().ok_or(TableError::Truncated)?;
        let value = match tag {
            b't' => reader.u8().map(|byte| Self::Bool(byte != 0)),
            b'b' => reader.u8().map(|byte| Self::I8(byte.cast_signed())),
            b'B' => reader.u8().map(Self::U8),
            b's' => reader.u16().map(|value| Self::I16(value.cast_signed())),
            b'u' => reader.u16().map(Self::U16),
            b'I' => reader.u32().map(|value| Self::I32(value.cast_signed())),
            b'i' => reader.u32().map(Self::U32),
            b'l' | b'L' => reader.u64().map(|value| Self::I64(value.cast_signed())),
            b'f' => reader.u32().map(|bits| Self::F32(f32::from_bits(bits))),
            b'd' => reader.u64().map(|bits| Self::F64(f64::from_bits(bits))),
            b'D' => {
                let scale = reader.u8();
                scale
                    .zip(reader.u32())
                    .map(|(scale, value)| Self::Decimal { scale, value })
            }
            b'T' => reader.u64().map(Self::Timestamp),
            b'S' => reader.long_bytes().map(Self::LongStr),
            b'x' => reader.long_bytes().map(Self::Bytes),
            b'A' => reader
                .long_bytes()
                .map(|values| Self::Array(RawArray(values))),
            b'F' => reader
                .long_bytes()
                .map(|entries| Self::Table(RawTable(entries))),
            b'V' => Some(Self::Void),
            tag => return Err(TableError::UnknownTag(tag)),
        };
        value.ok_or(TableError::Truncated)
    }
}

/// The entries of a [`RawTable`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    reader: Reader<'a>,
}

impl<'a> Entries<'a> {
    /// What is left, as it is on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.reader.rest()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(ShortStr<'a>, RawValue<'a>), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let name = self.reader.short_str().ok_or(TableError::Truncated);
        let entry = name.and_then(|name| Ok((name, RawValue::read(&mut self.reader)?)));
        if entry.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(entry)
    }
}

/// The values of a [`RawArray`].
#[derive(Clone, Debug)]
pub struct Values<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<RawValue<'a>, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let value = RawValue::read(&mut self.reader);
        if value.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(value)
    }
}

impl<'a> IntoIterator for RawTable<'a> {
    type Item = <Entries<'a> as Iterator>::Item;
    type IntoIter = Entries<'a>;
    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for RawArray<'a> {
    type Item = <Values<'a> as Iterator>::Item;
    type IntoIter = Values<'a>;
    fn into_iter(self) -> Values<'a> {
        self.iter()
    }
}

impl fmt::Debug for RawTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawTable({} bytes)", self.0.len())
    }
}

impl fmt::Debug for RawArray<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawArray({} bytes)", self.0.len())
    }
}

fn validate_table(table: RawTable<'_>, depth: u32) -> Result<(), TableError> {
    if depth > DEPTH_MAX {
        return Err(TableError::TooDeep);
    }
    table
        .iter()
        .try_for_each(|entry| validate_value(entry?.1, depth))
}

fn validate_value(value: RawValue<'_>, depth: u32) -> Result<(), TableError> {
    match value {
        RawValue::Table(table) => validate_table(table, depth + 1),
        RawValue::Array(_) if depth >= DEPTH_MAX => Err(TableError::TooDeep),
        RawValue::Array(array) => array
            .iter()
            .try_for_each(|value| validate_value(value?, depth + 1)),
        _ => Ok(()),
    }
}

/// Builds a table that has been validated, and so is not too deep.
fn decode_table(table: RawTable<'_>) -> Result<Table, TableError> {
    let mut built = Table::with_capacity(table.iter().count());
    for entry in table {
        let (name, value) = entry?;
        built.push(name, decode_value(value)?);
    }
    Ok(built)
}

fn decode_value(value: RawValue<'_>) -> Result<Value, TableError> {
    Ok(match value {
        RawValue::Bool(value) => Value::Bool(value),
        RawValue::I8(value) => Value::I8(value),
        RawValue::U8(value) => Value::U8(value),
        RawValue::I16(value) => Value::I16(value),
        RawValue::U16(value) => Value::U16(value),
        RawValue::I32(value) => Value::I32(value),
        RawValue::U32(value) => Value::U32(value),
        RawValue::I64(value) => Value::I64(value),
        RawValue::F32(value) => Value::F32(value),
        RawValue::F64(value) => Value::F64(value),
        RawValue::Decimal { scale, value } => Value::Decimal { scale, value },
        RawValue::Timestamp(seconds) => Value::Timestamp(seconds),
        RawValue::LongStr(bytes) => Value::LongStr(bytes.into()),
        RawValue::Bytes(bytes) => Value::Bytes(bytes.into()),
        RawValue::Array(array) => {
            let mut built = Vec::with_capacity(array.iter().count());
            for value in array {
                built.push(decode_value(value?)?);
            }
            Value::Array(Box::new(Array::from(built)))
        }
        RawValue::Table(table) => Value::Table(Box::new(decode_table(table)?)),
        RawValue::Void => Value::Void,
    })
}
