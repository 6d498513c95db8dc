//! Making property blocks.
//!
//! Invariants
//! - A block that is made can be parsed, if each property is written once and into a packet that
//!   may have it.
//! - A string that MQTT does not allow, or that is over 65,535 bytes, is left out, and so are
//!   numbers that a property can not have. Who must know asks [`crate::text::check`] first.

use super::Properties;
use super::id::{PropertyId, Shape};
use crate::text::{self, TEXT_BYTES_MAX};
use crate::wire::{VARINT_MAX, put_bytes, put_varint};

/// Appends properties to a buffer.
#[derive(Debug)]
pub struct PropertiesWriter<'o> {
    out: &'o mut Vec<u8>,
}

/// Appends a block, without its length, to `out`, and gives what was appended.
///
/// ```
/// let mut block = Vec::new();
/// let properties = mqtt::write_properties(&mut block, |w| {
///     w.content_type("text/plain").user("name", "value");
/// });
/// assert_eq!(properties.content_type(), Some("text/plain"));
/// ```
pub fn write_properties(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut PropertiesWriter<'_>),
) -> Properties<'_> {
    let start = out.len();
    write(&mut PropertiesWriter { out });
    Properties::from_checked(&out[start..])
}

impl PropertiesWriter<'_> {
    fn number(&mut self, id: PropertyId, number: u32) -> &mut Self {
        let zero_allowed = !matches!(
            id,
            PropertyId::TopicAlias
                | PropertyId::ReceiveMaximum
                | PropertyId::MaximumPacketSize
                | PropertyId::SubscriptionIdentifier
        );
        if number == 0 && !zero_allowed {
            return self;
        }
        let bytes = number.to_be_bytes();
        match id.shape() {
            Shape::Flag | Shape::Byte => self.out.extend_from_slice(&[id as u8, bytes[3]]),
            Shape::Two => self.out.extend_from_slice(&[id as u8, bytes[2], bytes[3]]),
            Shape::Varint if number > VARINT_MAX => {}
            Shape::Varint => {
                self.out.push(id as u8);
                put_varint(self.out, number);
            }
            Shape::Four | Shape::Text | Shape::Blob | Shape::Pair => {
                self.out.push(id as u8);
                self.out.extend_from_slice(&bytes);
            }
        }
        self
    }

    fn flag(&mut self, id: PropertyId, flag: bool) -> &mut Self {
        self.number(id, flag.into())
    }

    fn number_u16(&mut self, id: PropertyId, number: u16) -> &mut Self {
        self.number(id, number.into())
    }

    fn blob(&mut self, id: PropertyId, bytes: &[u8]) -> &mut Self {
        if bytes.len() <= TEXT_BYTES_MAX {
            self.out.push(id as u8);
            put_bytes(self.out, bytes);
        }
        self
    }

    fn text(&mut self, id: PropertyId, text: &str) -> &mut Self {
        if text::check(text.as_bytes()) {
            self.blob(id, text.as_bytes());
        }
        self
    }

    /// A user property.
    pub fn user(&mut self, name: &str, value: &str) -> &mut Self {
        let fits = |text: &str| text.len() <= TEXT_BYTES_MAX && text::check(text.as_bytes());
        if fits(name) && fits(value) {
            self.out.push(PropertyId::UserProperty as u8);
            put_bytes(self.out, name.as_bytes());
            put_bytes(self.out, value.as_bytes());
        }
        self
    }

    /// All properties of another block but those named, in their order.
    pub fn copy(&mut self, from: Properties<'_>, leave_out: &[PropertyId]) -> &mut Self {
        let bits = leave_out.iter().fold(0, |bits, id| bits | id.bit());
        self.copy_without(from, bits)
    }

    pub(crate) fn copy_without(&mut self, from: Properties<'_>, bits: u64) -> &mut Self {
        put_without(self.out, from, bits);
        self
    }
}

/// How many bytes a block has without the properties whose bits are set.
#[inline]
pub(crate) fn bytes_without(from: Properties<'_>, bits: u64) -> usize {
    if !from.has_any(bits) {
        return from.as_bytes().len();
    }
    let kept = from.entries().filter(|(id, _, _)| id.bit() & bits == 0);
    kept.map(|(_, _, bytes)| bytes.len()).sum()
}

/// Appends a block without the properties whose bits are set.
#[inline]
pub(crate) fn put_without(out: &mut Vec<u8>, from: Properties<'_>, bits: u64) {
    if !from.has_any(bits) {
        out.extend_from_slice(from.as_bytes());
        return;
    }
    for (id, _, bytes) in from.entries() {
        if id.bit() & bits == 0 {
            out.extend_from_slice(bytes);
        }
    }
}

macro_rules! setters {
    ($($setter:ident($how:ident $type:ty) = $id:ident;)+) => {
        impl PropertiesWriter<'_> {
            $(
                #[doc = concat!("Writes [`PropertyId::", stringify!($id), "`].")]
                pub fn $setter(&mut self, value: $type) -> &mut Self {
                    self.$how(PropertyId::$id, value)
                }
            )+
        }
    };
}

setters! {
    payload_format(flag bool) = PayloadFormatIndicator;
    message_expiry(number u32) = MessageExpiryInterval;
    content_type(text &str) = ContentType;
    response_topic(text &str) = ResponseTopic;
    correlation_data(blob &[u8]) = CorrelationData;
    subscription_identifier(number u32) = SubscriptionIdentifier;
    session_expiry(number u32) = SessionExpiryInterval;
    assigned_client_identifier(text &str) = AssignedClientIdentifier;
    server_keep_alive(number_u16 u16) = ServerKeepAlive;
    authentication_method(text &str) = AuthenticationMethod;
    authentication_data(blob &[u8]) = AuthenticationData;
    request_problem_information(flag bool) = RequestProblemInformation;
    will_delay(number u32) = WillDelayInterval;
    request_response_information(flag bool) = RequestResponseInformation;
    response_information(text &str) = ResponseInformation;
    server_reference(text &str) = ServerReference;
    reason_string(text &str) = ReasonString;
    receive_maximum(number_u16 u16) = ReceiveMaximum;
    topic_alias_maximum(number_u16 u16) = TopicAliasMaximum;
    topic_alias(number_u16 u16) = TopicAlias;
    maximum_qos(flag bool) = MaximumQos;
    retain_available(flag bool) = RetainAvailable;
    maximum_packet_size(number u32) = MaximumPacketSize;
    wildcard_subscription_available(flag bool) = WildcardSubscriptionAvailable;
    subscription_identifier_available(flag bool) = SubscriptionIdentifierAvailable;
    shared_subscription_available(flag bool) = SharedSubscriptionAvailable;
}
