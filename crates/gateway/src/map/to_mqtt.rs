//! A message as MQTT 5 receivers get it, whoever published it.
//!
//! Invariants
//! - What is written is a property block that a PUBLISH may have, and without an expiry: the
//!   seconds that are left depend on when it is sent.
//! - What MQTT published goes out as it came in; of what the broker added to it, the headers that
//!   can be user properties are behind it.
//! - A receiver of MQTT 3 pays for no translation: [`Outgoing`] has what it needs.

use std::borrow::Cow;

use amqp091::properties::Properties as Basic;
use amqp091::{RawTable, RawValue, ShortStr};
use ferry_core::Millis;
use ferry_core::message::{FORMAT_AMQP091, FORMAT_MQTT, Message};
use mqtt::{Properties, PropertiesWriter, topic, write_properties};

use super::{
    CONTENT_TYPE, CORRELATION_ID, OPT_REPLY_TO_TOPIC, PAYLOAD_FORMAT, PUBLISH_QOS, REPLY_TO_TOPIC,
    USER_PROPERTIES, carried, is_reserved, text,
};
use crate::mqtt::block::Block;

/// Milliseconds of a second.
const SECOND_MS: u64 = 1000;

/// What a door of MQTT must know of a message to send it on. Read once; its properties are made
/// for those who want them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    /// As published; what AMQP published has 1 if it is persistent, else 0.
    pub(crate) qos: u8,
    /// Whether it was published to be retained.
    pub(crate) retain: bool,
    /// Whether it was retained, and is sent to somebody who has subscribed since.
    pub(crate) is_replay: bool,
    /// The digest of its publisher; 0 for none of MQTT.
    pub(crate) publisher: u64,
    from: Source<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Mqtt(Properties<'a>, RawTable<'a>),
    Amqp(Basic<'a>, &'a [u8]),
    Unknown,
}

impl<'a> Outgoing<'a> {
    /// Of a stored message.
    pub(crate) fn of(message: &Message<'a>) -> Outgoing<'a> {
        let unknown = Outgoing {
            qos: u8::from(message.persistent()),
            retain: false,
            is_replay: false,
            publisher: 0,
            from: Source::Unknown,
        };
        match message.format() {
            FORMAT_MQTT => Block::parse(message.properties()).map(|block| Outgoing {
                qos: block.qos,
                retain: block.retain,
                is_replay: block.is_replay,
                publisher: block.publisher,
                from: Source::Mqtt(block.properties, block.headers),
            }),
            FORMAT_AMQP091 => Basic::parse(message.properties())
                .ok()
                .map(|basic| Outgoing {
                    qos: qos_of(message.persistent(), basic.headers()),
                    from: Source::Amqp(basic, message.body()),
                    ..unknown
                }),
            _ => None,
        }
        .unwrap_or(unknown)
    }

    /// The properties for a receiver of MQTT 5, but for expiry, topic alias and subscription
    /// identifiers; as published, an expiry may be among those of MQTT.
    pub(crate) fn properties(&self) -> Cow<'a, [u8]> {
        match &self.from {
            Source::Mqtt(properties, headers) => forwarded(*properties, *headers),
            Source::Amqp(basic, body) => Cow::Owned(translated(basic, body)),
            Source::Unknown => Cow::Borrowed(&[]),
        }
    }
}

/// 2 only for what once was published so and is still persistent.
pub(crate) fn qos_of(persistent: bool, headers: Option<RawTable<'_>>) -> u8 {
    let published = || headers?.get(PUBLISH_QOS.as_bytes())?.as_i64();
    match persistent {
        true if published() == Some(2) => 2,
        persistent => u8::from(persistent),
    }
}

/// The seconds that a message may still live, at least 1; none if it lives as long as its queue
/// lets it.
pub(crate) fn expiry_left_s(message: &Message<'_>, now: Millis) -> Option<u32> {
    let ttl_ms = message.ttl_ms()?;
    let waited_ms = now.saturating_sub(message.published_ms());
    let left_s = ttl_ms.saturating_sub(waited_ms).div_ceil(SECOND_MS).max(1);
    Some(u32::try_from(left_s).unwrap_or(u32::MAX))
}

fn forwarded<'a>(properties: Properties<'a>, headers: RawTable<'_>) -> Cow<'a, [u8]> {
    if headers.is_empty() {
        return Cow::Borrowed(properties.as_bytes());
    }
    let mut out = properties.as_bytes().to_vec();
    write_properties(&mut out, |writer| {
        for (name, value) in headers.iter().map_while(Result::ok) {
            put_user(writer, name.as_bytes(), value);
        }
    });
    Cow::Owned(out)
}

/// The properties of MQTT 5 that stand for those of AMQP 0-9-1.
pub(crate) fn translated(basic: &Basic<'_>, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_properties(&mut out, |writer| {
        let headers = basic.headers().unwrap_or_default();
        put_own(writer, basic, headers, body);
        put_carried(writer, basic);
        for (name, value) in headers.iter().map_while(Result::ok) {
            let name = name.as_bytes();
            if !is_reserved(name) {
                put_user(writer, name, value);
            } else if name == USER_PROPERTIES.as_bytes() {
                put_pairs(writer, value);
            }
        }
    });
    out
}

/// What MQTT has a property for.
fn put_own(
    writer: &mut PropertiesWriter<'_>,
    basic: &Basic<'_>,
    headers: RawTable<'_>,
    body: &[u8],
) {
    let header = |name: &str| headers.get(name.as_bytes());
    let is_text = header(PAYLOAD_FORMAT).and_then(|value| value.as_i64()) == Some(1);
    if is_text && std::str::from_utf8(body).is_ok() {
        writer.payload_format(true);
    }
    let content_type = basic.content_type().map(ShortStr::as_bytes);
    let content_type = content_type.or_else(|| header(CONTENT_TYPE)?.as_bytes());
    if let Some(content_type) = content_type.and_then(text) {
        writer.content_type(content_type);
    }
    let names = [REPLY_TO_TOPIC, OPT_REPLY_TO_TOPIC].into_iter();
    let mut topics = names.filter_map(|name| response_topic(header(name)?.as_bytes()?));
    if let Some(topic) = topics.next() {
        writer.response_topic(&topic);
    }
    let correlation = basic.correlation_id().map(ShortStr::as_bytes);
    if let Some(data) = correlation.or_else(|| header(CORRELATION_ID)?.as_bytes()) {
        writer.correlation_data(data);
    }
}

/// The topic that a routing key stands for, if it is one to publish to.
fn response_topic(key: &[u8]) -> Option<String> {
    let mut name = Vec::new();
    if !topic::from_key(key, &mut name) {
        return None;
    }
    String::from_utf8(name).ok()
}

/// What AMQP has a property for and MQTT has not. Before the headers: on the way back the first of
/// a name is the property.
fn put_carried(writer: &mut PropertiesWriter<'_>, basic: &Basic<'_>) {
    for (name, value) in [
        (carried::CONTENT_ENCODING, basic.content_encoding()),
        (carried::REPLY_TO, basic.reply_to()),
        (carried::MESSAGE_ID, basic.message_id()),
        (carried::TYPE, basic.type_()),
        (carried::USER_ID, basic.user_id()),
        (carried::APP_ID, basic.app_id()),
        (carried::CLUSTER_ID, basic.cluster_id()),
    ] {
        if let Some(value) = value.and_then(ShortStr::as_str) {
            writer.user(name, value);
        }
    }
    if let Some(priority) = basic.priority() {
        writer.user(carried::PRIORITY, &priority.to_string());
    }
    if let Some(seconds) = basic.timestamp() {
        writer.user(carried::TIMESTAMP, &seconds.to_string());
    }
}

/// A header as a user property, if it can be one.
fn put_user(writer: &mut PropertiesWriter<'_>, name: &[u8], value: RawValue<'_>) {
    if let (Ok(name), Some(value)) = (std::str::from_utf8(name), written(value)) {
        writer.user(name, &value);
    }
}

/// A list of pairs as user properties.
fn put_pairs(writer: &mut PropertiesWriter<'_>, list: RawValue<'_>) {
    let RawValue::Array(list) = list else {
        return;
    };
    for pair in list.iter().map_while(Result::ok) {
        let RawValue::Array(pair) = pair else {
            continue;
        };
        let mut pair = pair.iter().map_while(Result::ok);
        if let (Some(RawValue::LongStr(name)), Some(value)) = (pair.next(), pair.next()) {
            put_user(writer, name, value);
        }
    }
}

/// A value as text; none for what is no single value.
pub(crate) fn written(value: RawValue<'_>) -> Option<Cow<'_, str>> {
    Some(match value {
        RawValue::LongStr(bytes) | RawValue::Bytes(bytes) => {
            Cow::Borrowed(std::str::from_utf8(bytes).ok()?)
        }
        RawValue::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        RawValue::Void => Cow::Borrowed(""),
        RawValue::F32(value) => Cow::Owned(value.to_string()),
        RawValue::F64(value) => Cow::Owned(value.to_string()),
        RawValue::Timestamp(seconds) => Cow::Owned(seconds.to_string()),
        RawValue::Decimal { scale, value } => Cow::Owned(decimal(scale, value)),
        RawValue::Array(_) | RawValue::Table(_) => return None,
        integer => Cow::Owned(integer.as_i64()?.to_string()),
    })
}

/// `value` divided by ten to the power of `scale`, exactly.
fn decimal(scale: u8, value: u32) -> String {
    let scale = usize::from(scale);
    let digits = format!("{value:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match fraction {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}
