//! UNSUBSCRIBE: filters that are no longer wanted.
//!
//! ```text
//! | packet id u16 | properties (5) | filter | filter | ...
//! ```
//!
//! Invariant: a list has one filter at least, each as in SUBSCRIBE.

use super::subscribe::check_filter;
use crate::error::{DecodeError, ErrorKind};
use crate::frame::{PacketType, put_header};
use crate::properties::{self, For, Properties};
use crate::version::Version;
use crate::wire::{Reader, put_bytes};

/// Filters, as they are in an UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameList<'a>(&'a [u8]);

impl<'a> NameList<'a> {
    /// Appends filters to `block`, and gives what was appended. A filter must not be over 65,535
    /// bytes.
    pub fn write<'s>(block: &'a mut Vec<u8>, filters: impl IntoIterator<Item = &'s str>) -> Self {
        let start = block.len();
        for filter in filters {
            put_bytes(block, filter.as_bytes());
        }
        Self(&block[start..])
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || std::str::from_utf8(reader.bytes()?).ok())
    }
}

/// A client no longer wants messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Its id, for the UNSUBACK.
    pub packet_id: u16,
    /// The user's own.
    pub properties: Properties<'a>,
    /// What it no longer wants.
    pub filters: NameList<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut block = Properties::EMPTY;
        if version.is_5() {
            block = properties::read_block(&mut reader, For::Unsubscribe)?;
        }
        let filters = reader.rest();
        if filters.is_empty() {
            return Err(DecodeError::protocol(ErrorKind::EmptyList, "MQTT-3.10.3-2"));
        }
        while !reader.is_empty() {
            let filter = reader.text("MQTT-3.10.3-1")?;
            check_filter(filter.as_bytes(), version)?;
        }
        Ok(Self {
            packet_id,
            properties: block,
            filters: NameList(filters),
        })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) {
        let block_bytes = if version.is_5() {
            properties::block_bytes(self.properties)
        } else {
            0
        };
        put_header(
            out,
            PacketType::Unsubscribe,
            2 + block_bytes + self.filters.0.len(),
        );
        out.extend_from_slice(&self.packet_id.to_be_bytes());
        if version.is_5() {
            properties::put_block(out, self.properties);
        }
        out.extend_from_slice(self.filters.0);
    }
}
