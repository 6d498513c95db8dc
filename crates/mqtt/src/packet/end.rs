//! DISCONNECT and AUTH.
//!
//! ```text
//! | reason code u8 | properties |
//! ```
//!
//! Invariants
//! - Either part may be left out from the end, if it says nothing: success, no properties.
//! - In MQTT 3 a DISCONNECT is empty and comes from clients only, and there is no AUTH.

use super::Sender;
use crate::error::{DecodeError, ErrorKind};
use crate::frame::{PacketType, put_header};
use crate::properties::{self, For, Properties};
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// The last packet of who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// Why, and what then.
    pub properties: Properties<'a>,
}

/// A step of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Which step.
    pub reason: ReasonCode,
    /// Method, data, why.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// Without properties.
    #[must_use]
    pub const fn new(reason: ReasonCode) -> Disconnect<'static> {
        Disconnect {
            reason,
            properties: Properties::EMPTY,
        }
    }

    pub(super) fn decode(
        body: &'a [u8],
        version: Version,
        sender: Sender,
    ) -> Result<Self, DecodeError> {
        if !version.is_5() {
            Reader::new(body).end()?;
            return Ok(Disconnect::new(ReasonCode::Success));
        }
        let place = match sender {
            Sender::Client => For::Disconnect,
            Sender::Server => For::ServerDisconnect,
        };
        let (reason, properties) = decode(body, PacketType::Disconnect, sender, place)?;
        Ok(Self { reason, properties })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) {
        if version.is_5() {
            write(out, PacketType::Disconnect, self.reason, self.properties);
        } else {
            put_header(out, PacketType::Disconnect, 0);
        }
    }
}

impl<'a> Auth<'a> {
    pub(super) fn decode(body: &'a [u8], sender: Sender) -> Result<Self, DecodeError> {
        let (reason, properties) = decode(body, PacketType::Auth, sender, For::Auth)?;
        Ok(Self { reason, properties })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        write(out, PacketType::Auth, self.reason, self.properties);
    }
}

fn decode<'a>(
    body: &'a [u8],
    packet_type: PacketType,
    sender: Sender,
    place: For,
) -> Result<(ReasonCode, Properties<'a>), DecodeError> {
    let mut reader = Reader::new(body);
    let byte = reader.u8().unwrap_or(ReasonCode::Success.byte());
    let reason = ReasonCode::from_byte(byte).filter(|reason| match sender {
        Sender::Client => reason.is_of_client(packet_type),
        Sender::Server => reason.is_of_server(packet_type),
    });
    let statement = match packet_type {
        PacketType::Auth => "MQTT-3.15.2-1",
        _ => "MQTT-3.14.2-1",
    };
    let bad_reason = DecodeError::protocol(ErrorKind::BadReason(byte), statement);
    let reason = reason.ok_or(bad_reason)?;
    if reader.is_empty() {
        return Ok((reason, Properties::parse(&[], place)?));
    }
    let block = properties::read_block(&mut reader, place)?;
    reader.end()?;
    Ok((reason, block))
}

fn write(out: &mut Vec<u8>, packet_type: PacketType, reason: ReasonCode, block: Properties<'_>) {
    if block.is_empty() && reason == ReasonCode::Success {
        put_header(out, packet_type, 0);
    } else if block.is_empty() {
        put_header(out, packet_type, 1);
        out.push(reason.byte());
    } else {
        put_header(out, packet_type, 1 + properties::block_bytes(block));
        out.push(reason.byte());
        properties::put_block(out, block);
    }
}
