//! The fifteen packets, one type each.
//!
//! Invariants
//! - A packet is decoded to its last byte: fewer or more are refused.
//! - Lists are checked when they are decoded and stay bytes; reading them can not fail.
//! - Writing for MQTT 3 leaves out what only MQTT 5 has.
//!
//! Layout: `connect.rs`, `connack.rs`, `ack.rs` (the four answers to PUBLISH), `subscribe.rs`,
//! `unsubscribe.rs`, `granted.rs` (SUBACK, UNSUBACK), `end.rs` (DISCONNECT, AUTH);
//! [`crate::publish`] has PUBLISH.

mod ack;
mod connack;
mod connect;
mod end;
mod granted;
mod subscribe;
mod unsubscribe;

pub use ack::{Puback, Pubcomp, Pubrec, Pubrel};
pub use connack::Connack;
pub use connect::{Connect, Will};
pub use end::{Auth, Disconnect};
pub use granted::{ReasonList, Suback, Unsuback};
pub use subscribe::{FilterList, RetainHandling, Subscribe, SubscribeOptions, Subscription};
pub use unsubscribe::{NameList, Unsubscribe};

use crate::error::{DecodeError, ErrorKind, GENERAL, TooLarge};
use crate::frame::{Frame, PacketType, put_header};
use crate::properties::{Properties, PropertyId, write_properties};
use crate::publish::Publish;
use crate::version::Version;

/// Who sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

/// Any packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Client to server: who it is.
    Connect(Connect<'a>),
    /// Server to client: whether it may.
    Connack(Connack<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// Quality 1: it is taken.
    Puback(Puback<'a>),
    /// Quality 2: it is taken.
    Pubrec(Pubrec<'a>),
    /// Quality 2: its id may be forgotten.
    Pubrel(Pubrel<'a>),
    /// Quality 2: its id is forgotten.
    Pubcomp(Pubcomp<'a>),
    /// Client to server: filters to be subscribed.
    Subscribe(Subscribe<'a>),
    /// Server to client: what was granted.
    Suback(Suback<'a>),
    /// Client to server: filters no longer wanted.
    Unsubscribe(Unsubscribe<'a>),
    /// Server to client: what became of them.
    Unsuback(Unsuback<'a>),
    /// Client to server: a sign of life.
    Pingreq,
    /// Server to client: the answer.
    Pingresp,
    /// The last packet.
    Disconnect(Disconnect<'a>),
    /// MQTT 5: a step of authentication.
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Reads a packet from a client. A CONNECT brings its version; for it `version` means
    /// nothing.
    ///
    /// # Errors
    /// The packet breaks a rule, or is one that only a server sends.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, DecodeError> {
        match frame.packet_type {
            PacketType::Publish => Publish::decode(frame, version).map(Self::Publish),
            PacketType::Connect => Connect::decode(frame).map(Self::Connect),
            _ => Self::decode_other(frame, version, Sender::Client),
        }
    }

    /// Reads a packet from a server.
    ///
    /// # Errors
    /// The packet breaks a rule, or is one that only a client sends.
    pub fn decode_from_server(frame: Frame<'a>, version: Version) -> Result<Self, DecodeError> {
        match frame.packet_type {
            PacketType::Publish => Publish::decode_from_server(frame, version).map(Self::Publish),
            _ => Self::decode_other(frame, version, Sender::Server),
        }
    }

    fn decode_other(
        frame: Frame<'a>,
        version: Version,
        sender: Sender,
    ) -> Result<Self, DecodeError> {
        frame.check(version)?;
        let body = frame.body;
        let packet = match (frame.packet_type, sender) {
            (PacketType::Auth, _) if !version.is_5() => {
                let kind = ErrorKind::UnknownType(PacketType::Auth as u8);
                return Err(DecodeError::malformed(kind, GENERAL));
            }
            (PacketType::Puback, _) => Self::Puback(Puback::decode(body, version)?),
            (PacketType::Pubrec, _) => Self::Pubrec(Pubrec::decode(body, version)?),
            (PacketType::Pubrel, _) => Self::Pubrel(Pubrel::decode(body, version)?),
            (PacketType::Pubcomp, _) => Self::Pubcomp(Pubcomp::decode(body, version)?),
            (PacketType::Auth, _) => Self::Auth(Auth::decode(body, sender)?),
            (PacketType::Disconnect, Sender::Client) => {
                Self::Disconnect(Disconnect::decode(body, version, sender)?)
            }
            (PacketType::Disconnect, Sender::Server) if version.is_5() => {
                Self::Disconnect(Disconnect::decode(body, version, sender)?)
            }
            (PacketType::Subscribe, Sender::Client) => {
                Self::Subscribe(Subscribe::decode(body, version)?)
            }
            (PacketType::Unsubscribe, Sender::Client) => {
                Self::Unsubscribe(Unsubscribe::decode(body, version)?)
            }
            (PacketType::Pingreq, Sender::Client) if body.is_empty() => Self::Pingreq,
            (PacketType::Pingresp, Sender::Server) if body.is_empty() => Self::Pingresp,
            (PacketType::Pingreq, Sender::Client) | (PacketType::Pingresp, Sender::Server) => {
                return Err(DecodeError::TRAILING);
            }
            (PacketType::Connack, Sender::Server) => Self::Connack(Connack::decode(body, version)?),
            (PacketType::Suback, Sender::Server) => Self::Suback(Suback::decode(body, version)?),
            (PacketType::Unsuback, Sender::Server) => {
                Self::Unsuback(Unsuback::decode(body, version)?)
            }
            _ => return Err(DecodeError::protocol(ErrorKind::WrongSide, GENERAL)),
        };
        Ok(packet)
    }

    /// What packet it is.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Puback(_) => PacketType::Puback,
            Self::Pubrec(_) => PacketType::Pubrec,
            Self::Pubrel(_) => PacketType::Pubrel,
            Self::Pubcomp(_) => PacketType::Pubcomp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Appends it. A CONNECT is written in its own version. A DISCONNECT of a server and an AUTH
    /// are for MQTT 5 only; whose connection that is not just closes.
    ///
    /// # Errors
    /// A PUBLISH is larger than any packet may be; nothing is written.
    pub fn write(&self, out: &mut Vec<u8>, version: Version) -> Result<(), TooLarge> {
        match self {
            Self::Connect(packet) => packet.write(out),
            Self::Connack(packet) => packet.write(out, version),
            Self::Publish(packet) => return packet.write(out, version),
            Self::Puback(packet) => packet.write(out, version),
            Self::Pubrec(packet) => packet.write(out, version),
            Self::Pubrel(packet) => packet.write(out, version),
            Self::Pubcomp(packet) => packet.write(out, version),
            Self::Subscribe(packet) => packet.write(out, version),
            Self::Suback(packet) => packet.write(out, version),
            Self::Unsubscribe(packet) => packet.write(out, version),
            Self::Unsuback(packet) => packet.write(out, version),
            Self::Pingreq => put_header(out, PacketType::Pingreq, 0),
            Self::Pingresp => put_header(out, PacketType::Pingresp, 0),
            Self::Disconnect(packet) => packet.write(out, version),
            Self::Auth(packet) => packet.write(out),
        }
        Ok(())
    }

    /// Appends it if it is within what the peer takes, if need be without its reason string and
    /// user properties, which must not make a packet too large.
    ///
    /// # Errors
    /// It would still be over the limit; nothing is written.
    pub fn write_within(
        &self,
        out: &mut Vec<u8>,
        version: Version,
        packet_bytes_max: u32,
    ) -> Result<(), TooLarge> {
        let start = out.len();
        let fits = |out: &Vec<u8>| (out.len() - start) as u64 <= u64::from(packet_bytes_max);
        self.write(out, version)?;
        if fits(out) {
            return Ok(());
        }
        out.truncate(start);
        let mut block = Vec::new();
        let Some(shorter) = self.shortened(&mut block) else {
            return Err(TooLarge);
        };
        shorter.write(out, version)?;
        if fits(out) {
            return Ok(());
        }
        out.truncate(start);
        Err(TooLarge)
    }

    /// Without reason string and user properties; `None` where they are not to be left out.
    fn shortened<'s>(&self, block: &'s mut Vec<u8>) -> Option<Packet<'s>>
    where
        'a: 's,
    {
        let mut packet: Packet<'s> = *self;
        let properties: &mut Properties<'s> = match &mut packet {
            Packet::Connack(packet) => &mut packet.properties,
            Packet::Puback(packet) => &mut packet.properties,
            Packet::Pubrec(packet) => &mut packet.properties,
            Packet::Pubrel(packet) => &mut packet.properties,
            Packet::Pubcomp(packet) => &mut packet.properties,
            Packet::Suback(packet) => &mut packet.properties,
            Packet::Unsuback(packet) => &mut packet.properties,
            Packet::Disconnect(packet) => &mut packet.properties,
            Packet::Auth(packet) => &mut packet.properties,
            _ => return None,
        };
        let leave_out = [PropertyId::ReasonString, PropertyId::UserProperty];
        let long = *properties;
        *properties = write_properties(block, |writer| {
            writer.copy(long, &leave_out);
        });
        Some(packet)
    }
}

#[cfg(test)]
mod tests;
