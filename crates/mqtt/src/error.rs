//! Why bytes are refused, and what to tell the peer.
//!
//! Invariants
//! - `reason` is what MQTT 5 wants in the CONNACK or DISCONNECT that answers; a peer of MQTT 3 is
//!   told by the closed connection alone.
//! - `statement` is the id of the normative statement of MQTT 5 that is broken, or of MQTT 3.1.1
//!   where only that has the rule (then it ends in ` (3.1.1)`). Where the rule has no id of its
//!   own it is [`GENERAL`]: a server closes on what is malformed or against the protocol.

use crate::reason::ReasonCode;

/// The statement behind every rule that has no id of its own.
pub(crate) const GENERAL: &str = "MQTT-4.13.1-1";

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} [{statement}]")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The reason code to answer with.
    pub reason: ReasonCode,
    /// Id of the statement that is broken, without brackets.
    pub statement: &'static str,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The remaining length, or another length or number, is no variable byte integer.
    #[error("a variable byte integer is too long, or longer than it need be")]
    BadVarint,
    /// The packet is over the limit of this side.
    #[error("the packet has {packet_bytes} bytes, and {packet_bytes_max} are allowed")]
    TooLarge {
        /// Its size, fixed header included.
        packet_bytes: u32,
        /// The limit.
        packet_bytes_max: u32,
    },
    /// No packet has this type in this version.
    #[error("packet type {0} does not exist")]
    UnknownType(u8),
    /// Only the other side may send this packet.
    #[error("this side can not be sent this packet")]
    WrongSide,
    /// The flags in the first byte are not those of the packet.
    #[error("reserved flags of the fixed header are not as they must be")]
    BadFlags,
    /// The body ends within a field.
    #[error("the packet ends within a field")]
    Truncated,
    /// The body goes on after the last field.
    #[error("bytes follow the last field")]
    Trailing,
    /// A string is not well-formed UTF-8, or has characters that are not allowed.
    #[error("a string is not UTF-8, or has NUL, control or non-characters")]
    BadText,
    /// A topic name is empty or has wildcards.
    #[error("a topic name is empty or has wildcards")]
    BadTopicName,
    /// A filter is empty, or a wildcard in it stands where it can not.
    #[error("a topic filter is empty, or a wildcard is not a whole level or not the last one")]
    BadTopicFilter,
    /// A filter that begins with `$share/` has no group or no filter.
    #[error("a shared subscription has no name, a bad one, or no filter")]
    BadShare,
    /// Both bits of a quality of service are set.
    #[error("quality of service 3 does not exist")]
    BadQos,
    /// A repeated message of quality 0.
    #[error("a message of quality of service 0 is marked as a duplicate")]
    DuplicateQos0,
    /// The packet id is zero.
    #[error("the packet id is zero")]
    PacketIdZero,
    /// No property has this id.
    #[error("property {0:#04x} does not exist")]
    UnknownProperty(u32),
    /// The property is not one of this packet.
    #[error("property {0:?} is not allowed in this packet")]
    PropertyNotAllowed(crate::PropertyId),
    /// The property is there twice.
    #[error("property {0:?} is there twice")]
    PropertyTwice(crate::PropertyId),
    /// The property has a value that it can not have.
    #[error("property {0:?} has a value that it can not have")]
    PropertyValue(crate::PropertyId),
    /// A property is missing without which another, or the packet, means nothing.
    #[error("property {0:?} is missing")]
    PropertyMissing(crate::PropertyId),
    /// The protocol name is not MQTT's.
    #[error("the protocol name is neither MQTT nor MQIsdp")]
    BadProtocolName,
    /// The protocol level is of no version that is spoken here.
    #[error("protocol level {0} is not supported")]
    UnsupportedLevel(u8),
    /// Flags of CONNECT contradict each other, or a reserved one is set.
    #[error("the connect flags are not as they must be")]
    BadConnectFlags,
    /// An empty client id where one must be given.
    #[error("the client id is empty, and the session is to be kept")]
    EmptyClientId,
    /// Flags of CONNACK that are reserved.
    #[error("the acknowledge flags are not as they must be")]
    BadConnackFlags,
    /// Options of a subscription that are reserved or do not exist.
    #[error("subscription options are not as they must be")]
    BadOptions,
    /// No Local on a shared subscription.
    #[error("a shared subscription asks for no local messages")]
    NoLocalShared,
    /// A list with nothing in it.
    #[error("a list that must not be empty is")]
    EmptyList,
    /// A reason code that this packet can not have.
    #[error("reason code {0:#04x} is not one of this packet")]
    BadReason(u8),
}

impl DecodeError {
    /// A malformed packet: 0x81.
    pub(crate) const fn malformed(kind: ErrorKind, statement: &'static str) -> Self {
        Self::new(kind, ReasonCode::MalformedPacket, statement)
    }

    /// A packet against the protocol: 0x82.
    pub(crate) const fn protocol(kind: ErrorKind, statement: &'static str) -> Self {
        Self::new(kind, ReasonCode::ProtocolError, statement)
    }

    pub(crate) const fn new(kind: ErrorKind, reason: ReasonCode, statement: &'static str) -> Self {
        Self {
            kind,
            reason,
            statement,
        }
    }

    pub(crate) const TRUNCATED: Self = Self::malformed(ErrorKind::Truncated, GENERAL);
    pub(crate) const TRAILING: Self = Self::malformed(ErrorKind::Trailing, GENERAL);
}

/// A packet of ours that is over the limit of the peer, or of MQTT; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet would be larger than the peer takes")]
pub struct TooLarge;
