//! PUBLISH: the packet that there are most of.
//!
//! ```text
//! | 0011 dup qos retain | length | topic | packet id (qos > 0) | properties (5) | payload |
//! ```
//!
//! Invariants
//! - Reading copies and allocates nothing; writing reserves once and makes no temporary buffer.
//! - The bytes written are [`publish_bytes`] many, and never more than the limit that is given.

use crate::error::{DecodeError, ErrorKind, GENERAL, TooLarge};
use crate::frame::{Frame, PacketType};
use crate::properties::{self, For, Properties, PropertyId};
use crate::text::TEXT_BYTES_MAX;
use crate::topic;
use crate::version::{Qos, Version};
use crate::wire::{Reader, VARINT_MAX, put_bytes, put_varint, varint_bytes};

const DUP: u8 = 8;
const RETAIN: u8 = 1;

/// A message as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The topic name, an MQTT string; empty if only a topic alias is given.
    pub topic: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// The packet id, zero if the quality is 0.
    pub packet_id: u16,
    /// Whether it may have been sent before.
    pub dup: bool,
    /// Whether it is retained.
    pub retain: bool,
    /// Its properties.
    pub properties: Properties<'a>,
    /// What the application sent.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads a message from a client.
    ///
    /// # Errors
    /// The topic, the packet id, the properties or the flags break a rule.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, DecodeError> {
        Self::decode_for(frame, version, For::Publish)
    }

    /// Reads a message from a server.
    ///
    /// # Errors
    /// As [`Self::decode`].
    #[inline]
    pub fn decode_from_server(frame: Frame<'a>, version: Version) -> Result<Self, DecodeError> {
        Self::decode_for(frame, version, For::Delivery)
    }

    #[inline]
    fn decode_for(frame: Frame<'a>, version: Version, place: For) -> Result<Self, DecodeError> {
        frame.check(version)?;
        let qos = Qos::from_bits(frame.flags >> 1 & 3);
        let qos = qos.ok_or(DecodeError::malformed(ErrorKind::BadQos, "MQTT-3.3.1-4"))?;
        let dup = frame.flags & DUP != 0;
        if dup && qos == Qos::AtMostOnce && version != Version::V3 {
            let kind = ErrorKind::DuplicateQos0;
            return Err(DecodeError::malformed(kind, "MQTT-3.3.1-2"));
        }
        let mut reader = Reader::new(frame.body);
        let topic = reader.bytes().ok_or(DecodeError::TRUNCATED)?;
        let packet_id = match qos {
            Qos::AtMostOnce => 0,
            _ => reader.packet_id()?,
        };
        let properties = if version.is_5() {
            properties::read_block(&mut reader, place)?
        } else {
            Properties::EMPTY
        };
        if topic.is_empty() && version.is_5() {
            if !properties.has(PropertyId::TopicAlias) {
                let kind = ErrorKind::PropertyMissing(PropertyId::TopicAlias);
                return Err(DecodeError::protocol(kind, GENERAL));
            }
        } else {
            topic::check_name(topic)?;
        }
        Ok(Self {
            topic,
            qos,
            packet_id,
            dup,
            retain: frame.flags & RETAIN != 0,
            properties,
            payload: reader.rest(),
        })
    }

    /// Whether the payload is what its format indicator says; true if there is none.
    #[must_use]
    pub fn payload_is_as_said(&self) -> bool {
        let is_text = self.properties.payload_format() == Some(true);
        !is_text || std::str::from_utf8(self.payload).is_ok()
    }

    /// Appends it with all its properties, as a client does.
    ///
    /// # Errors
    /// It is larger than any packet may be; nothing is written.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) -> Result<(), TooLarge> {
        let head = PublishHead {
            topic: self.topic,
            qos: self.qos,
            packet_id: self.packet_id,
            dup: self.dup,
            retain: self.retain,
        };
        let forward = Forward {
            kept: self.properties,
            drops: 0,
            ..Forward::NONE
        };
        write_publish(out, version, &head, &forward, self.payload, u32::MAX)
    }
}

/// A message on its way out: all but properties and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishHead<'a> {
    /// The topic name; empty if a topic alias stands for it.
    pub topic: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// The packet id; not looked at if the quality is 0.
    pub packet_id: u16,
    /// Whether it may have been sent before.
    pub dup: bool,
    /// Whether it is a retained one.
    pub retain: bool,
}

/// Properties of a message on its way out: those that came with it, but for expiry, topic alias
/// and subscription identifiers, which are each delivery's own.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    kept: Properties<'a>,
    drops: u64,
    /// Seconds that are left.
    pub message_expiry: Option<u32>,
    /// The number that stands for the topic, not zero.
    pub topic_alias: Option<u16>,
    /// Identifiers of the subscriptions that let it through, none of them zero.
    pub subscription_ids: &'a [u32],
}

impl<'a> Forward<'a> {
    /// No properties.
    pub const NONE: Forward<'static> = Forward {
        kept: Properties::EMPTY,
        drops: PropertyId::MessageExpiryInterval.bit()
            | PropertyId::TopicAlias.bit()
            | PropertyId::SubscriptionIdentifier.bit(),
        message_expiry: None,
        topic_alias: None,
        subscription_ids: &[],
    };

    /// The properties that came with a message, without those that are each delivery's own.
    #[inline]
    #[must_use]
    pub const fn of(received: Properties<'a>) -> Self {
        Self {
            kept: received,
            ..Forward::NONE
        }
    }

    /// Bytes of the block, without its length.
    #[inline]
    fn block_bytes(&self) -> usize {
        let ids = self.subscription_ids.iter();
        properties::bytes_without(self.kept, self.drops)
            + self.message_expiry.map_or(0, |_| 5)
            + self.topic_alias.map_or(0, |_| 3)
            + ids.map(|id| 1 + varint_bytes(*id)).sum::<usize>()
    }

    /// Appends the block, without its length.
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(seconds) = self.message_expiry {
            out.push(PropertyId::MessageExpiryInterval as u8);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        if let Some(alias) = self.topic_alias {
            out.push(PropertyId::TopicAlias as u8);
            out.extend_from_slice(&alias.to_be_bytes());
        }
        for id in self.subscription_ids {
            out.push(PropertyId::SubscriptionIdentifier as u8);
            put_varint(out, *id);
        }
        properties::put_without(out, self.kept, self.drops);
    }
}

/// Lengths inside a PUBLISH.
struct Sizes {
    block: usize,
    body: u32,
}

#[inline]
fn sizes(
    version: Version,
    head: &PublishHead<'_>,
    forward: &Forward<'_>,
    payload_bytes: usize,
) -> Option<Sizes> {
    if head.topic.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut body = 2 + head.topic.len() + payload_bytes;
    if head.qos != Qos::AtMostOnce {
        body += 2;
    }
    let mut block = 0;
    if version.is_5() {
        block = forward.block_bytes();
        body += block + varint_bytes(u32::try_from(block).ok()?);
    }
    let body = u32::try_from(body)
        .ok()
        .filter(|body| *body <= VARINT_MAX)?;
    Some(Sizes { block, body })
}

/// Bytes of a whole PUBLISH; `None` if MQTT has no packet that large.
#[inline]
#[must_use]
pub fn publish_bytes(
    version: Version,
    head: &PublishHead<'_>,
    forward: &Forward<'_>,
    payload_bytes: usize,
) -> Option<usize> {
    let Sizes { body, .. } = sizes(version, head, forward, payload_bytes)?;
    Some(1 + varint_bytes(body) + body as usize)
}

/// Appends a PUBLISH. MQTT 3 has no properties. `packet_bytes_max` is what the peer takes.
///
/// # Errors
/// The packet would be over that limit, or that of MQTT; nothing is written.
#[inline]
pub fn write_publish(
    out: &mut Vec<u8>,
    version: Version,
    head: &PublishHead<'_>,
    forward: &Forward<'_>,
    payload: &[u8],
    packet_bytes_max: u32,
) -> Result<(), TooLarge> {
    let Sizes { block, body } = sizes(version, head, forward, payload.len()).ok_or(TooLarge)?;
    let size = 1 + varint_bytes(body) + body as usize;
    if size as u64 > u64::from(packet_bytes_max) {
        return Err(TooLarge);
    }
    let expected = out.len() + size;
    out.reserve(size);
    let mut first = PacketType::Publish.first_byte() | (head.qos.bits() << 1);
    if head.dup {
        first |= DUP;
    }
    if head.retain {
        first |= RETAIN;
    }
    out.push(first);
    put_varint(out, body);
    put_bytes(out, head.topic);
    if head.qos != Qos::AtMostOnce {
        debug_assert_ne!(head.packet_id, 0);
        out.extend_from_slice(&head.packet_id.to_be_bytes());
    }
    if version.is_5() {
        // Smaller than the body, whose length fits.
        put_varint(out, block as u32);
        forward.put(out);
    }
    out.extend_from_slice(payload);
    debug_assert_eq!(out.len(), expected);
    Ok(())
}

#[cfg(test)]
mod tests;
