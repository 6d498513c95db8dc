//! The key of a message: what it must stay in order with.
//!
//! Invariants
//! - The digest of a key is the same on every machine and in every run: it is written down.
//! - Two keys with one digest are one key; equal integers are, whatever their width.
//!
//! Not here: where a key is looked for (`Shards` and `key_of`).

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::queue::Shards;
use crate::view::{MessageView, Operand, Property};

/// The header that has the key of a message.
pub const KEY_HEADER: &str = "x-shard-key";

/// The digest of a message's key; 0 if it has none. The first of these that is text, an integer
/// or a truth is the key: its own header, the header that the queue names, its group.
pub fn digest(shards: &Shards, message: &dyn MessageView) -> u32 {
    let named = shards.key_header.as_deref();
    let headers = [Some(KEY_HEADER), named].into_iter().flatten();
    let found = headers.map(|name| message.header(name)).find_map(digest_of);
    found
        .or_else(|| digest_of(message.property(Property::GroupId)))
        .unwrap_or(0)
}

/// Text of so many bytes is hashed at once.
const SHORT_BYTES: usize = 63;

fn digest_of(key: Option<Operand<'_>>) -> Option<u32> {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    let digest = match key? {
        Operand::Text(text) if text.len() <= SHORT_BYTES => {
            let mut bytes = [1; SHORT_BYTES + 1];
            bytes[1..=text.len()].copy_from_slice(text);
            hasher.hash(&bytes[..=text.len()])
        }
        Operand::Text(text) => {
            hasher.write_u8(1);
            hasher.write(text);
            hasher.finish()
        }
        Operand::Integer(number) => {
            let mut bytes = [2; 9];
            bytes[1..].copy_from_slice(&number.to_le_bytes());
            hasher.hash(&bytes)
        }
        Operand::Bool(truth) => hasher.hash(&[3, u8::from(truth)]),
        Operand::Float(_) => return None,
    };
    Some((digest as u32).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Value};

    fn shards(key_header: Option<&str>) -> Shards {
        Shards {
            count: 16,
            key_header: key_header.map(str::to_owned),
        }
    }

    fn message(headers: &[(&str, Value)]) -> Arguments {
        let mut message = Arguments::new();
        for (name, value) in headers {
            message.insert(*name, value.clone());
        }
        message
    }

    fn text(text: &str) -> Value {
        Value::Str(text.as_bytes().to_vec())
    }

    /// A message of a group, with headers.
    struct Grouped(Arguments);

    impl MessageView for Grouped {
        fn headers(&self) -> std::borrow::Cow<'_, Arguments> {
            self.0.headers()
        }

        fn header(&self, name: &str) -> Option<Operand<'_>> {
            self.0.header(name)
        }

        fn property(&self, property: Property) -> Option<Operand<'_>> {
            (property == Property::GroupId).then_some(Operand::Text(b"group"))
        }
    }

    #[test]
    fn a_key_has_the_same_digest_for_ever() {
        let values = [
            text("customer-17"),
            text(""),
            Value::I32(17),
            Value::Bool(true),
        ];
        let found = values.map(|value| digest(&shards(None), &message(&[(KEY_HEADER, value)])));
        assert_eq!(found, [1992361962, 528826605, 3090092371, 1801716625]);
    }

    #[test]
    fn a_short_key_is_hashed_as_a_long_one_is() {
        for length in [0, 1, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1] {
            let text = vec![b'k'; length];
            let mut hasher = SipHasher13::new_with_keys(0, 0);
            hasher.write(&[1]);
            hasher.write(&text);
            let expected = (hasher.finish() as u32).max(1);
            assert_eq!(
                digest_of(Some(Operand::Text(&text))),
                Some(expected),
                "{length}"
            );
        }
    }

    #[test]
    fn equal_numbers_are_one_key_and_text_is_another() {
        let of = |value| digest(&shards(None), &message(&[(KEY_HEADER, value)]));
        let seven = of(Value::I8(7));
        for same in [Value::I16(7), Value::I32(7), Value::I64(7), Value::U8(7)] {
            assert_eq!(of(same), seven);
        }
        assert_ne!(of(text("7")), seven);
        assert_ne!(of(Value::I64(-7)), seven);
        assert_ne!(of(Value::Bool(true)), of(Value::I8(1)));
    }

    #[test]
    fn the_first_of_its_header_the_named_one_and_the_group_counts() {
        let key = |value| digest(&shards(None), &message(&[(KEY_HEADER, value)]));
        let (own, named) = ((KEY_HEADER, text("own")), ("tenant", text("named")));
        for (headers, queue, expected) in [
            (vec![own.clone(), named.clone()], Some("tenant"), "own"),
            (vec![named.clone()], Some("tenant"), "named"),
            (vec![named.clone()], Some("Tenant"), "group"),
            (vec![named.clone()], None, "group"),
            (
                vec![(KEY_HEADER, Value::F64(1.5)), named.clone()],
                Some("tenant"),
                "named",
            ),
            (
                vec![(KEY_HEADER, Value::Table(Arguments::new()))],
                None,
                "group",
            ),
        ] {
            let found = digest(&shards(queue), &Grouped(message(&headers)));
            assert_eq!(found, key(text(expected)), "{headers:?} {queue:?}");
        }
        assert_eq!(digest(&shards(None), &message(&[])), 0, "nothing is no key");
        let float = message(&[(KEY_HEADER, Value::F64(1.5))]);
        assert_eq!(digest(&shards(None), &float), 0);
    }
}
