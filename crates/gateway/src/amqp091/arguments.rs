//! Tables of the wire to the broker's arguments and back.
//!
//! Invariants
//! - Order and duplicates survive both ways.
//! - Depth is limited before anything is built: the codec validates first.
//! - A name that is not UTF-8 is taken with replacement characters; values keep their bytes.

use amqp091::{RawTable, RawValue, ReplyCode, ShortStr, Table, TableError};
use ferry_core::arguments::{Arguments, Value};

use super::errors::Refusal;

/// Reads a method's table.
pub(crate) fn read(table: RawTable<'_>) -> Result<Arguments, Refusal> {
    if table.is_empty() {
        return Ok(Arguments::new());
    }
    table.validate().map_err(refuse)?;
    Ok(read_valid(table))
}

fn refuse(error: TableError) -> Refusal {
    Refusal::new(ReplyCode::SyntaxError, error.to_string())
}

/// Reads a table that was validated; one that was not is read up to where it breaks.
pub(crate) fn read_valid(table: RawTable<'_>) -> Arguments {
    let entries = table.iter().map_while(Result::ok);
    entries
        .map(|(name, value)| (name.as_str_lossy(), value_of(value)))
        .collect()
}

/// The name of a value's type, as RabbitMQ prints it.
pub(crate) fn type_name(value: RawValue<'_>) -> &'static str {
    value_of(value).type_name()
}

/// A value of a table that was validated.
pub(crate) fn value_of(value: RawValue<'_>) -> Value {
    match value {
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
        RawValue::LongStr(bytes) => Value::Str(bytes.to_vec()),
        RawValue::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        RawValue::Array(values) => {
            Value::Array(values.iter().map_while(Result::ok).map(value_of).collect())
        }
        RawValue::Table(table) => Value::Table(read_valid(table)),
        RawValue::Void => Value::Void,
    }
}

/// The table that stands for these arguments.
pub(crate) fn to_table(arguments: &Arguments) -> Table {
    let mut table = Table::new();
    for (name, value) in arguments.iter() {
        table.push(ShortStr::clipped(name.as_bytes()), to_wire(value));
    }
    table
}

fn to_wire(value: &Value) -> amqp091::Value {
    use amqp091::Value as Wire;
    match value {
        Value::Bool(value) => Wire::Bool(*value),
        Value::I8(value) => Wire::I8(*value),
        Value::U8(value) => Wire::U8(*value),
        Value::I16(value) => Wire::I16(*value),
        Value::U16(value) => Wire::U16(*value),
        Value::I32(value) => Wire::I32(*value),
        Value::U32(value) => Wire::U32(*value),
        Value::I64(value) => Wire::I64(*value),
        Value::U64(value) => Wire::I64(i64::try_from(*value).unwrap_or(i64::MAX)),
        Value::F32(value) => Wire::F32(*value),
        Value::F64(value) => Wire::F64(*value),
        Value::Decimal { scale, value } => Wire::Decimal {
            scale: *scale,
            value: *value,
        },
        Value::Timestamp(seconds) => Wire::Timestamp(*seconds),
        Value::Str(bytes) => Wire::LongStr(bytes.as_slice().into()),
        Value::Bytes(bytes) => Wire::Bytes(bytes.as_slice().into()),
        Value::Array(values) => Wire::Array(Box::new(
            values.iter().map(to_wire).collect::<Vec<_>>().into(),
        )),
        Value::Table(table) => Wire::Table(Box::new(to_table(table))),
        Value::Void => Wire::Void,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_both_ways() {
        let inner: Arguments = [("k", Value::I8(-1)), ("k", Value::Void)]
            .into_iter()
            .collect();
        let values = [
            Value::Bool(true),
            Value::I8(-8),
            Value::U8(8),
            Value::I16(-16),
            Value::U16(16),
            Value::I32(-32),
            Value::U32(32),
            Value::I64(-64),
            Value::F32(0.5),
            Value::F64(-0.25),
            Value::Decimal {
                scale: 2,
                value: 314,
            },
            Value::Timestamp(1_700_000_000),
            Value::Str(vec![0xff, 0]),
            Value::Bytes(vec![1, 2]),
            Value::Array(vec![Value::I8(1), Value::Table(inner.clone())]),
            Value::Table(inner),
            Value::Void,
        ];
        let arguments: Arguments = values
            .into_iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect();
        let bytes = to_table(&arguments).to_bytes();
        assert_eq!(read(RawTable::new(&bytes)).unwrap(), arguments);
    }

    #[test]
    fn a_broken_table_is_a_syntax_error() {
        let refusal = read(RawTable::new(&[1, b'a', b'S', 0, 0, 0, 9])).unwrap_err();
        assert_eq!(refusal.code, ReplyCode::SyntaxError);
    }
}
