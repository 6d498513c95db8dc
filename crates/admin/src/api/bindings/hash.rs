//! The hash that names a binding by its arguments, as RabbitMQ computes it: that of the arguments
//! as an Erlang term, by the hash function that Erlang keeps the same in all versions.
//!
//! Invariants
//! - The same arguments have the same hash here and there, so what one shows the other finds.

use ferry_core::arguments::{Arguments, Value};

/// The multiples of it tell kinds of terms apart.
const GOLDEN: u32 = 0x9e37_79b9;

const INTEGER: u32 = GOLDEN;
const NIL: u32 = GOLDEN.wrapping_mul(2);
const ATOM: u32 = GOLDEN.wrapping_mul(3);
const TUPLE: u32 = GOLDEN.wrapping_mul(9);
const LARGE_NEGATIVE: u32 = GOLDEN.wrapping_mul(10);
const LARGE_POSITIVE: u32 = GOLDEN.wrapping_mul(11);
const FLOAT: u32 = GOLDEN.wrapping_mul(12);
const BINARY: u32 = GOLDEN.wrapping_mul(13);

/// What stands for the end of a list.
const NIL_VALUE: u32 = 2;
/// The hash of an empty list that nothing stands before.
const NIL_ALONE: u32 = 3_468_870_702;

/// Integers up to here, without their sign, are hashed as one word.
const SMALL_MAX: u64 = 1 << 27;

/// The hash of arguments in the order of their names.
pub(super) fn of_arguments(arguments: &Arguments) -> u32 {
    let mut sorted: Vec<(&str, &Value)> = arguments.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    table(0, sorted.into_iter())
}

fn table<'a>(hash: u32, pairs: impl Iterator<Item = (&'a str, &'a Value)>) -> u32 {
    let pair = |hash, (name, value): (&str, &Value)| {
        let hash = binary(tuple(hash, 3), name.as_bytes());
        term(atom(hash, value.type_name()), value)
    };
    nil(pairs.fold(hash, pair))
}

fn term(hash: u32, value: &Value) -> u32 {
    match value {
        Value::Bool(true) => atom(hash, "true"),
        Value::Bool(false) => atom(hash, "false"),
        Value::I8(value) => integer(hash, (*value).into()),
        Value::U8(value) => integer(hash, (*value).into()),
        Value::I16(value) => integer(hash, (*value).into()),
        Value::U16(value) => integer(hash, (*value).into()),
        Value::I32(value) => integer(hash, (*value).into()),
        Value::U32(value) => integer(hash, (*value).into()),
        Value::I64(value) => integer(hash, (*value).into()),
        Value::U64(value) | Value::Timestamp(value) => integer(hash, (*value).into()),
        Value::F32(value) => float(hash, (*value).into()),
        Value::F64(value) => float(hash, *value),
        Value::Decimal { scale, value } => {
            let hash = integer(tuple(hash, 2), (*scale).into());
            integer(hash, (*value).into())
        }
        Value::Str(bytes) | Value::Bytes(bytes) => binary(hash, bytes),
        Value::Array(values) => {
            let item = |hash, value: &Value| term(atom(tuple(hash, 2), value.type_name()), value);
            nil(values.iter().fold(hash, item))
        }
        Value::Table(inner) => table(hash, inner.iter()),
        Value::Void => atom(hash, "undefined"),
    }
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    let step = |x: u32, y: u32, z: u32| x.wrapping_sub(y).wrapping_sub(z);
    for (first, second, third) in [(13, 8, 13), (12, 16, 5), (3, 10, 15)] {
        a = step(a, b, c) ^ (c >> first);
        b = step(b, c, a) ^ (a << second);
        c = step(c, a, b) ^ (b >> third);
    }
    (a, b, c)
}

fn words(hash: u32, low: u32, high: u32, kind: u32) -> u32 {
    mix(kind.wrapping_add(low), kind.wrapping_add(high), hash).2
}

fn tuple(hash: u32, size: u32) -> u32 {
    words(hash, size, 0, TUPLE)
}

fn nil(hash: u32) -> u32 {
    match hash {
        0 => NIL_ALONE,
        hash => words(hash, NIL_VALUE, 0, NIL),
    }
}

fn atom(hash: u32, name: &str) -> u32 {
    let own = name.bytes().fold(0u32, |sum, byte| {
        let sum = (sum << 4).wrapping_add(byte.into());
        match sum & 0xf000_0000 {
            0 => sum,
            top => (sum ^ (top >> 24)) ^ top,
        }
    });
    match hash {
        0 => own,
        hash => words(hash, own, 0, ATOM),
    }
}

fn integer(hash: u32, value: i128) -> u32 {
    let size = value.unsigned_abs() as u64;
    let small = size < SMALL_MAX || (size == SMALL_MAX && value < 0);
    if !small {
        let kind = if value < 0 {
            LARGE_NEGATIVE
        } else {
            LARGE_POSITIVE
        };
        return words(hash, size as u32, (size >> 32) as u32, kind);
    }
    let hash = match value < 0 {
        true => words(hash, size as u32, 0, INTEGER),
        false => hash,
    };
    words(hash, value as u32, 0, INTEGER)
}

fn float(hash: u32, value: f64) -> u32 {
    // Both zeros are one.
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    words(hash, (bits >> 32) as u32, bits as u32, FLOAT)
}

fn binary(hash: u32, bytes: &[u8]) -> u32 {
    let start = BINARY.wrapping_add(hash);
    if bytes.is_empty() {
        return start;
    }
    let word = |bytes: &[u8]| {
        let each = bytes.iter().rev();
        each.fold(0u32, |word, byte| word << 8 | u32::from(*byte))
    };
    let (mut a, mut b, mut c) = (GOLDEN, GOLDEN, start);
    let mut chunks = bytes.chunks_exact(12);
    for chunk in &mut chunks {
        a = a.wrapping_add(word(&chunk[..4]));
        b = b.wrapping_add(word(&chunk[4..8]));
        c = c.wrapping_add(word(&chunk[8..]));
        (a, b, c) = mix(a, b, c);
    }
    let rest = chunks.remainder();
    let part = |from: usize, to: usize| word(rest.get(from..to.min(rest.len())).unwrap_or(&[]));
    a = a.wrapping_add(part(0, 4));
    b = b.wrapping_add(part(4, 8));
    // The lowest byte is for the length.
    c = c.wrapping_add(part(8, 12) << 8);
    mix(a, b, c.wrapping_add(bytes.len() as u32)).2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_the_hash_that_erlang_gives_them() {
        let of = |name: &str, value: Value| of_arguments(&Arguments::from_iter([(name, value)]));
        let text = |text: &str| Value::Str(text.as_bytes().to_vec());
        for (value, expected) in [
            (Value::Bool(true), 1_802_062_121),
            (Value::Array(vec![Value::I64(1), text("b")]), 427_820_738),
            (
                Value::Table(Arguments::from_iter([("b", Value::F64(1.5))])),
                3_068_294_848,
            ),
            (Value::Void, 972_185_960),
            (
                Value::Decimal {
                    scale: 1,
                    value: 150,
                },
                3_561_274_989,
            ),
            (Value::Timestamp(1_700_000_000), 3_135_102_134),
            (Value::Array(Vec::new()), 2_387_373_417),
            (Value::Table(Arguments::new()), 605_878_053),
        ] {
            assert_eq!(of("a", value.clone()), expected, "{value:?}");
        }
        for (k, expected) in [(Value::I32(1), 408_180_620), (Value::I64(1), 1_457_039_565)] {
            let arguments = Arguments::from_iter([("s", text("x")), ("k", k)]);
            assert_eq!(of_arguments(&arguments), expected);
        }
        assert_eq!(of_arguments(&Arguments::new()), NIL_ALONE);
    }

    #[test]
    fn terms_have_the_hash_that_erlang_gives_them() {
        for (value, expected) in [
            (1, 539_485_162),
            (-1, 1_117_813_597),
            (0, 3_175_731_469),
            (134_217_727, 4_273_352_567),
            (134_217_728, 2_562_491_755),
            (-134_217_728, 874_979_335),
            (-134_217_729, 1_418_916_782),
            (1 << 40, 282_329_375),
            (i128::from(i64::MIN), 1_736_826_119),
        ] {
            assert_eq!(integer(0, value), expected, "{value}");
        }
        for (bytes, expected) in [
            (&b""[..], 147_926_629),
            (b"x", 1_735_967_608),
            (b"hello world, this", 3_561_911_003),
        ] {
            assert_eq!(binary(0, bytes), expected);
        }
        for (value, expected) in [
            (1.5, 2_023_646_235),
            (-0.0, 423_528_920),
            (-2.25, 2_254_282_282),
        ] {
            assert_eq!(float(0, value), expected, "{value}");
        }
        assert_eq!(atom(0, "longstr"), 56_945_346);
    }
}
