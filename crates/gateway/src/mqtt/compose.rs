//! An MQTT message from properties by name.
//!
//! Invariant: what is written reads back as it was given; what does not is refused by name.

use amqp091::RawTable;
use amqp091::properties::Properties as Basic;
use ferry_broker::{MessageFormat, Properties, PropertyError};
use ferry_core::arguments::{Arguments, Value};
use mqtt::write_properties;

use super::MqttFormat;
use super::block::Block;
use crate::amqp091::{arguments, expiration, plain};
use crate::map::{self, to_mqtt};

/// Milliseconds of a second.
const SECOND_MS: u64 = 1000;

/// The block that says so.
pub(super) fn composed(properties: &Properties) -> Result<Vec<u8>, PropertyError> {
    plain::compose(properties)?;
    let (told, kept) = divided(properties);
    let basic = plain::compose(&told)?;
    let basic = Basic::parse(&basic).expect("what was composed can be read");
    let mut translated = to_mqtt::translated(&basic, b"");
    if let Some(seconds) = expiry_s(properties) {
        write_properties(&mut translated, |writer| {
            writer.message_expiry(seconds);
        });
    }
    let kept = arguments::to_table(&kept).to_bytes();
    let mut out = Vec::new();
    Block {
        is_replay: false,
        retain: told.headers.as_ref().is_some_and(map::says_retain),
        qos: to_mqtt::qos_of(is_persistent(properties), basic.headers()),
        v5: true,
        publisher: 0,
        properties: mqtt::Properties::from_checked(&translated),
        headers: RawTable::new(&kept),
    }
    .write(&mut out);
    check(properties, &MqttFormat.describe(&out))?;
    Ok(out)
}

/// What properties of MQTT tell, and the headers that only the broker's own table can hold.
fn divided(properties: &Properties) -> (Properties, Arguments) {
    let headers = properties.headers.iter().flat_map(Arguments::iter);
    let headers = headers.map(|(name, value)| (name.to_owned(), value.clone()));
    let (told, kept): (Vec<_>, Vec<_>) =
        headers.partition(|(name, value)| map::goes_to_mqtt(name, value));
    let told = Properties {
        headers: Some(told.into_iter().collect()),
        ..properties.clone()
    };
    (told, kept.into_iter().collect())
}

/// The delivery mode says so; without one, the QoS among the headers.
fn is_persistent(properties: &Properties) -> bool {
    match properties.delivery_mode {
        Some(mode) => mode == 2,
        None => said_qos(properties).is_some_and(|qos| qos > 0),
    }
}

fn said_qos(properties: &Properties) -> Option<u8> {
    map::says_qos(properties.headers.as_ref()?)
}

fn expiry_s(properties: &Properties) -> Option<u32> {
    let text = properties.expiration.as_deref()?;
    let ms = expiration::parse(text.as_bytes()).ok()?;
    u32::try_from(ms / SECOND_MS).ok()
}

/// Refuses the first property that does not read back.
fn check(given: &Properties, found: &Properties) -> Result<(), PropertyError> {
    let same = |given: &Option<String>, found: &Option<String>| given == found;
    let mode = given.delivery_mode.is_none() || given.delivery_mode == found.delivery_mode;
    for (property, fits) in [
        (
            "content_type",
            same(&given.content_type, &found.content_type),
        ),
        (
            "content_encoding",
            same(&given.content_encoding, &found.content_encoding),
        ),
        ("delivery_mode", mode),
        ("priority", given.priority == found.priority),
        (
            "correlation_id",
            same(&given.correlation_id, &found.correlation_id),
        ),
        ("reply_to", same(&given.reply_to, &found.reply_to)),
        ("expiration", same(&given.expiration, &found.expiration)),
        ("message_id", same(&given.message_id, &found.message_id)),
        ("timestamp", given.timestamp == found.timestamp),
        ("type", same(&given.kind, &found.kind)),
        ("user_id", same(&given.user_id, &found.user_id)),
        ("app_id", same(&given.app_id, &found.app_id)),
        ("cluster_id", same(&given.cluster_id, &found.cluster_id)),
        (
            "headers",
            has_all(given.headers.as_ref(), found.headers.as_ref()),
        ),
    ] {
        if !fits {
            let why = match property {
                "expiration" => "is a whole number of seconds, written in milliseconds",
                _ => "can not be said in a message of MQTT",
            };
            let why = why.to_owned();
            return Err(PropertyError::Invalid { property, why });
        }
    }
    Ok(())
}

fn has_all(given: Option<&Arguments>, found: Option<&Arguments>) -> bool {
    let is_there = |(name, value): (&str, &Value)| {
        let says_qos = name == map::PUBLISH_QOS && given.and_then(map::says_qos).is_some();
        says_qos || found.is_some_and(|found| found.get(name) == Some(value))
    };
    given.is_none_or(|given| given.iter().all(is_there))
}
