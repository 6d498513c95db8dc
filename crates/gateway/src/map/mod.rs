//! What a message of one protocol looks like in another.
//!
//! ```text
//!  MQTT block --to_amqp--> property block of AMQP 0-9-1
//!  MQTT block or AMQP 0-9-1 properties --to_mqtt--> properties of MQTT 5, QoS, expiry
//! ```
//!
//! `docs/message-map.md` is the same as tables, with what is not kept and why.
//!
//! Invariants
//! - A message is stored as it was published; it is translated for each receiver.
//! - What is said in the name of the broker or of a user that it knows is never taken from a
//!   client: a `user_id` that MQTT brings is a header like any other.
//! - Whatever a publisher writes, what comes out is well-formed in the receiver's protocol and
//!   fits its frames.
//!
//! Not here: topics and routing keys of deliveries (the doors), bytes of packets (the codecs).

#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
pub(crate) mod to_amqp;
pub(crate) mod to_mqtt;

#[cfg(test)]
mod tests;

use ferry_core::arguments::{Arguments, Value};

/// The QoS that a message was published with.
pub(crate) const PUBLISH_QOS: &str = "x-mqtt-publish-qos";
/// Whether it was published to be retained.
const RETAIN: &str = "x-mqtt-retain";
/// Whether its payload is text.
const PAYLOAD_FORMAT: &str = "x-mqtt-payload-format";
/// Its topic, if that is longer than a routing key can be.
const TOPIC: &str = "x-mqtt-topic";
/// User properties whose names can not be those of headers: a list of pairs.
const USER_PROPERTIES: &str = "x-mqtt-user-properties";
/// How many headers there was no room for.
const LEFT_OUT: &str = "x-mqtt-left-out";
/// A content type that is too long for the property.
const CONTENT_TYPE: &str = "x-content-type";
/// Correlation data that is too long for the property, or no text.
const CORRELATION_ID: &str = "x-correlation-id";
/// The response topic, as a routing key.
const REPLY_TO_TOPIC: &str = "x-reply-to-topic";
/// The same, as it was called in RabbitMQ's first pages about it.
const OPT_REPLY_TO_TOPIC: &str = "x-opt-reply-to-topic";

/// Names of headers that this map writes itself.
const RESERVED: [&str; 10] = [
    PUBLISH_QOS,
    RETAIN,
    PAYLOAD_FORMAT,
    TOPIC,
    USER_PROPERTIES,
    LEFT_OUT,
    CONTENT_TYPE,
    CORRELATION_ID,
    REPLY_TO_TOPIC,
    OPT_REPLY_TO_TOPIC,
];

/// User properties that carry what AMQP has a property for and MQTT has not.
pub(crate) mod carried {
    /// What all of them begin with.
    pub(crate) const PREFIX: &str = "x-amqp-";
    pub(crate) const CONTENT_ENCODING: &str = "x-amqp-content-encoding";
    pub(crate) const PRIORITY: &str = "x-amqp-priority";
    pub(crate) const REPLY_TO: &str = "x-amqp-reply-to";
    pub(crate) const MESSAGE_ID: &str = "x-amqp-message-id";
    pub(crate) const TIMESTAMP: &str = "x-amqp-timestamp";
    pub(crate) const TYPE: &str = "x-amqp-type";
    pub(crate) const APP_ID: &str = "x-amqp-app-id";
    pub(crate) const CLUSTER_ID: &str = "x-amqp-cluster-id";
    /// Only on the way to MQTT: who published is not for a client of MQTT to say.
    pub(crate) const USER_ID: &str = "x-amqp-user-id";
}

fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(b"x-") && RESERVED.iter().any(|known| known.as_bytes() == name)
}

/// Whether a header is said by properties of MQTT, or by the QoS and the retain flag.
pub(crate) fn goes_to_mqtt(name: &str, value: &Value) -> bool {
    let is_text = || matches!(value, Value::Str(bytes) if text(bytes).is_some());
    is_reserved(name.as_bytes()) || text(name.as_bytes()).is_some() && is_text()
}

/// The QoS that headers say a message was published with.
pub(crate) fn says_qos(headers: &Arguments) -> Option<u8> {
    let said = headers.get(PUBLISH_QOS)?.as_integer()?;
    u8::try_from(said).ok().filter(|qos| *qos <= 2)
}

/// Whether headers say that a message was published to be retained.
pub(crate) fn says_retain(headers: &Arguments) -> bool {
    headers.get(RETAIN) == Some(&Value::Bool(true))
}

/// A name of one protocol in the other: `/` and `.` change places.
fn swapped(name: &[u8]) -> Vec<u8> {
    let swap = |byte: &u8| match byte {
        b'/' => b'.',
        b'.' => b'/',
        other => *other,
    };
    name.iter().map(swap).collect()
}

/// Bytes that can be a string of MQTT.
fn text(bytes: &[u8]) -> Option<&str> {
    mqtt::text::read(bytes).filter(|text| text.len() <= mqtt::text::TEXT_BYTES_MAX)
}
