//! The stored form of a message: a fixed head, then names, properties and body as received.
//!
//! ```text
//!  0        1       2          3              4                 6     8              16       24
//!  | format | flags | priority | exchange len | routing key len | 0.. | published ms | ttl ms |
//!  24           28       32            ..    ..         ..            ..           ..
//!  | properties | body   | deliver at? | id? | exchange | routing key | properties | body |
//!  |   length   | length |  (8 bytes)  | (16)|
//! ```
//!
//! Integers are little-endian; the length of the routing key has two bytes. The same bytes stand in
//! a burst, in memory, and as the payload of a body record in the log, so that moving a message
//! between them is one copy.
//!
//! Invariants
//! - `Message::parse` accepts exactly what `Draft::encode` makes; a `Message` can be read without
//!   further checks.
//! - Properties and body are the bytes of the publisher, in the format that the tag names.
//!
//! Not here: what properties mean (the door of the format), where the bytes are kept.

use crate::Millis;
use crate::routing::ROUTING_KEY_BYTES_MAX;

/// Where a record is in the log, as a plain number; [`NOT_LOGGED`] for none.
pub type Position = u64;

/// The position of what is not in the log.
pub const NOT_LOGGED: Position = 0;

/// Properties and body as AMQP 0-9-1 content (flags and values as on the wire).
pub const FORMAT_AMQP091: u8 = 1;

/// Properties as MQTT has them, with what the broker must know of the publish before them; the body
/// is the payload. The block is drawn in the gateway's `mqtt::block`.
pub const FORMAT_MQTT: u8 = 2;

const HEAD_BYTES: usize = 32;
const FLAG_PERSISTENT: u8 = 1;
const FLAG_DEAD_LETTERED: u8 = 2;
const FLAG_DELAYED: u8 = 4;
const FLAG_IDENTIFIED: u8 = 8;
const TTL_NONE: u64 = u64::MAX;
const DELIVER_AT_BYTES: usize = 8;
const ID_BYTES: usize = 16;

/// What tells messages apart that must not be stored twice: a digest of the publisher's id.
pub type IdBytes = [u8; ID_BYTES];

/// A message on its way in, before it has its stored form. The default is transient, for the
/// default exchange, and says nothing; its format has to be set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Draft<'a> {
    /// Format of `properties` and `body`, for example [`FORMAT_AMQP091`].
    pub format: u8,
    /// Whether the publisher asked for it to outlive the broker.
    pub persistent: bool,
    /// Whether the broker wrote a history of deaths into its headers.
    pub dead_lettered: bool,
    /// Priority as published; a queue caps it at its own maximum.
    pub priority: u8,
    /// Time to live from when it is ready, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// When the broker took it.
    pub published_ms: Millis,
    /// Before when its queues keep it back; none if it is ready at once.
    pub deliver_at: Option<Millis>,
    /// Its identity, if one of its queues wants to know.
    pub id: Option<IdBytes>,
    /// Exchange that it was published to, at most 255 bytes.
    pub exchange: &'a [u8],
    /// Routing key, at most [`ROUTING_KEY_BYTES_MAX`] bytes.
    pub routing_key: &'a [u8],
    /// Properties as received.
    pub properties: &'a [u8],
    /// Body as received.
    pub body: &'a [u8],
}

impl Draft<'_> {
    /// Appends the stored form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(
            self.exchange.len() <= 255,
            "an exchange name is a short string"
        );
        assert!(
            self.routing_key.len() <= ROUTING_KEY_BYTES_MAX,
            "the length of a routing key fits into two bytes"
        );
        let mut head = [0u8; HEAD_BYTES];
        head[0] = self.format;
        head[1] = u8::from(self.persistent) * FLAG_PERSISTENT
            + u8::from(self.dead_lettered) * FLAG_DEAD_LETTERED
            + u8::from(self.deliver_at.is_some()) * FLAG_DELAYED
            + u8::from(self.id.is_some()) * FLAG_IDENTIFIED;
        head[2] = self.priority;
        head[3] = self.exchange.len() as u8;
        head[4..6].copy_from_slice(&(self.routing_key.len() as u16).to_le_bytes());
        head[8..16].copy_from_slice(&self.published_ms.to_le_bytes());
        let ttl_ms = self.ttl_ms.map_or(TTL_NONE, |ttl| ttl.min(TTL_NONE - 1));
        head[16..24].copy_from_slice(&ttl_ms.to_le_bytes());
        head[24..28].copy_from_slice(&(self.properties.len() as u32).to_le_bytes());
        head[28..32].copy_from_slice(&(self.body.len() as u32).to_le_bytes());
        out.reserve(self.encoded_len());
        out.extend_from_slice(&head);
        if let Some(deliver_at) = self.deliver_at {
            out.extend_from_slice(&deliver_at.to_le_bytes());
        }
        if let Some(id) = &self.id {
            out.extend_from_slice(id);
        }
        out.extend_from_slice(self.exchange);
        out.extend_from_slice(self.routing_key);
        out.extend_from_slice(self.properties);
        out.extend_from_slice(self.body);
    }

    /// Length of the stored form, in bytes.
    pub fn encoded_len(&self) -> usize {
        HEAD_BYTES
            + usize::from(self.deliver_at.is_some()) * DELIVER_AT_BYTES
            + usize::from(self.id.is_some()) * ID_BYTES
            + self.exchange.len()
            + self.routing_key.len()
            + self.properties.len()
            + self.body.len()
    }
}

/// A message in its stored form.
#[derive(Clone, Copy)]
pub struct Message<'a>(&'a [u8]);

/// The bytes are not a message in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are not a stored message")]
pub struct NotAMessage(pub usize);

impl<'a> Message<'a> {
    /// Reads a stored form; the lengths must add up to all of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, NotAMessage> {
        if bytes.len() < HEAD_BYTES {
            return Err(NotAMessage(bytes.len()));
        }
        let message = Message(bytes);
        let announced = message.names_at() as u64
            + u64::from(bytes[3])
            + message.routing_key_len() as u64
            + u64::from(message.properties_len())
            + u64::from(message.body_len());
        if announced == bytes.len() as u64 {
            Ok(message)
        } else {
            Err(NotAMessage(bytes.len()))
        }
    }

    fn u32_at(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.0[offset..offset + 4].try_into().expect("four bytes"))
    }

    /// Where the exchange's name starts.
    fn names_at(&self) -> usize {
        HEAD_BYTES
            + usize::from(self.0[1] & FLAG_DELAYED != 0) * DELIVER_AT_BYTES
            + usize::from(self.0[1] & FLAG_IDENTIFIED != 0) * ID_BYTES
    }

    fn routing_key_len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[4], self.0[5]]))
    }

    fn properties_len(&self) -> u32 {
        self.u32_at(24)
    }

    /// Length of the body, in bytes.
    pub fn body_len(&self) -> u32 {
        self.u32_at(28)
    }

    /// The whole stored form.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Format of properties and body.
    pub fn format(&self) -> u8 {
        self.0[0]
    }

    /// Whether the publisher asked for it to outlive the broker.
    pub fn persistent(&self) -> bool {
        self.0[1] & FLAG_PERSISTENT != 0
    }

    /// Whether the broker wrote a history of deaths into its headers.
    pub fn dead_lettered(&self) -> bool {
        self.0[1] & FLAG_DEAD_LETTERED != 0
    }

    /// Priority as published.
    pub fn priority(&self) -> u8 {
        self.0[2]
    }

    /// When the broker took it.
    pub fn published_ms(&self) -> Millis {
        u64::from_le_bytes(self.0[8..16].try_into().expect("eight bytes"))
    }

    /// Its own time to live, in milliseconds.
    pub fn ttl_ms(&self) -> Option<u64> {
        let ttl_ms = u64::from_le_bytes(self.0[16..24].try_into().expect("eight bytes"));
        Some(ttl_ms).filter(|ttl| *ttl != TTL_NONE)
    }

    /// Before when its queues keep it back.
    pub fn deliver_at(&self) -> Option<Millis> {
        let bytes = self.0[HEAD_BYTES..].first_chunk()?;
        (self.0[1] & FLAG_DELAYED != 0).then(|| u64::from_le_bytes(*bytes))
    }

    /// Its identity, if one of its queues wanted to know.
    pub fn id(&self) -> Option<IdBytes> {
        if self.0[1] & FLAG_IDENTIFIED == 0 {
            return None;
        }
        self.0[..self.names_at()].last_chunk().copied()
    }

    /// Exchange that it was published to.
    pub fn exchange(&self) -> &'a [u8] {
        let start = self.names_at();
        &self.0[start..start + usize::from(self.0[3])]
    }

    /// Routing key that it was published with.
    pub fn routing_key(&self) -> &'a [u8] {
        let start = self.names_at() + usize::from(self.0[3]);
        &self.0[start..start + self.routing_key_len()]
    }

    /// Properties as received.
    pub fn properties(&self) -> &'a [u8] {
        let end = self.0.len() - self.body_len() as usize;
        &self.0[end - self.properties_len() as usize..end]
    }

    /// Body as received.
    pub fn body(&self) -> &'a [u8] {
        &self.0[self.0.len() - self.body_len() as usize..]
    }

    /// The draft that has this stored form, to be changed and encoded again.
    pub fn draft(&self) -> Draft<'a> {
        Draft {
            format: self.format(),
            persistent: self.persistent(),
            dead_lettered: self.dead_lettered(),
            priority: self.priority(),
            ttl_ms: self.ttl_ms(),
            published_ms: self.published_ms(),
            deliver_at: self.deliver_at(),
            id: self.id(),
            exchange: self.exchange(),
            routing_key: self.routing_key(),
            properties: self.properties(),
            body: self.body(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'a>() -> Draft<'a> {
        Draft {
            format: FORMAT_AMQP091,
            persistent: true,
            dead_lettered: true,
            priority: 7,
            ttl_ms: Some(60_000),
            published_ms: 1_700_000_000_123,
            deliver_at: Some(1_700_000_060_123),
            id: Some(*b"0123456789abcdef"),
            exchange: b"orders",
            routing_key: b"order.paid",
            properties: &[0x10, 0, 2],
            body: b"\x00\xffbody",
        }
    }

    #[test]
    fn a_stored_message_reads_back_as_drafted() {
        let mut bytes = Vec::new();
        draft().encode(&mut bytes);
        assert_eq!(bytes.len(), draft().encoded_len());
        let message = Message::parse(&bytes).unwrap();
        assert!(message.persistent());
        assert!(message.dead_lettered());
        assert_eq!(message.priority(), 7);
        assert_eq!(message.ttl_ms(), Some(60_000));
        assert_eq!(message.published_ms(), 1_700_000_000_123);
        assert_eq!(message.deliver_at(), Some(1_700_000_060_123));
        assert_eq!(message.id(), Some(*b"0123456789abcdef"));
        assert_eq!(message.exchange(), b"orders");
        assert_eq!(message.routing_key(), b"order.paid");
        assert_eq!(message.properties(), &[0x10, 0, 2]);
        assert_eq!(message.body(), b"\x00\xffbody");
        let mut again = Vec::new();
        message.draft().encode(&mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn a_long_routing_key_reads_back_and_a_short_one_takes_the_same_head() {
        for len in [0, 1, 255, 256, 257, 4096, ROUTING_KEY_BYTES_MAX] {
            let key = vec![b'k'; len];
            let draft = Draft {
                routing_key: &key,
                ..draft()
            };
            let mut stored = Vec::new();
            draft.encode(&mut stored);
            assert_eq!(stored[4..6], (len as u16).to_le_bytes());
            let message = Message::parse(&stored).unwrap();
            assert_eq!(message.routing_key(), key);
            assert_eq!(
                (message.exchange(), message.body()),
                (&b"orders"[..], draft.body)
            );
        }
    }

    #[test]
    fn what_was_not_asked_for_takes_no_room() {
        for (deliver_at, id, bytes) in [
            (None, None, 0),
            (Some(5), None, 8),
            (None, Some([7; 16]), 16),
        ] {
            let draft = Draft {
                deliver_at,
                id,
                ..draft()
            };
            let mut stored = Vec::new();
            draft.encode(&mut stored);
            let message = Message::parse(&stored).unwrap();
            assert_eq!((message.deliver_at(), message.id()), (deliver_at, id));
            assert_eq!(message.exchange(), b"orders");
            assert_eq!(message.names_at(), HEAD_BYTES + bytes);
        }
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_refused() {
        let mut bytes = Vec::new();
        draft().encode(&mut bytes);
        for len in 0..bytes.len() {
            assert!(Message::parse(&bytes[..len]).is_err(), "cut at {len}");
        }
        bytes.push(0);
        assert!(Message::parse(&bytes).is_err());
    }
}
