//! Properties by name, for doors that speak no AMQP: out of a property block and into one.
//!
//! Invariants
//! - A block that is made here passes every check that a publish of it would.
//! - What a block says reads back as it was given.

use amqp091::properties::{Change, Edit, Properties as Block};
use amqp091::{RawTable, ShortStr};
use ferry_broker::{Properties, PropertyError};

use super::{arguments, expiration};

/// Longest headers, in bytes: with the rest they go out in one frame.
const HEADERS_BYTES_MAX: usize = 64 << 10;

/// What a block says; nothing for one that can not be read.
pub(crate) fn describe(block: &[u8]) -> Properties {
    let Ok(found) = Block::parse(block) else {
        return Properties::default();
    };
    let text = |value: Option<ShortStr<'_>>| value.map(|text| text.as_str_lossy().into_owned());
    Properties {
        content_type: text(found.content_type()),
        content_encoding: text(found.content_encoding()),
        headers: found.headers().map(arguments::read_valid),
        delivery_mode: found.delivery_mode(),
        priority: found.priority(),
        correlation_id: text(found.correlation_id()),
        reply_to: text(found.reply_to()),
        expiration: text(found.expiration()),
        message_id: text(found.message_id()),
        timestamp: found.timestamp(),
        kind: text(found.type_()),
        user_id: text(found.user_id()),
        app_id: text(found.app_id()),
        cluster_id: text(found.cluster_id()),
    }
}

/// The block that says so.
pub(crate) fn compose(properties: &Properties) -> Result<Vec<u8>, PropertyError> {
    if let Some(text) = &properties.expiration {
        expiration::parse(text.as_bytes()).map_err(|_| {
            let why = "is a number of milliseconds, written as text";
            invalid("expiration", why)
        })?;
    }
    let headers = match &properties.headers {
        None => None,
        Some(headers) => {
            if headers
                .iter()
                .any(|(name, _)| ShortStr::new(name.as_bytes()).is_none())
            {
                return Err(invalid("headers", "have names of at most 255 bytes"));
            }
            Some(arguments::to_table(headers).to_bytes())
        }
    };
    if let Some(table) = &headers {
        if table.len() > HEADERS_BYTES_MAX {
            let why = format!("have at most {HEADERS_BYTES_MAX} bytes");
            return Err(invalid("headers", &why));
        }
        let valid = RawTable::new(table).validate();
        valid.map_err(|_| invalid("headers", "nest too deep"))?;
    }
    let edit = Edit {
        content_type: short("content_type", &properties.content_type)?,
        content_encoding: short("content_encoding", &properties.content_encoding)?,
        headers: set(headers.as_deref().map(RawTable::new)),
        delivery_mode: set(properties.delivery_mode),
        priority: set(properties.priority),
        correlation_id: short("correlation_id", &properties.correlation_id)?,
        reply_to: short("reply_to", &properties.reply_to)?,
        expiration: short("expiration", &properties.expiration)?,
        message_id: short("message_id", &properties.message_id)?,
        timestamp: set(properties.timestamp),
        type_: short("type", &properties.kind)?,
        user_id: short("user_id", &properties.user_id)?,
        app_id: short("app_id", &properties.app_id)?,
        cluster_id: short("cluster_id", &properties.cluster_id)?,
    };
    Ok(edit.build())
}

fn invalid(property: &'static str, why: &str) -> PropertyError {
    let why = why.to_owned();
    PropertyError::Invalid { property, why }
}

fn set<T>(value: Option<T>) -> Change<T> {
    value.map_or(Change::Keep, Change::Set)
}

fn short<'a>(
    name: &'static str,
    text: &'a Option<String>,
) -> Result<Change<ShortStr<'a>>, PropertyError> {
    let Some(text) = text else {
        return Ok(Change::Keep);
    };
    let short = ShortStr::new(text.as_bytes());
    let short = short.ok_or_else(|| invalid(name, "has at most 255 bytes"))?;
    Ok(Change::Set(short))
}

#[cfg(test)]
mod tests {
    use ferry_core::arguments::{Arguments, Value};

    use super::*;

    fn full() -> Properties {
        let text = |text: &str| Some(text.to_owned());
        let headers = [("n", Value::I64(7)), ("t", Value::Str(b"x".to_vec()))];
        Properties {
            content_type: text("text/plain"),
            content_encoding: text("gzip"),
            headers: Some(headers.into_iter().collect()),
            delivery_mode: Some(2),
            priority: Some(9),
            correlation_id: text("c"),
            reply_to: text("r"),
            expiration: text("60000"),
            message_id: text("é"),
            timestamp: Some(1_700_000_000),
            kind: text("order"),
            user_id: text("guest"),
            app_id: text("app"),
            cluster_id: text(""),
        }
    }

    #[test]
    fn what_is_composed_is_described_the_same() {
        for properties in [full(), Properties::default()] {
            let block = compose(&properties).unwrap();
            assert_eq!(describe(&block), properties);
        }
        assert_eq!(describe(&[0xff]), Properties::default());
    }

    #[test]
    fn what_a_publish_would_be_refused_for_is_named() {
        let long = || Some("x".repeat(256));
        let headers = |name: &str, value: Value| Properties {
            headers: Some([(name, value)].into_iter().collect()),
            ..Properties::default()
        };
        let mut deep = Value::Void;
        for _ in 0..200 {
            deep = Value::Table([("a", deep)].into_iter().collect::<Arguments>());
        }
        for (properties, named) in [
            (
                Properties {
                    kind: long(),
                    ..full()
                },
                "type",
            ),
            (
                Properties {
                    message_id: long(),
                    ..full()
                },
                "message_id",
            ),
            (
                Properties {
                    expiration: Some("soon".to_owned()),
                    ..full()
                },
                "expiration",
            ),
            (headers(&"x".repeat(256), Value::Void), "headers"),
            (headers("x", Value::Str(vec![0; 70_000])), "headers"),
            (headers("x", deep), "headers"),
        ] {
            match compose(&properties) {
                Err(PropertyError::Invalid { property, .. }) => assert_eq!(property, named),
                other => panic!("{named}: {other:?}"),
            }
        }
    }
}
