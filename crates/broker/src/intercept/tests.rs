//! Rules as they are read, and messages that keep or break them.

use ferry_core::arguments::Arguments;
use ferry_core::message::FORMAT_AMQP091;

use super::*;

mod amended;
mod bodies;
mod refused;

/// A message with headers and some properties.
#[derive(Default)]
struct Posted {
    headers: Arguments,
    properties: Vec<Property>,
}

impl Posted {
    fn new(headers: &[(&str, Value)], properties: &[Property]) -> Posted {
        Posted {
            headers: headers.iter().cloned().collect(),
            properties: properties.to_vec(),
        }
    }
}

impl MessageView for Posted {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Borrowed(&self.headers)
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        self.headers.header(name)
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        let given = self.properties.contains(&property);
        given.then_some(Operand::Text(b"given"))
    }
}

/// JSON as a request would bring it.
fn value(json: &str) -> Value {
    fn read(json: serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Void,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Value::I64(integer),
                None => number
                    .as_u64()
                    .map_or_else(|| Value::F64(number.as_f64().unwrap()), Value::U64),
            },
            Json::String(text) => Value::from(text),
            Json::Array(values) => Value::Array(values.into_iter().map(read).collect()),
            Json::Object(map) => {
                let pairs = map.into_iter().map(|(name, value)| (name, read(value)));
                Value::Table(pairs.collect())
            }
        }
    }
    read(serde_json::from_str(json).unwrap())
}

fn rules(definition: &str) -> Result<Interceptor, String> {
    let mut interceptor = Interceptor::default();
    for (name, value) in value(definition).as_table().unwrap().iter() {
        assert!(interceptor.read(name, value)?, "{name} is a rule");
    }
    interceptor.contradiction().map_or(Ok(interceptor), Err)
}

/// The rows of a table: lines with their columns between bars.
fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    table.trim().lines().map(|line| {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        columns.try_into().unwrap_or_else(|_| panic!("{line}"))
    })
}

/// How a message breaks the rules, or nothing.
fn check(definition: &str, view: &Posted, body: &[u8]) -> String {
    let broken = rules(definition).unwrap().check(body, view).err();
    let told = broken.map(|broken| format!("{}: {}", broken.rule, broken.why));
    told.unwrap_or_default()
}

fn draft(exchange: &[u8]) -> Draft<'_> {
    Draft {
        format: FORMAT_AMQP091,
        exchange,
        ..Draft::default()
    }
}

/// Rules, headers, what else is given, the body, and what is wrong.
const MESSAGES: &str = r#"
{"max-message-bytes":3} | {} | | abc |
{"max-message-bytes":3} | {} | | abcd | max-message-bytes: 4 bytes are more than 3
{"require":["message_id"]} | {} | message_id | |
{"require":["message_id"]} | {} | type | | require: message_id is missing
{"require":["type","headers.a"]} | {"a":{}} | type | |
{"require":["type","headers.a"]} | {"b":1} | type | | require: headers.a is missing
{"kind-strict":true} | {} | | |
{"kind-strict":true} | {"x-kind":"document"} | | |
{"kind-strict":true} | {"x-kind":"query"} | reply_to | |
{"kind-strict":true} | {"x-kind":"query"} | type | | kind-strict: a query needs reply_to
{"kind-strict":true} | {"x-kind":"Event"} | | | kind-strict: x-kind 'Event' is none of
{"kind-strict":true} | {"x-kind":1} | | | kind-strict: x-kind is no text
{"kind-strict":true} | {"x-kind":{}} | | | kind-strict: x-kind is no text
{"kind-strict":false,"stamp-time":true} | {"x-kind":"bogus"} | | |
"#;

#[test]
fn messages_keep_and_break_rules() {
    for [definition, headers, property, body, why] in rows(MESSAGES) {
        let view = Posted {
            headers: value(headers).as_table().unwrap().clone(),
            properties: match property {
                "message_id" => vec![Property::MessageId],
                "reply_to" => vec![Property::ReplyTo],
                "type" => vec![Property::Type],
                none => {
                    assert_eq!(none, "");
                    vec![]
                }
            },
        };
        let found = check(definition, &view, body.as_bytes());
        assert!(found.starts_with(why), "{definition} {headers}: {found}");
        assert_eq!(
            found.is_empty(),
            why.is_empty(),
            "{definition} {headers}: {found}"
        );
    }
}

#[test]
fn commands_alone_mind_how_many_queues_they_reach() {
    for (kind, queues, fits) in [
        (Kind::Command, 0, false),
        (Kind::Command, 1, true),
        (Kind::Command, 2, false),
        (Kind::Event, 0, true),
        (Kind::Event, 9, true),
        (Kind::Query, 0, true),
        (Kind::Document, 2, true),
    ] {
        assert_eq!(kind.fits(queues).is_ok(), fits, "{kind:?} {queues}");
    }
}

#[test]
fn what_is_clipped_is_whole_characters() {
    for (text, max, expected) in [("abc", 3, "abc"), ("abcd", 3, "..."), ("éééé", 6, "é...")] {
        assert_eq!(clipped(text.to_owned(), max), expected);
    }
}
