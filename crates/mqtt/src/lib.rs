//! MQTT 3.1, 3.1.1 and 5: bytes to typed packets and back. No I/O, no clock, no task.
//!
//! The layers, each in its own module:
//!
//! ```text
//! frame        | type + flags u8 | remaining length, 1 to 4 bytes | body |
//! packet       a body: one type for each of the fifteen packets
//! publish      the packet that matters: read without a copy, written with one reservation
//! properties   the property block of MQTT 5: checked as a whole, kept as bytes, read by getters
//! topic        names and filters: their rules, matching, and routing keys
//! text         which bytes are an MQTT string
//! reason       reason codes, and what MQTT 3 has instead
//! ```
//!
//! Invariants
//! - Decoding borrows from the input, allocates nothing and never panics, whatever the bytes.
//! - What is decoded obeys every rule that a packet can be checked against by itself; a refusal
//!   names the rule's statement and the reason code to answer with.
//! - What is written can be decoded by the other side.
//!
//! Not here: sockets, sessions, what a packet makes the broker do, and the rules that need more
//! than the packet (first packet, packet ids in use, maxima that were agreed upon).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
pub mod frame;
pub mod packet;
pub mod properties;
pub mod publish;
pub mod reason;
pub mod text;
pub mod topic;
mod version;
mod wire;

pub use error::{DecodeError, ErrorKind, TooLarge};
pub use frame::{Frame, PacketType, announced_bytes, frame};
pub use packet::{
    Auth, Connack, Connect, Disconnect, FilterList, NameList, Packet, Puback, Pubcomp, Pubrec,
    Pubrel, ReasonList, RetainHandling, Suback, Subscribe, SubscribeOptions, Subscription,
    Unsuback, Unsubscribe, Will,
};
pub use properties::{For, Properties, PropertiesWriter, PropertyId, write_properties};
pub use publish::{Forward, Publish, PublishHead, publish_bytes, write_publish};
pub use reason::ReasonCode;
pub use version::{Qos, Version};
pub use wire::VARINT_MAX;
