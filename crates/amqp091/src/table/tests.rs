//! Reading, building and refusing tables. RabbitMQ's bytes for every type are in `tests/golden.rs`.

use super::*;
use crate::wire::ShortStr;

/// Tables in one another, `depth` of them, the innermost empty.
fn nested(depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for level in 1..depth {
        out.extend_from_slice(&[0, b'F']);
        out.extend_from_slice(&u32::to_be_bytes(6 * (depth - 1 - level) as u32));
    }
    out
}

/// Bytes of memory that the parts of a value take, besides the value itself.
fn heap_bytes(value: &Value) -> usize {
    match value {
        Value::LongStr(bytes) | Value::Bytes(bytes) => size_of::<Box<[u8]>>() + bytes.len(),
        Value::Array(array) => {
            let values = array
                .iter()
                .map(|value| size_of::<Value>() + heap_bytes(value));
            size_of::<Array>() + values.sum::<usize>()
        }
        Value::Table(table) => size_of::<Table>() + table_bytes(table),
        _ => 0,
    }
}

fn table_bytes(table: &Table) -> usize {
    table
        .iter()
        .map(|(name, value)| 32 + name.len() + heap_bytes(value))
        .sum()
}

#[test]
fn what_is_no_table_is_refused() {
    for (entries, expected) in [
        (&b"\x05abc"[..], TableError::Truncated),
        (b"\x01k", TableError::Truncated),
        (b"\x01kZ", TableError::UnknownTag(b'Z')),
        (b"\x01kI\0\0\0", TableError::Truncated),
        (b"\x01kS\xFF\xFF\xFF\xFFx", TableError::Truncated),
        (b"\x01kF\0\0\0\x02\x01k", TableError::Truncated),
        (b"\x01kA\0\0\0\x01?", TableError::UnknownTag(b'?')),
    ] {
        let raw = RawTable::new(entries);
        assert_eq!(raw.validate(), Err(expected), "{entries:?}");
        assert_eq!(raw.decode(), Err(expected), "{entries:?}");
    }
}

#[test]
fn nesting_is_limited() {
    for (depth, expected) in [
        (1, Ok(())),
        (32, Ok(())),
        (33, Err(TableError::TooDeep)),
        (18_000, Err(TableError::TooDeep)),
    ] {
        let entries = nested(depth);
        assert_eq!(RawTable::new(&entries).validate(), expected, "{depth} deep");
        assert_eq!(
            RawTable::new(&entries).decode().map(drop),
            expected,
            "{depth} deep"
        );
    }
    let mut arrays = vec![0];
    for level in (0..18_000u32).rev() {
        arrays.push(b'A');
        arrays.extend_from_slice(&(5 * level).to_be_bytes());
    }
    assert_eq!(RawTable::new(&arrays).validate(), Err(TableError::TooDeep));
    let value = RawTable::new(&arrays).get(b"").unwrap();
    assert_eq!(value.decode().map(drop), Err(TableError::TooDeep));
}

#[test]
fn order_and_duplicates_stay_and_the_first_is_found() {
    let mut table = Table::new();
    table.push(ShortStr::lit("a"), 1i32);
    table.push(ShortStr::lit(""), "empty name");
    table.push(ShortStr::lit("a"), 2i32);
    let bytes = table.to_bytes();
    let raw = RawTable::new(&bytes);
    assert_eq!(raw.get(b"a"), Some(RawValue::I32(1)));
    assert_eq!(raw.get(b"").and_then(RawValue::as_str), Some("empty name"));
    assert_eq!(raw.get(b"b"), None);
    let names: Vec<_> = raw
        .iter()
        .map(|entry| entry.unwrap().0.as_bytes())
        .collect();
    assert_eq!(names, [&b"a"[..], b"", b"a"]);
    assert_eq!(raw.decode(), Ok(table));
}

#[test]
fn a_table_can_be_changed() {
    let mut table = Table::new();
    table.set(ShortStr::lit("x"), 1u8);
    table.set(ShortStr::lit("x"), true);
    table.push(ShortStr::lit("x"), vec![Value::Void]);
    assert_eq!(table.len(), 2);
    assert_eq!(table.get(b"x").and_then(Value::as_bool), Some(true));
    assert!(table.remove(b"x"));
    assert!(!table.remove(b"x"));
    assert!(table.is_empty());
}

#[test]
fn a_broken_entry_ends_iteration_and_look_up() {
    let raw = RawTable::new(b"\x01aV\x01b?\x01cV");
    assert_eq!(raw.iter().count(), 2);
    assert_eq!(raw.iter().last(), Some(Err(TableError::UnknownTag(b'?'))));
    assert_eq!(raw.get(b"a"), Some(RawValue::Void));
    assert_eq!(raw.get(b"c"), None);
}

#[test]
fn memory_is_at_most_sixteen_times_the_input() {
    let voids = [&[0, b'A', 0, 0, 0x10, 0][..], &[b'V'; 4096]].concat();
    let entries = b"\0V".repeat(2000);
    let strings = b"\x01nS\0\0\0\x01s".repeat(500);
    let tables = b"\0F\0\0\0\0".repeat(500);
    for (bytes, what) in [
        (voids, "an array of nothings"),
        (entries, "nameless entries"),
        (strings, "short strings"),
        (tables, "empty tables"),
        (nested(32), "nested tables"),
    ] {
        let table = RawTable::new(&bytes).decode().unwrap();
        let used = table_bytes(&table);
        assert!(
            used <= 16 * bytes.len(),
            "{what}: {used} for {}",
            bytes.len()
        );
    }
}

#[test]
fn values_answer_as_what_they_are() {
    for (value, integer, text, boolean) in [
        (RawValue::U8(200), Some(200), None, None),
        (RawValue::I8(-1), Some(-1), None, None),
        (RawValue::U32(u32::MAX), Some(4_294_967_295), None, None),
        (RawValue::I64(i64::MIN), Some(i64::MIN), None, None),
        (RawValue::LongStr(b"s"), None, Some("s"), None),
        (RawValue::Bytes(b"b"), None, Some("b"), None),
        (RawValue::LongStr(b"\xFF"), None, None, None),
        (RawValue::Bool(true), None, None, Some(true)),
        (RawValue::Timestamp(1), None, None, None),
    ] {
        let found = (value.as_i64(), value.as_str(), value.as_bool());
        assert_eq!(found, (integer, text, boolean), "{value:?}");
        let owned = value.decode().unwrap();
        let found = (owned.as_i64(), owned.as_str(), owned.as_bool());
        assert_eq!(found, (integer, text, boolean), "{owned:?}");
    }
}
