//! Messages as the API gives them, and the conditions that choose some of them.
//!
//! Invariants
//! - A body is written as it is, byte by byte, but to a terminal, where it is escaped.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use super::outcome::Failure;
use crate::client::path;
use crate::show::{self, Terminal, escape_body};

/// The path of the messages of a queue, and of what is done to them.
pub(super) fn path_of(vhost: &str, queue: &str, act: &[&str]) -> String {
    let mut segments = vec!["ferry", "queues", vhost, queue];
    segments.extend(act);
    path(&segments)
}

/// Which messages of a queue.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which messages")]
pub(super) struct Matching {
    /// Selector that they match, such as "country = 'DE' AND amount > 100"
    #[arg(long, value_name = "SELECTOR")]
    filter: Option<String>,
    /// Message id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Text that is in the body
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Why they are dead letters: rejected, expired, maxlen, delivery_limit
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Came at or after this time: ms since 1970, or so long ago, such as 90s, 15min, 2h, 3d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<u64>,
    /// Came before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<u64>,
}

impl Matching {
    pub fn is_empty(&self) -> bool {
        self.fields().next().is_none()
    }

    fn fields(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let number = |number: Option<u64>| number.map(|number| json!(number));
        let all = [
            ("filter", text(&self.filter)),
            ("id", text(&self.id)),
            ("text", text(&self.text)),
            ("reason", text(&self.reason)),
            ("from", number(self.from)),
            ("to", number(self.to)),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }

    /// As the pairs of a query.
    pub fn query(&self) -> Vec<(&'static str, Option<String>)> {
        let as_text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.fields()
            .map(|(name, value)| (name, Some(as_text(value))))
            .collect()
    }

    /// As the fields of a body.
    pub fn body(&self) -> Map<String, Value> {
        self.fields()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// Ms since 1970, or a time so long ago.
pub(super) fn parse_time(text: &str) -> Result<u64, String> {
    let wanted = "wanted are ms since 1970, or a time ago such as 90s, 15min, 2h, 3d";
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| wanted)?;
    let unit = match unit {
        "" => return Ok(number),
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wanted.to_owned()),
    };
    Ok(now_ms().saturating_sub(number.saturating_mul(unit)))
}

/// Ms since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// The bytes of a message's body.
pub(super) fn body(message: &Value) -> Result<Vec<u8>, Failure> {
    let payload = message["payload"].as_str().unwrap_or_default();
    match message["payload_encoding"].as_str() {
        Some("base64") => STANDARD
            .decode(payload)
            .map_err(|error| Failure::Failed(format!("a body is no base64: {error}"))),
        _ => Ok(payload.as_bytes().to_vec()),
    }
}

/// A body as fields of a message that is sent to the API.
pub(super) fn payload(body: &[u8]) -> (Value, &'static str) {
    match std::str::from_utf8(body) {
        Ok(text) => (json!(text), "string"),
        Err(_) => (json!(STANDARD.encode(body)), "base64"),
    }
}

/// What is written for one message: its JSON on a line, or its body and the end of a line.
pub(super) fn written(
    message: &Value,
    as_json: bool,
    terminal: Terminal,
) -> Result<Vec<u8>, Failure> {
    if as_json {
        return Ok(show::json_line(message).into_bytes());
    }
    let mut bytes = body(message)?;
    if terminal.is_terminal {
        bytes = escape_body(&String::from_utf8_lossy(&bytes))
            .into_owned()
            .into_bytes();
    }
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(parse_time("1700000000000"), Ok(1_700_000_000_000));
        for (text, ago) in [
            ("90s", 90_000),
            ("15min", 900_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            let found = parse_time(text).unwrap();
            let wanted = now_ms() - ago;
            assert!(wanted - found < 10_000, "{text}");
        }
        for text in ["", "h", "1w", "-1", "1.5h", "99999999999999999999"] {
            parse_time(text).expect_err(text);
        }
        assert_eq!(parse_time("99999999999999999d"), Ok(0));
    }

    #[test]
    fn bodies_come_back_as_they_were() {
        for bytes in [&b"text"[..], b"", b"\xff\x00\x1b[2J", "ü\n".as_bytes()] {
            let (payload, encoding) = payload(bytes);
            let message = json!({ "payload": payload, "payload_encoding": encoding });
            assert_eq!(body(&message).unwrap(), bytes);
        }
        body(&json!({ "payload": "?", "payload_encoding": "base64" })).unwrap_err();
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let terminal = |is_terminal| Terminal {
            is_terminal,
            columns: None,
            rows: None,
            colours: false,
        };
        let message = json!({ "payload": "a\u{1b}b", "payload_encoding": "string" });
        assert_eq!(
            written(&message, false, terminal(false)).unwrap(),
            b"a\x1bb\n"
        );
        assert_eq!(
            written(&message, false, terminal(true)).unwrap(),
            b"a\\u{1b}b\n"
        );
    }
}
