//! The message format of simulated clients: properties are a table of headers.
//!
//! Invariants
//! - Properties that a client publishes name the message, so that a rewritten message can be
//!   told from a wrong one.

use std::borrow::Cow;

use ferry_broker::{Basics, MessageFormat, MessageId, MessageView};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, Message};
use ferry_core::view::{Operand, Property};

/// The tag of the format in messages.
pub const FORMAT: u8 = 1;

/// The header that names the message.
const NUMBER: &str = "n";

/// The header that has the message's id.
const IDENTITY: &str = "id";

/// Headers as they are, nothing else.
pub struct SimFormat;

impl MessageFormat for SimFormat {
    fn basics(&self, properties: &[u8]) -> Option<Basics> {
        let number = read(properties)?.get(NUMBER).and_then(Value::as_integer);
        Some(Basics {
            persistent: true,
            message_id: number.map(|number| number.to_string()),
            ..Basics::default()
        })
    }

    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        look(&SimView(self.headers(message.properties())));
    }

    fn headers(&self, properties: &[u8]) -> Arguments {
        read(properties).unwrap_or_default()
    }

    fn rewrite(&self, properties: &[u8], headers: &Arguments, _clear: bool) -> Vec<u8> {
        let mut headers = headers.clone();
        // The number is no header, whatever becomes of those.
        if let Some(number) = self.headers(properties).get(NUMBER) {
            headers.insert(NUMBER, number.clone());
        }
        write(&headers)
    }

    fn identity(&self, properties: &[u8]) -> Option<MessageId> {
        let headers = read(properties)?;
        headers.get(IDENTITY).and_then(MessageId::of_value)
    }

    fn expiration(&self, _properties: &[u8]) -> Option<String> {
        None
    }
}

/// A message to look at: two of its properties stand among the headers, by these names.
pub struct SimView(pub Arguments);

impl MessageView for SimView {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Borrowed(&self.0)
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        self.0.header(name)
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        match property {
            Property::MessageId => self.0.header("message-id"),
            Property::ReplyTo => self.0.header("reply-to"),
            _ => None,
        }
    }
}

fn read(properties: &[u8]) -> Option<Arguments> {
    postcard::from_bytes(properties).ok()
}

fn write(headers: &Arguments) -> Vec<u8> {
    postcard::to_stdvec(headers).expect("headers are plain data")
}

/// The properties with which message `id` is published.
#[must_use]
pub fn properties(id: u64) -> Vec<u8> {
    identified(id, None)
}

/// The properties of message `id` with an id of which a queue may take one only.
#[must_use]
pub fn identified(id: u64, identity: Option<u64>) -> Vec<u8> {
    dressed(id, identity, Dress::default())
}

/// The properties of message `id` with these headers.
#[must_use]
pub fn headed(id: u64, more: &[(&str, Value)]) -> Vec<u8> {
    let mut headers = Arguments::new();
    headers.insert(NUMBER, Value::U64(id));
    for (name, value) in more {
        headers.insert(*name, value.clone());
    }
    write(&headers)
}

/// Headers that shards and filters look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dress {
    /// The shard key.
    pub key: Option<u64>,
    /// The color, of [`COLORS`].
    pub color: Option<usize>,
    /// A number.
    pub weight: Option<i64>,
}

/// Colors of messages.
pub const COLORS: [&str; 3] = ["red", "green", "blue"];

/// The same with more headers.
#[must_use]
pub fn dressed(id: u64, identity: Option<u64>, dress: Dress) -> Vec<u8> {
    let mut headers = Arguments::new();
    headers.insert(NUMBER, Value::U64(id));
    if let Some(identity) = identity {
        headers.insert(IDENTITY, Value::U64(identity));
    }
    let text = |text: String| Value::Str(text.into_bytes());
    if let Some(key) = dress.key {
        let number = Value::U64(key);
        let key = if key % 2 == 0 {
            number
        } else {
            text(format!("k{key}"))
        };
        headers.insert("x-shard-key", key);
    }
    if let Some(color) = dress.color {
        headers.insert("color", text(COLORS[color].to_owned()));
    }
    if let Some(weight) = dress.weight {
        headers.insert("weight", Value::I64(weight));
    }
    write(&headers)
}

/// A plain message for the default exchange, to be changed further.
#[must_use]
pub fn plain<'a>(key: &'a str, properties: &'a [u8], body: &'a [u8]) -> Draft<'a> {
    Draft {
        format: FORMAT,
        routing_key: key.as_bytes(),
        properties,
        body,
        ..Draft::default()
    }
}

/// A death of a message: the queue and the reason.
pub type Death = (String, String);

/// The message and its deaths, the latest first, as its properties tell them.
#[must_use]
pub fn history(properties: &[u8]) -> Option<(u64, Vec<Death>)> {
    let headers = read(properties)?;
    let id = headers.get(NUMBER)?.as_integer()?;
    let mut deaths = Vec::new();
    if let Some(Value::Array(entries)) = headers.get("x-death") {
        for entry in entries {
            let entry = entry.as_table()?;
            let text = |name: &str| {
                let bytes = entry.get(name)?.as_bytes()?;
                Some(String::from_utf8_lossy(bytes).into_owned())
            };
            deaths.push((text("queue")?, text("reason")?));
        }
    }
    Some((u64::try_from(id).ok()?, deaths))
}
