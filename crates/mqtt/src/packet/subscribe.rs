//! SUBSCRIBE: filters, and what is wanted of each.
//!
//! ```text
//! | packet id u16 | properties (5) | filter, options u8 | filter, options u8 | ...
//! options: QoS 3, no local 4, retain as published 8, retain handling 30, reserved C0
//! ```
//!
//! Invariants
//! - A list has one filter at least; each is one that [`topic::check_filter`] accepts, and in
//!   MQTT 5 one that begins with `$share/` is a shared one.
//! - In MQTT 3 the options are the quality alone.

use crate::error::{DecodeError, ErrorKind, GENERAL};
use crate::frame::{PacketType, put_header};
use crate::properties::{self, For, Properties};
use crate::topic;
use crate::version::{Qos, Version};
use crate::wire::{Reader, put_bytes};

const NO_LOCAL: u8 = 4;
const RETAIN_AS_PUBLISHED: u8 = 8;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0xC0;

/// Which retained messages a subscription brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RetainHandling {
    /// All that match.
    #[default]
    Send = 0,
    /// All that match, if the subscription is new.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

/// What is wanted of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscribeOptions {
    /// The highest quality of service.
    pub qos: Qos,
    /// Whether the client's own messages stay away.
    pub no_local: bool,
    /// Whether messages keep their retain flag.
    pub retain_as_published: bool,
    /// Which retained messages come.
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// The options in this byte, if there are such.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        let Some(qos) = Qos::from_bits(byte & 3) else {
            return None;
        };
        let retain_handling = match byte >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return None,
        };
        Some(Self {
            qos,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        let mut byte = self.qos.bits() | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT;
        if self.no_local {
            byte |= NO_LOCAL;
        }
        if self.retain_as_published {
            byte |= RETAIN_AS_PUBLISHED;
        }
        byte
    }
}

/// A filter and what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// The filter, as the client wrote it.
    pub filter: &'a str,
    /// What is wanted.
    pub options: SubscribeOptions,
}

/// Filters with options, as they are in a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterList<'a>(&'a [u8]);

impl<'a> FilterList<'a> {
    /// Appends filters with options to `block`, and gives what was appended. A filter must not be
    /// over 65,535 bytes.
    pub fn write<'s>(
        block: &'a mut Vec<u8>,
        subscriptions: impl IntoIterator<Item = Subscription<'s>>,
    ) -> Self {
        let start = block.len();
        for Subscription { filter, options } in subscriptions {
            put_bytes(block, filter.as_bytes());
            block.push(options.byte());
        }
        Self(&block[start..])
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Subscription<'a>> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            Some(Subscription {
                filter: std::str::from_utf8(reader.bytes()?).ok()?,
                options: SubscribeOptions::from_byte(reader.u8()?)?,
            })
        })
    }
}

/// A client wants messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Its id, for the SUBACK.
    pub packet_id: u16,
    /// The subscription identifier, and the user's own.
    pub properties: Properties<'a>,
    /// What it wants.
    pub filters: FilterList<'a>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut block = Properties::EMPTY;
        if version.is_5() {
            block = properties::read_block(&mut reader, For::Subscribe)?;
        }
        let filters = reader.rest();
        if filters.is_empty() {
            return Err(DecodeError::protocol(ErrorKind::EmptyList, "MQTT-3.8.3-2"));
        }
        while !reader.is_empty() {
            let filter = reader.text("MQTT-3.8.3-1")?;
            let options = reader.u8().ok_or(DecodeError::TRUNCATED)?;
            check_filter(filter.as_bytes(), version)?;
            check_options(filter.as_bytes(), options, version)?;
        }
        Ok(Self {
            packet_id,
            properties: block,
            filters: FilterList(filters),
        })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) {
        let is_5 = version.is_5();
        let block_bytes = if is_5 {
            properties::block_bytes(self.properties)
        } else {
            0
        };
        put_header(
            out,
            PacketType::Subscribe,
            2 + block_bytes + self.filters.0.len(),
        );
        out.extend_from_slice(&self.packet_id.to_be_bytes());
        if is_5 {
            properties::put_block(out, self.properties);
            out.extend_from_slice(self.filters.0);
            return;
        }
        for Subscription { filter, options } in self.filters.iter() {
            put_bytes(out, filter.as_bytes());
            out.push(options.qos.bits());
        }
    }
}

/// Shared subscriptions are of MQTT 5; MQTT 3 has no rule that forbids other filters to look so.
pub(super) fn check_filter(filter: &[u8], version: Version) -> Result<(), DecodeError> {
    if version.is_5() {
        topic::check_filter_or_share(filter)
    } else {
        topic::check_filter(filter)
    }
}

fn check_options(filter: &[u8], options: u8, version: Version) -> Result<(), DecodeError> {
    let protocol = |kind, statement| Err(DecodeError::protocol(kind, statement));
    if options & 3 == 3 {
        return match version {
            Version::V5 => protocol(ErrorKind::BadQos, GENERAL),
            _ => Err(DecodeError::malformed(
                ErrorKind::BadQos,
                "MQTT-3.8.3-4 (3.1.1)",
            )),
        };
    }
    match version {
        Version::V3 | Version::V4 if options > 2 => Err(DecodeError::malformed(
            ErrorKind::BadOptions,
            "MQTT-3.8.3-4 (3.1.1)",
        )),
        Version::V3 | Version::V4 => Ok(()),
        Version::V5 if options & RESERVED != 0 => Err(DecodeError::malformed(
            ErrorKind::BadOptions,
            "MQTT-3.8.3-5",
        )),
        Version::V5 if SubscribeOptions::from_byte(options).is_none() => {
            protocol(ErrorKind::BadOptions, GENERAL)
        }
        Version::V5 if options & NO_LOCAL != 0 && filter.starts_with(topic::SHARE_PREFIX) => {
            protocol(ErrorKind::NoLocalShared, "MQTT-3.8.3-4")
        }
        Version::V5 => Ok(()),
    }
}
