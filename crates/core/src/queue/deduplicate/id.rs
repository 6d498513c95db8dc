//! What a message id is remembered as: a hash of its type and value.
//!
//! Invariants
//! - The hash is the same on every machine and in every release: it is stored.
//! - Ids are one when type and value are: integers of any width are one type, and so are floats;
//!   text, binary, booleans, decimals and timestamps are each their own.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::arguments::Value;

/// The key of the published test vectors; the hash keeps nothing secret.
const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

const TEXT: u8 = 0;
const BINARY: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const DECIMAL: u8 = 4;
const TIMESTAMP: u8 = 5;
const BOOL: u8 = 6;

/// The 128-bit hash of a message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u128);

impl MessageId {
    /// Of an id that is text, as the message-id property is.
    pub fn of_text(text: &[u8]) -> MessageId {
        hash(TEXT, text)
    }

    /// Of an id in a header; none for arrays, tables and void, which are no ids.
    pub fn of_value(value: &Value) -> Option<MessageId> {
        let id = match *value {
            Value::Str(ref text) => MessageId::of_text(text),
            Value::Bytes(ref bytes) => hash(BINARY, bytes),
            Value::Bool(value) => hash(BOOL, &[u8::from(value)]),
            Value::F32(value) => of_float(f64::from(value)),
            Value::F64(value) => of_float(value),
            Value::Decimal { scale, value } => of_decimal(scale, value),
            Value::Timestamp(seconds) => hash(TIMESTAMP, &seconds.to_le_bytes()),
            Value::Array(_) | Value::Table(_) | Value::Void => return None,
            Value::I8(_)
            | Value::U8(_)
            | Value::I16(_)
            | Value::U16(_)
            | Value::I32(_)
            | Value::U32(_)
            | Value::I64(_)
            | Value::U64(_) => hash(INTEGER, &value.as_integer()?.to_le_bytes()),
        };
        Some(id)
    }

    /// As it is stored.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// As it was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> MessageId {
        MessageId(u128::from_le_bytes(bytes))
    }

    /// The part of it that the index goes by; never the largest number there is.
    pub(super) fn tag(self) -> u32 {
        (self.0 as u32).min(u32::MAX - 1)
    }
}

fn of_float(value: f64) -> MessageId {
    let one_of_a_value = if value.is_nan() {
        f64::NAN
    } else {
        value + 0.0
    };
    hash(FLOAT, &one_of_a_value.to_bits().to_le_bytes())
}

fn of_decimal(mut scale: u8, mut value: u32) -> MessageId {
    while scale > 0 && value.is_multiple_of(10) {
        scale -= 1;
        value /= 10;
    }
    let [a, b, c, d] = value.to_le_bytes();
    hash(DECIMAL, &[scale, a, b, c, d])
}

fn hash(kind: u8, content: &[u8]) -> MessageId {
    let mut hasher = SipHasher24::new_with_key(&KEY);
    hasher.write(&[kind]);
    hasher.write(content);
    MessageId(hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;

    /// Input without the 0 that it starts with; first and last four bytes of the output.
    const VECTORS: [(&[u8], [u8; 4], [u8; 4]); 2] = [
        (&[], [0xda, 0x87, 0xc1, 0xd8], [0x9b, 0x22, 0xfc, 0x45]),
        (&[1], [0x81, 0x77, 0x22, 0x8d], [0xf6, 0x0a, 0xff, 0xe4]),
    ];

    #[test]
    fn the_hash_is_that_of_the_published_vectors() {
        for (text, first, last) in VECTORS {
            let hash = MessageId::of_text(text).to_bytes();
            assert_eq!(hash[..4], first, "{text:?}");
            assert_eq!(hash[12..], last, "{text:?}");
            assert_eq!(MessageId::from_bytes(hash), MessageId::of_text(text));
        }
    }

    #[test]
    fn ids_are_one_when_type_and_value_are() {
        let decimal = |scale, value| Value::Decimal { scale, value };
        let groups = [
            vec![
                Value::I8(1),
                Value::U8(1),
                Value::I16(1),
                Value::U16(1),
                Value::I32(1),
                Value::U32(1),
                Value::I64(1),
                Value::U64(1),
            ],
            vec![Value::I8(-1), Value::I64(-1)],
            vec![Value::U64(u64::MAX)],
            vec![Value::from("1"), Value::Str(b"1".to_vec())],
            vec![Value::from("")],
            vec![Value::Str(b"\0".to_vec())],
            vec![Value::Bytes(b"1".to_vec())],
            vec![Value::Bytes(Vec::new())],
            vec![Value::Bool(true)],
            vec![Value::Bool(false)],
            vec![Value::F32(1.0), Value::F64(1.0)],
            vec![Value::F32(0.0), Value::F64(-0.0)],
            vec![Value::F32(f32::NAN), Value::F64(-f64::NAN)],
            vec![Value::F64(0.1)],
            vec![decimal(0, 1), decimal(1, 10), decimal(2, 100)],
            vec![decimal(1, 1)],
            vec![decimal(0, 0), decimal(255, 0)],
            vec![Value::Timestamp(1)],
        ];
        for (number, group) in groups.iter().enumerate() {
            for (other_number, other_group) in groups.iter().enumerate() {
                for (left, right) in group.iter().zip(other_group.iter().rev()) {
                    let (one, two) = (MessageId::of_value(left), MessageId::of_value(right));
                    assert_eq!(one == two, number == other_number, "{left:?} ~ {right:?}");
                    assert!(one.is_some(), "{left:?}");
                }
            }
        }
        assert_eq!(
            MessageId::of_value(&Value::from("order-1")),
            Some(MessageId::of_text(b"order-1"))
        );
    }

    #[test]
    fn what_has_no_single_value_is_no_id() {
        for value in [
            Value::Void,
            Value::Array(vec![Value::I32(1)]),
            Value::Table(Arguments::new()),
        ] {
            assert_eq!(MessageId::of_value(&value), None, "{value:?}");
        }
    }
}
