//! What is stored of an MQTT publish beside its payload: the properties of
//! [`ferry_core::message::FORMAT_MQTT`].
//!
//! ```text
//!  0       1                9                    13
//!  | flags | publisher (u64) | properties length | properties ... | headers ... |
//! ```
//!
//! Integers are little-endian. The flags stand where a PUBLISH has them: 1 retain, 2 and 4 the
//! QoS; 16 says that the publisher spoke MQTT 5, 32 that it was retained and is sent again.
//! Properties are those of MQTT 5 as they were received, but for a topic alias, which means
//! nothing outside of its connection. Headers are an AMQP table: what the broker itself added, for
//! example a history of deaths; most have none.
//!
//! Invariants
//! - A block that was read can be used without further checks, whatever its bytes: properties are
//!   read as far as they make sense, headers nest no deeper than those of a publish by AMQP.
//! - What is written was checked by the codec before.
//! - The digest of a publisher is the same in every run and release: it is stored.

use std::borrow::Cow;
use std::hash::Hasher;

use amqp091::RawTable;
use mqtt::{For, Properties, PropertyId, write_properties};
use siphasher::sip::SipHasher13;

const RETAIN: u8 = 1;
const QOS_SHIFT: u8 = 1;
const QOS_MASK: u8 = 3;
const V5: u8 = 16;
const REPLAY: u8 = 32;
const KNOWN: u8 = RETAIN | (QOS_MASK << QOS_SHIFT) | V5 | REPLAY;

const HEAD_BYTES: usize = 13;

/// The highest QoS.
const QOS_MAX: u8 = 2;

/// A publish by MQTT, but for its topic and payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    /// Whether it was published to be retained.
    pub(crate) retain: bool,
    /// Whether it is one that was retained, on its way to somebody who has subscribed since.
    pub(crate) is_replay: bool,
    /// As published: 0, 1 or 2.
    pub(crate) qos: u8,
    /// Whether its publisher spoke MQTT 5.
    pub(crate) v5: bool,
    /// Who published it, by [`publisher_digest`]; 0 for nobody.
    pub(crate) publisher: u64,
    /// Its properties; none of an older version.
    pub(crate) properties: Properties<'a>,
    /// What the broker added.
    pub(crate) headers: RawTable<'a>,
}

impl<'a> Block<'a> {
    /// Reads a block; none if these bytes are not one.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Block<'a>> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let flags = head[0];
        let qos = (flags >> QOS_SHIFT) & QOS_MASK;
        if flags & !KNOWN != 0 || qos > QOS_MAX {
            return None;
        }
        let publisher = u64::from_le_bytes(head[1..9].try_into().expect("eight bytes"));
        let length = u32::from_le_bytes(head[9..].try_into().expect("four bytes"));
        let (properties, headers) = rest.split_at_checked(length as usize)?;
        let headers = RawTable::new(headers);
        if !headers.is_empty() {
            headers.validate().ok()?;
        }
        Some(Block {
            retain: flags & RETAIN != 0,
            is_replay: flags & REPLAY != 0,
            qos,
            v5: flags & V5 != 0,
            publisher,
            properties: Properties::from_checked(properties),
            headers,
        })
    }

    /// Reads a block that this broker may not have made; none if a publish could not have made it.
    pub(crate) fn check(bytes: &'a [u8]) -> Option<Block<'a>> {
        let block = Block::parse(bytes)?;
        Properties::parse(block.properties.as_bytes(), For::Publish).ok()?;
        Some(block)
    }

    /// Appends the block. A topic alias is left out.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.qos <= QOS_MAX);
        let properties = self.forwarded();
        let length = u32::try_from(properties.len()).expect("a packet is shorter than 256 MiB");
        out.reserve(HEAD_BYTES + properties.len() + self.headers.as_bytes().len());
        let (retain, v5) = (u8::from(self.retain) * RETAIN, u8::from(self.v5) * V5);
        let replay = u8::from(self.is_replay) * REPLAY;
        out.push(retain | v5 | replay | ((self.qos & QOS_MASK) << QOS_SHIFT));
        out.extend_from_slice(&self.publisher.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&properties);
        out.extend_from_slice(self.headers.as_bytes());
    }

    /// The properties but for a topic alias.
    fn forwarded(&self) -> Cow<'a, [u8]> {
        if !self.properties.has(PropertyId::TopicAlias) {
            return Cow::Borrowed(self.properties.as_bytes());
        }
        let mut out = Vec::with_capacity(self.properties.as_bytes().len());
        write_properties(&mut out, |writer| {
            writer.copy(self.properties, &[PropertyId::TopicAlias]);
        });
        Cow::Owned(out)
    }
}

/// What a client id is remembered as; never 0.
pub(crate) fn publisher_digest(client_id: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(client_id);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<'a>(properties: &'a [u8], headers: &'a [u8]) -> Block<'a> {
        Block {
            retain: true,
            is_replay: false,
            qos: 2,
            v5: true,
            publisher: 0x0102_0304_0506_0708,
            properties: Properties::from_checked(properties),
            headers: RawTable::new(headers),
        }
    }

    #[test]
    fn a_block_reads_back_as_it_was_written() {
        for (properties, headers) in [
            (&b""[..], &b""[..]),
            (b"\x01\x01", b""),
            (b"", b"\x01kt\x01"),
            (b"\x26\0\x01a\0\x01b", b"\x01kt\x01"),
        ] {
            let mut bytes = Vec::new();
            block(properties, headers).write(&mut bytes);
            assert_eq!(bytes.len(), HEAD_BYTES + properties.len() + headers.len());
            let read = Block::check(&bytes).unwrap();
            assert_eq!((read.retain, read.qos, read.v5), (true, 2, true));
            assert_eq!(read.publisher, 0x0102_0304_0506_0708);
            assert_eq!(read.properties.as_bytes(), properties);
            assert_eq!(read.headers.as_bytes(), headers);
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_drawing() {
        let mut bytes = Vec::new();
        block(b"\x01\x01", b"\x01kt\x01").write(&mut bytes);
        let expected = b"\x15\x08\x07\x06\x05\x04\x03\x02\x01\x02\0\0\0\x01\x01\x01kt\x01";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_topic_alias_is_not_stored() {
        let mut bytes = Vec::new();
        block(b"\x01\x01\x23\0\x05", b"").write(&mut bytes);
        assert_eq!(
            Block::parse(&bytes).unwrap().properties.as_bytes(),
            b"\x01\x01"
        );
    }

    #[test]
    fn what_is_no_block_is_not_read() {
        let mut good = Vec::new();
        block(b"\x01\x01", b"").write(&mut good);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        for (bad, what) in [
            (vec![], "empty"),
            (good[..HEAD_BYTES - 1].to_vec(), "cut in the head"),
            (good[..good.len() - 1].to_vec(), "cut in the properties"),
            (with(0, 0x06), "a QoS of 3"),
            (with(0, 0x40), "an unknown flag"),
            (with(12, 0xff), "properties of 4 GiB"),
            ([&good[..], b"\x09bad"].concat(), "broken headers"),
        ] {
            assert!(Block::parse(&bad).is_none(), "{what}");
        }
        let odd = with(HEAD_BYTES, 0x13);
        assert!(Block::parse(&odd).is_some() && Block::check(&odd).is_none());
    }

    #[test]
    fn a_digest_stays_what_it_is() {
        assert_ne!(publisher_digest(b"client"), publisher_digest(b"clienT"));
        assert_eq!(publisher_digest(b"client"), 4_075_198_023_331_584_577);
    }
}
