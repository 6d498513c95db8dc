//! PUBACK, PUBREC, PUBREL and PUBCOMP, which are alike.
//!
//! ```text
//! | packet id u16 | reason code u8 | properties |
//! ```
//!
//! Invariant: reason code and properties are there in MQTT 5 only, and may be left out there: the
//! properties if there are none, both if the reason is success, too.

use crate::error::{DecodeError, ErrorKind};
use crate::frame::{PacketType, put_header};
use crate::properties::{self, For, Properties};
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// What the four have in common.
type Fields<'a> = (u16, ReasonCode, Properties<'a>);

fn decode<'a>(
    body: &'a [u8],
    version: Version,
    packet_type: PacketType,
    statement: &'static str,
) -> Result<Fields<'a>, DecodeError> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    if reader.is_empty() || !version.is_5() {
        reader.end()?;
        return Ok((packet_id, ReasonCode::Success, Properties::EMPTY));
    }
    let byte = reader.u8().ok_or(DecodeError::TRUNCATED)?;
    let reason = ReasonCode::from_byte(byte).filter(|reason| reason.is_of(packet_type));
    let reason = reason.ok_or(DecodeError::protocol(ErrorKind::BadReason(byte), statement))?;
    let mut block = Properties::EMPTY;
    if !reader.is_empty() {
        block = properties::read_block(&mut reader, For::PublishAck)?;
        reader.end()?;
    }
    Ok((packet_id, reason, block))
}

#[inline]
fn write(out: &mut Vec<u8>, version: Version, packet_type: PacketType, fields: Fields<'_>) {
    let (packet_id, reason, block) = fields;
    let is_short = !version.is_5() || (reason == ReasonCode::Success && block.is_empty());
    if is_short {
        let [high, low] = packet_id.to_be_bytes();
        out.extend_from_slice(&[packet_type.first_byte(), 2, high, low]);
        return;
    }
    let block_bytes = match block.is_empty() {
        true => 0,
        false => properties::block_bytes(block),
    };
    put_header(out, packet_type, 3 + block_bytes);
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.push(reason.byte());
    if !block.is_empty() {
        properties::put_block(out, block);
    }
}

macro_rules! acks {
    ($($(#[doc = $doc:literal])+ $name:ident, $statement:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a> {
            /// Id of the message.
            pub packet_id: u16,
            /// What became of it. MQTT 3 can only say success.
            pub reason: ReasonCode,
            /// Why.
            pub properties: Properties<'a>,
        }

        impl $name<'static> {
            /// Success, without properties.
            #[inline]
            #[must_use]
            pub const fn success(packet_id: u16) -> Self {
                Self::new(packet_id, ReasonCode::Success)
            }

            /// Without properties.
            #[inline]
            #[must_use]
            pub const fn new(packet_id: u16, reason: ReasonCode) -> Self {
                Self {
                    packet_id,
                    reason,
                    properties: Properties::EMPTY,
                }
            }
        }

        impl<'a> $name<'a> {
            pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
                let (packet_id, reason, properties) =
                    decode(body, version, PacketType::$name, $statement)?;
                Ok(Self { packet_id, reason, properties })
            }

            /// Appends it.
            #[inline]
            pub fn write(&self, out: &mut Vec<u8>, version: Version) {
                let fields = (self.packet_id, self.reason, self.properties);
                write(out, version, PacketType::$name, fields);
            }
        }
    )+};
}

acks! {
    /// Quality 1: the message is taken, or refused.
    Puback, "MQTT-3.4.2-1";
    /// Quality 2, first answer: the message is taken, or refused.
    Pubrec, "MQTT-3.5.2-1";
    /// Quality 2, the sender's second packet: the id may be forgotten.
    Pubrel, "MQTT-3.6.2-1";
    /// Quality 2, last answer: the id is forgotten.
    Pubcomp, "MQTT-3.7.2-1";
}
