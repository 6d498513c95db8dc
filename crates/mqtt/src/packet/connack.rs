//! CONNACK: whether a client may.
//!
//! ```text
//! | flags u8: session present 1 | reason code u8, or return code | properties (5) |
//! ```
//!
//! Invariant: what is written has no session present if the reason is a failure.

use crate::error::{DecodeError, ErrorKind};
use crate::frame::{PacketType, put_header};
use crate::properties::{self, For, Properties};
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// The answer to a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether there was a session.
    pub session_present: bool,
    /// Whether the client may. MQTT 3 has six of the codes; others become what comes nearest.
    pub reason: ReasonCode,
    /// What the server offers and wants.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    /// A refusal without properties.
    #[must_use]
    pub const fn refusal(reason: ReasonCode) -> Connack<'static> {
        Connack {
            session_present: false,
            reason,
            properties: Properties::EMPTY,
        }
    }

    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.u8().ok_or(DecodeError::TRUNCATED)?;
        let code = reader.u8().ok_or(DecodeError::TRUNCATED)?;
        let reason = if version.is_5() {
            ReasonCode::from_byte(code).filter(|reason| reason.is_of(PacketType::Connack))
        } else {
            ReasonCode::from_connack_return_code(code)
        };
        let bad_reason = DecodeError::protocol(ErrorKind::BadReason(code), "MQTT-3.2.2-8");
        let reason = reason.ok_or(bad_reason)?;
        let present = flags & 1 != 0;
        // In MQTT 3.1 the byte means nothing.
        if version != Version::V3 {
            if flags > 1 {
                let kind = ErrorKind::BadConnackFlags;
                return Err(DecodeError::malformed(kind, "MQTT-3.2.2-1"));
            }
            if present && reason != ReasonCode::Success {
                let kind = ErrorKind::BadConnackFlags;
                return Err(DecodeError::protocol(kind, "MQTT-3.2.2-6"));
            }
        }
        let mut block = Properties::EMPTY;
        if version.is_5() {
            block = properties::read_block(&mut reader, For::Connack)?;
        }
        reader.end()?;
        Ok(Self {
            session_present: present && version != Version::V3,
            reason,
            properties: block,
        })
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) {
        let may_be_present = version != Version::V3 && self.reason == ReasonCode::Success;
        let flags = u8::from(self.session_present && may_be_present);
        if version.is_5() {
            let body_bytes = 2 + properties::block_bytes(self.properties);
            put_header(out, PacketType::Connack, body_bytes);
            out.extend_from_slice(&[flags, self.reason.byte()]);
            properties::put_block(out, self.properties);
        } else {
            put_header(out, PacketType::Connack, 2);
            out.extend_from_slice(&[flags, self.reason.connack_return_code()]);
        }
    }
}
