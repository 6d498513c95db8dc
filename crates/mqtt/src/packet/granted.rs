//! SUBACK and UNSUBACK: one code for each filter.
//!
//! ```text
//! | packet id u16 | properties (5) | code u8, code u8, ... (not in an UNSUBACK of MQTT 3) |
//! ```
//!
//! Invariants
//! - A list of codes has one at least, all of them codes of its packet.
//! - For MQTT 3 every failure is written as 0x80.

use crate::error::{DecodeError, ErrorKind, GENERAL};
use crate::frame::{PacketType, put_header};
use crate::properties::{self, For, Properties};
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// Reason codes, in the order of the filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonList<'a>(&'a [u8]);

impl<'a> ReasonList<'a> {
    /// Appends the codes to `block`, and gives what was appended.
    pub fn write(block: &'a mut Vec<u8>, codes: impl IntoIterator<Item = ReasonCode>) -> Self {
        let start = block.len();
        block.extend(codes.into_iter().map(ReasonCode::byte));
        Self(&block[start..])
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none, as in the UNSUBACK of MQTT 3.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(self) -> impl ExactSizeIterator<Item = ReasonCode> {
        let codes = self.0.iter();
        codes.map(|byte| ReasonCode::from_byte(*byte).expect("the list holds codes only"))
    }

    fn decode(
        bytes: &'a [u8],
        version: Version,
        packet_type: PacketType,
        statement: &'static str,
    ) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::protocol(ErrorKind::EmptyList, GENERAL));
        }
        let is_known = |byte: u8| {
            let reason = ReasonCode::from_byte(byte);
            let is_of_3 = matches!(byte, 0..=2 | 0x80);
            reason.is_some_and(|reason| reason.is_of(packet_type)) && (version.is_5() || is_of_3)
        };
        match bytes.iter().find(|byte| !is_known(**byte)) {
            None => Ok(Self(bytes)),
            Some(byte) => {
                let kind = ErrorKind::BadReason(*byte);
                Err(DecodeError::protocol(kind, statement))
            }
        }
    }
}

/// What was granted to each filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// Id of the SUBSCRIBE.
    pub packet_id: u16,
    /// Why.
    pub properties: Properties<'a>,
    /// The granted quality, or a failure, of each filter.
    pub reasons: ReasonList<'a>,
}

/// What became of each filter of an UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// Id of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// Why.
    pub properties: Properties<'a>,
    /// Success, or a failure, of each filter; empty in MQTT 3.
    pub reasons: ReasonList<'a>,
}

impl<'a> Suback<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let (packet_id, properties, codes) = decode(body, version)?;
        let statement = "MQTT-3.9.3-2";
        Ok(Self {
            packet_id,
            properties,
            reasons: ReasonList::decode(codes, version, PacketType::Suback, statement)?,
        })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) {
        put_start(
            out,
            version,
            PacketType::Suback,
            (self.packet_id, self.properties, self.reasons.len()),
        );
        if version.is_5() {
            out.extend_from_slice(self.reasons.0);
        } else {
            let codes = self.reasons.0.iter();
            out.extend(codes.map(|code| if *code < 0x80 { *code } else { 0x80 }));
        }
    }
}

impl<'a> Unsuback<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let (packet_id, properties, codes) = decode(body, version)?;
        let statement = "MQTT-3.11.3-2";
        let reasons = match (version.is_5(), codes.is_empty()) {
            (false, true) => ReasonList::default(),
            (false, false) => return Err(DecodeError::TRAILING),
            (true, _) => ReasonList::decode(codes, version, PacketType::Unsuback, statement)?,
        };
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) {
        let reasons = if version.is_5() {
            self.reasons
        } else {
            ReasonList::default()
        };
        put_start(
            out,
            version,
            PacketType::Unsuback,
            (self.packet_id, self.properties, reasons.len()),
        );
        out.extend_from_slice(reasons.0);
    }
}

fn decode(body: &[u8], version: Version) -> Result<(u16, Properties<'_>, &[u8]), DecodeError> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let mut block = Properties::EMPTY;
    if version.is_5() {
        block = properties::read_block(&mut reader, For::SubscribeAck)?;
    }
    Ok((packet_id, block, reader.rest()))
}

/// Appends all but the codes: packet id and properties, and room for so many codes.
fn put_start(
    out: &mut Vec<u8>,
    version: Version,
    packet_type: PacketType,
    (packet_id, block, codes): (u16, Properties<'_>, usize),
) {
    let block_bytes = if version.is_5() {
        properties::block_bytes(block)
    } else {
        0
    };
    put_header(out, packet_type, 2 + block_bytes + codes);
    out.extend_from_slice(&packet_id.to_be_bytes());
    if version.is_5() {
        properties::put_block(out, block);
    }
}
