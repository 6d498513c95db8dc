//! CONNECT: who a client is and what it wants.
//!
//! ```text
//! | name | level u8 | flags u8 | keep-alive u16 | properties (5) | client id
//!   | will: properties (5), topic, payload | user name | password |
//! flags: user name 80, password 40, will retain 20, will QoS 18, will 4, clean 2, reserved 1
//! ```
//!
//! Invariants
//! - A packet whose name and level are not understood is refused before anything else is read.
//! - A field is there exactly if its flag is set.
//!
//! MQTT 3.1 is taken as generously as it was written: the reserved flag and those of a will that
//! is not there mean nothing, and a packet may end where user name or password were announced.

use crate::error::{DecodeError, ErrorKind};
use crate::frame::{Frame, PacketType, put_header};
use crate::properties::{self, For, Properties};
use crate::reason::ReasonCode;
use crate::topic;
use crate::version::{Qos, Version};
use crate::wire::{Reader, put_bytes};

const USER_NAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS: u8 = 0x18;
const WILL: u8 = 4;
const CLEAN_START: u8 = 2;
const RESERVED: u8 = 1;

/// What a client opens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Which MQTT it speaks.
    pub version: Version,
    /// Whether an old session is to be forgotten; MQTT 3 calls it clean session, and it then ends
    /// with the connection, too.
    pub clean_start: bool,
    /// Seconds after which the client sends something; 0 is never.
    pub keep_alive_seconds: u16,
    /// Its name; empty if the server is to choose one.
    pub client_id: &'a str,
    /// What it can and wants.
    pub properties: Properties<'a>,
    /// What is published when it is lost.
    pub will: Option<Will<'a>>,
    /// Its user.
    pub user_name: Option<&'a str>,
    /// The user's password, or whatever a method wants.
    pub password: Option<&'a [u8]>,
}

/// The message that is published when a client is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Quality of service.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// Its topic, a name.
    pub topic: &'a str,
    /// What the application says.
    pub payload: &'a [u8],
    /// Its properties.
    pub properties: Properties<'a>,
}

const fn malformed(kind: ErrorKind, statement: &'static str) -> DecodeError {
    DecodeError::malformed(kind, statement)
}

/// A packet that ends too early does not match the format.
const TRUNCATED: DecodeError = malformed(ErrorKind::Truncated, "MQTT-3.1.4-1");

impl<'a> Connect<'a> {
    /// Reads only which version a CONNECT is of: what a server needs to answer one that
    /// [`Self::decode`] refuses.
    ///
    /// # Errors
    /// Protocol name or level is of no version that is spoken here.
    pub fn version_of(body: &[u8]) -> Result<Version, DecodeError> {
        read_version(&mut Reader::new(body))
    }

    /// Reads a CONNECT.
    ///
    /// # Errors
    /// It breaks a rule. Of an unknown name or level the reason is
    /// [`ReasonCode::UnsupportedProtocolVersion`].
    pub fn decode(frame: Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let version = read_version(&mut reader)?;
        frame.check(version)?;
        let flags = reader.u8().ok_or(TRUNCATED)?;
        check_flags(flags, version)?;
        let keep_alive_seconds = reader.u16().ok_or(TRUNCATED)?;
        let properties = read_properties(&mut reader, version, For::Connect)?;
        let client_id = reader.text("MQTT-3.1.3-4")?;
        let clean_start = flags & CLEAN_START != 0;
        if client_id.is_empty() && !version.is_5() && (!clean_start || version == Version::V3) {
            return Err(DecodeError::new(
                ErrorKind::EmptyClientId,
                ReasonCode::ClientIdentifierNotValid,
                "MQTT-3.1.3-8 (3.1.1)",
            ));
        }
        let will = if flags & WILL != 0 {
            Some(read_will(&mut reader, version, flags)?)
        } else {
            None
        };
        let may_end = version == Version::V3;
        let mut user_name = None;
        if flags & USER_NAME != 0 && !(may_end && reader.is_empty()) {
            user_name = Some(reader.text("MQTT-3.1.3-12")?);
        }
        let mut password = None;
        if flags & PASSWORD != 0 && !(may_end && reader.is_empty()) {
            password = Some(reader.bytes().ok_or(TRUNCATED)?);
        }
        reader.end()?;
        Ok(Self {
            version,
            clean_start,
            keep_alive_seconds,
            client_id,
            properties,
            will,
            user_name,
            password,
        })
    }

    fn flags(&self) -> u8 {
        let bit = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
        let will = self.will.map_or(0, |will| {
            WILL | will.qos.bits() << 3 | bit(WILL_RETAIN, will.retain)
        });
        will | bit(CLEAN_START, self.clean_start)
            | bit(USER_NAME, self.user_name.is_some())
            | bit(PASSWORD, self.password.is_some())
    }

    /// Appends it, in its own version. Strings and blobs must not be over 65,535 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let is_5 = self.version.is_5();
        let block_bytes = |block| {
            if is_5 {
                properties::block_bytes(block)
            } else {
                0
            }
        };
        let field_bytes = |field: Option<&[u8]>| field.map_or(0, |field| 2 + field.len());
        let name = self.version.protocol_name().as_bytes();
        let user_name = self.user_name.map(str::as_bytes);
        let mut body_bytes = 2 + name.len() + 4 + block_bytes(self.properties);
        body_bytes += 2 + self.client_id.len() + field_bytes(user_name);
        body_bytes += field_bytes(self.password);
        if let Some(will) = &self.will {
            body_bytes += block_bytes(will.properties) + 4 + will.topic.len() + will.payload.len();
        }
        put_header(out, PacketType::Connect, body_bytes);
        let expected = out.len() + body_bytes;
        put_bytes(out, name);
        out.extend_from_slice(&[self.version.level(), self.flags()]);
        out.extend_from_slice(&self.keep_alive_seconds.to_be_bytes());
        if is_5 {
            properties::put_block(out, self.properties);
        }
        put_bytes(out, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            if is_5 {
                properties::put_block(out, will.properties);
            }
            put_bytes(out, will.topic.as_bytes());
            put_bytes(out, will.payload);
        }
        for field in [user_name, self.password].into_iter().flatten() {
            put_bytes(out, field);
        }
        debug_assert_eq!(out.len(), expected);
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let unsupported = |kind, statement| {
        Err(DecodeError::new(
            kind,
            ReasonCode::UnsupportedProtocolVersion,
            statement,
        ))
    };
    let name = reader.bytes().ok_or(TRUNCATED)?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return unsupported(ErrorKind::BadProtocolName, "MQTT-3.1.2-1");
    }
    let level = reader.u8().ok_or(TRUNCATED)?;
    let versions = [Version::V3, Version::V4, Version::V5];
    let found = versions
        .into_iter()
        .find(|version| version.level() == level && version.protocol_name().as_bytes() == name);
    match found {
        Some(version) => Ok(version),
        None => unsupported(ErrorKind::UnsupportedLevel(level), "MQTT-3.1.2-2"),
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), DecodeError> {
    let bad = |statement| Err(malformed(ErrorKind::BadConnectFlags, statement));
    if flags & WILL != 0 && flags & WILL_QOS == WILL_QOS {
        return Err(malformed(ErrorKind::BadQos, "MQTT-3.1.2-12"));
    }
    // MQTT 3.1 says the last of these only; the others it does not forbid.
    if version != Version::V3 {
        if flags & RESERVED != 0 {
            return bad("MQTT-3.1.2-3");
        }
        if flags & WILL == 0 && flags & WILL_QOS != 0 {
            return bad("MQTT-3.1.2-11");
        }
        if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
            return bad("MQTT-3.1.2-13");
        }
    }
    if flags & PASSWORD != 0 && flags & USER_NAME == 0 && !version.is_5() {
        return bad("MQTT-3.1.2-22 (3.1.1)");
    }
    Ok(())
}

fn read_properties<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    place: For,
) -> Result<Properties<'a>, DecodeError> {
    if version.is_5() {
        properties::read_block(reader, place)
    } else {
        Ok(Properties::EMPTY)
    }
}

fn read_will<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    flags: u8,
) -> Result<Will<'a>, DecodeError> {
    let properties = read_properties(reader, version, For::Will)?;
    let topic = reader.text("MQTT-3.1.3-11")?;
    topic::check_name(topic.as_bytes())?;
    let payload = reader.bytes();
    Ok(Will {
        qos: Qos::from_bits((flags & WILL_QOS) >> 3)
            .ok_or(malformed(ErrorKind::BadQos, "MQTT-3.1.2-12"))?,
        retain: flags & WILL_RETAIN != 0,
        topic,
        payload: payload.ok_or(malformed(ErrorKind::Truncated, "MQTT-3.1.2-9"))?,
        properties,
    })
}
