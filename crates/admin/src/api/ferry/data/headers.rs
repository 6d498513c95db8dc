//! The properties of a message as headers of HTTP, both ways.
//!
//! | HTTP | property |
//! |---|---|
//! | `Content-Type`, `Content-Encoding`, `Message-Id`, `Correlation-Id` | the one of that name |
//! | `Reply-To`, `Expiration` | the one of that name |
//! | `Priority`, `Type`, `App-Id`, `User-Id`, `Timestamp`, `Delivery-Mode` | the one of that name |
//! | `X-Header-NAME` | the header `name` as text; HTTP has no case, so it is lower case |
//! | `X-Delay`, `X-Deliver-At` | the header of that name, as an integer |
//!
//! Invariants
//! - What is written is taken again.
//! - What comes twice or is no valid value is refused by name.
//! - What of a message HTTP can not carry (a table, a line break, a delay that is no integer) is
//!   left out on its way back.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ferry_broker::Properties;
use ferry_core::arguments::{Arguments, Value};

use super::incoming::{DELAY, DELIVER_AT};
use crate::api::ferry::problem::Problem;

const HEADER_PREFIX: &str = "x-header-";

/// Reads the properties that a request gives its message.
pub(super) fn read(headers: &HeaderMap) -> Result<Properties, Problem> {
    let mut properties = Properties {
        content_type: text(headers, "content-type")?,
        content_encoding: text(headers, "content-encoding")?,
        headers: None,
        delivery_mode: number(headers, "delivery-mode")?,
        priority: number(headers, "priority")?,
        correlation_id: text(headers, "correlation-id")?,
        reply_to: text(headers, "reply-to")?,
        expiration: text(headers, "expiration")?,
        message_id: text(headers, "message-id")?,
        timestamp: number(headers, "timestamp")?,
        kind: text(headers, "type")?,
        user_id: text(headers, "user-id")?,
        app_id: text(headers, "app-id")?,
        cluster_id: None,
    };
    let mut own = Arguments::new();
    for name in headers.keys() {
        let Some(own_name) = name.as_str().strip_prefix(HEADER_PREFIX) else {
            continue;
        };
        if own_name == DELAY || own_name == DELIVER_AT {
            let reason = format!("{name} would be text: say {own_name}, without x-header-");
            return Err(Problem::bad(reason));
        }
        let value = text(headers, name.as_str())?.unwrap_or_default();
        own.push(own_name, value.as_str());
    }
    for name in [DELAY, DELIVER_AT] {
        // A delay that is over is negative.
        if let Some(value) = number::<i64>(headers, name)? {
            own.push(name, value);
        }
    }
    if !own.is_empty() {
        properties.headers = Some(own);
    }
    Ok(properties)
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::bad(format!("{name} is there more than once")));
    }
    let text = std::str::from_utf8(value.as_bytes());
    let text = text.map_err(|_| Problem::bad(format!("{name} is no UTF-8")))?;
    Ok(Some(text.to_owned()))
}

fn no_number(name: &str) -> Problem {
    Problem::bad(format!("{name} is no number that fits"))
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Result<Option<T>, Problem> {
    let Some(text) = text(headers, name)? else {
        return Ok(None);
    };
    // Not with a plus.
    let begins = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let number = text.parse().ok().filter(|_| begins);
    number.map(Some).ok_or_else(|| no_number(name))
}

/// Writes the properties of a message among the headers of an answer.
pub(super) fn write(properties: &Properties, out: &mut HeaderMap) {
    let mut put = |name: &str, value: Option<String>| {
        let name = HeaderName::try_from(name);
        let value = value.map(|value| HeaderValue::from_bytes(value.as_bytes()));
        if let (Ok(name), Some(Ok(value))) = (name, value) {
            out.insert(name, value);
        }
    };
    put("content-type", properties.content_type.clone());
    put("content-encoding", properties.content_encoding.clone());
    put("correlation-id", properties.correlation_id.clone());
    put("reply-to", properties.reply_to.clone());
    put("expiration", properties.expiration.clone());
    put("message-id", properties.message_id.clone());
    put("type", properties.kind.clone());
    put("app-id", properties.app_id.clone());
    put("user-id", properties.user_id.clone());
    put(
        "priority",
        properties.priority.map(|number| number.to_string()),
    );
    put(
        "timestamp",
        properties.timestamp.map(|number| number.to_string()),
    );
    for (name, value) in properties.headers.iter().flat_map(Arguments::iter) {
        let name = name.to_ascii_lowercase();
        match name == DELAY || name == DELIVER_AT {
            true => put(&name, integer(value)),
            false => put(&format!("{HEADER_PREFIX}{name}"), shown(value)),
        }
    }
}

/// A number that is taken again, as text.
fn integer(value: &Value) -> Option<String> {
    let integer = i64::try_from(value.as_integer()?).ok()?;
    Some(integer.to_string())
}

/// A value as text, if it has one.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::F32(value) => Some(value.to_string()),
        Value::F64(value) => Some(value.to_string()),
        Value::Timestamp(seconds) => Some(seconds.to_string()),
        Value::Str(bytes) => String::from_utf8(bytes.clone()).ok(),
        value => value.as_integer().map(|number| number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    #[test]
    fn properties_come_and_go_as_headers() {
        let list = [
            ("content-type", "text/plain"),
            ("message-id", "m-1"),
            ("priority", "5"),
            ("type", "order"),
            ("x-header-tenant", "é"),
            ("x-delay", "-5000"),
            ("x-deliver-at", "1800000000000"),
        ];
        let properties = read(&headers(&list)).unwrap();
        assert_eq!(properties.priority, Some(5));
        assert_eq!(properties.kind.as_deref(), Some("order"));
        let own = properties.headers.as_ref().unwrap();
        assert_eq!(own.get("tenant"), Some(&Value::from("é")));
        let mut back = HeaderMap::new();
        write(&properties, &mut back);
        for (name, value) in list {
            assert_eq!(
                back.get(name).unwrap().as_bytes(),
                value.as_bytes(),
                "{name}"
            );
        }
        assert_eq!(read(&back).unwrap(), properties);
    }

    #[test]
    fn a_delay_is_a_number_of_its_own() {
        let properties = read(&headers(&[("x-delay", "5000")])).unwrap();
        let own = properties.headers.unwrap();
        assert_eq!(own.get(DELAY), Some(&Value::I64(5000)));
        assert_eq!(read(&HeaderMap::new()).unwrap(), Properties::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (list, name) in [
            (&[("priority", "high")][..], "priority"),
            (&[("priority", "256")], "priority"),
            (&[("priority", "+5")], "priority"),
            (&[("timestamp", "-1")], "timestamp"),
            (&[("x-delay", "soon")], "x-delay"),
            (&[("x-delay", "+5")], "x-delay"),
            (&[("x-delay", "-")], "x-delay"),
            (&[("x-deliver-at", "99999999999999999999")], "x-deliver-at"),
            (&[("x-header-x-delay", "5")], "x-header-x-delay"),
            (&[("type", "a"), ("type", "b")], "type"),
            (&[("x-header-a", "1"), ("x-header-a", "2")], "x-header-a"),
        ] {
            let problem = read(&headers(list)).unwrap_err();
            assert!(problem.reason().starts_with(name), "{}", problem.reason());
        }
        let mut bytes = HeaderMap::new();
        bytes.insert("app-id", HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(read(&bytes).is_err());
    }

    #[test]
    fn what_http_can_not_carry_is_left_out() {
        let own = Arguments::from_iter([
            ("line", Value::from("a\nb")),
            ("t", Value::Table(Arguments::new())),
            ("bad name", Value::from("x")),
            (DELAY, Value::from("soon")),
            (DELIVER_AT, Value::F64(1.5)),
            ("n", Value::I8(-3)),
        ]);
        let properties = Properties {
            headers: Some(own),
            ..Properties::default()
        };
        let mut out = HeaderMap::new();
        write(&properties, &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out.get("x-header-n").unwrap(), "-3");
    }
}
