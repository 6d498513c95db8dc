//! A publish by MQTT as AMQP 0-9-1 consumers get it.
//!
//! Invariants
//! - Headers have no name twice. What the broker added comes first, then what this map writes,
//!   then user properties in their order.
//! - The block fits a frame of the size that is given: headers that there is no room for are left
//!   out, and counted in one more header.

use amqp091::properties::{Change, EMPTY, Edit};
use amqp091::{RawTable, ShortStr, Table, Value};
use ferry_core::Millis;
use ferry_core::message::Message;
use hashbrown::HashSet;

use super::{
    CONTENT_TYPE, CORRELATION_ID, LEFT_OUT, PAYLOAD_FORMAT, PUBLISH_QOS, REPLY_TO_TOPIC, RETAIN,
    TOPIC, USER_PROPERTIES, carried, is_reserved, swapped,
};
use crate::mqtt::block::Block;

/// What a frame holds beside headers: its own head and end, all properties that are no headers,
/// and the few headers that a delivery adds.
const BESIDE_HEADERS_BYTES_MAX: usize = 3 << 10;

/// Milliseconds of a second.
const SECOND_MS: u64 = 1000;

/// The property block of a message that came by MQTT, for a client that takes frames of that size.
pub(crate) fn to_amqp091(message: &Message<'_>, frame_bytes_max: u32) -> Vec<u8> {
    let Some(block) = Block::parse(message.properties()) else {
        return EMPTY.to_vec();
    };
    let room = (frame_bytes_max as usize).saturating_sub(BESIDE_HEADERS_BYTES_MAX);
    let arrival = Arrival {
        routing_key: message.routing_key(),
        published_ms: message.published_ms(),
    };
    properties(&block, Some(arrival), room)
}

/// What is known of a message beside its properties.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// The routing key, which may be longer than AMQP can say.
    pub(crate) routing_key: &'a [u8],
    /// When the broker took it.
    pub(crate) published_ms: Millis,
}

/// The same with at most so many bytes of headers.
pub(crate) fn properties(block: &Block<'_>, arrival: Option<Arrival<'_>>, room: usize) -> Vec<u8> {
    let mut headers = Headers {
        room,
        ..Headers::default()
    };
    let from = block.properties;
    for (name, value) in block.headers.iter().map_while(Result::ok) {
        if let Ok(value) = value.decode() {
            headers.put(name.as_bytes(), value);
        }
    }
    // The type that RabbitMQ 3 writes it with.
    headers.put(PUBLISH_QOS.as_bytes(), Value::I8(block.qos as i8));
    if block.retain {
        headers.put(RETAIN.as_bytes(), Value::Bool(true));
    }
    if let Some(format) = from.payload_format() {
        headers.put(PAYLOAD_FORMAT.as_bytes(), Value::I8(format.into()));
    }
    let key = arrival.map(|arrival| arrival.routing_key);
    if let Some(key) = key.filter(|key| ShortStr::new(key).is_none()) {
        headers.put(TOPIC.as_bytes(), long(&swapped(key)));
    }
    let content_type = from.content_type().map(str::as_bytes);
    let content_type = headers.short_or(CONTENT_TYPE, content_type);
    let correlation_id = headers.short_or(CORRELATION_ID, from.correlation_data());
    if let Some(topic) = from.response_topic() {
        headers.put(REPLY_TO_TOPIC.as_bytes(), long(&swapped(topic.as_bytes())));
    }
    let mut edit = Edit {
        delivery_mode: Change::Set(if block.qos > 0 { 2 } else { 1 }),
        content_type,
        correlation_id,
        ..Edit::default()
    };
    let mut pairs = Vec::new();
    // Properties come first on the way back: what comes behind a value of its name that was no
    // property is none either.
    let mut behind: HashSet<&str, foldhash::fast::RandomState> = HashSet::default();
    for (name, value) in from.user_properties() {
        if !behind.contains(name) && take(&mut edit, name, value) {
            continue;
        }
        if name.starts_with(carried::PREFIX) {
            behind.insert(name);
        }
        if !headers.user(name, value) {
            pairs.push((name, value));
        }
    }
    headers.pairs(&pairs);
    let table = headers.finished();
    let expiration = from.message_expiry();
    let expiration = expiration.map(|seconds| (u64::from(seconds) * SECOND_MS).to_string());
    if let Some(text) = &expiration {
        edit.expiration = Change::Set(ShortStr::clipped(text.as_bytes()));
        // What is left of it can be told from that.
        let came = arrival.map(|arrival| arrival.published_ms / SECOND_MS);
        if let Some(seconds) = came {
            set(&mut edit.timestamp, seconds);
        }
    }
    edit.headers = Change::Set(RawTable::new(&table));
    edit.build()
}

/// Makes a user property the property that it carries; false if it carries none, not a valid one,
/// or one that another has carried before.
fn take<'a>(edit: &mut Edit<'a>, name: &str, value: &'a str) -> bool {
    let short = |place: &mut Change<ShortStr<'a>>| match ShortStr::new(value.as_bytes()) {
        Some(text) => set(place, text),
        None => false,
    };
    match name {
        carried::CONTENT_ENCODING => short(&mut edit.content_encoding),
        carried::REPLY_TO => short(&mut edit.reply_to),
        carried::MESSAGE_ID => short(&mut edit.message_id),
        carried::TYPE => short(&mut edit.type_),
        carried::APP_ID => short(&mut edit.app_id),
        carried::CLUSTER_ID => short(&mut edit.cluster_id),
        carried::PRIORITY => number(value).is_some_and(|number| set(&mut edit.priority, number)),
        carried::TIMESTAMP => number(value).is_some_and(|number| set(&mut edit.timestamp, number)),
        _ => false,
    }
}

fn set<T: PartialEq>(place: &mut Change<T>, value: T) -> bool {
    let free = *place == Change::Keep;
    if free {
        *place = Change::Set(value);
    }
    free
}

/// A number that is written in one way only: no sign, no zeros in front.
pub(crate) fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn long(bytes: &[u8]) -> Value {
    Value::LongStr(bytes.into())
}

/// A table of headers in the making.
#[derive(Default)]
struct Headers {
    table: Table,
    names: HashSet<Box<[u8]>, foldhash::fast::RandomState>,
    /// Bytes that may still be added.
    room: usize,
    left_out: u32,
    scratch: Vec<u8>,
}

impl Headers {
    /// Adds a header if its name is new and free; counts it if there is no room.
    fn put(&mut self, name: &[u8], value: Value) {
        let Some(short) = ShortStr::new(name) else {
            return;
        };
        // The count of what is left out is written at the end.
        if name == LEFT_OUT.as_bytes() || self.names.contains(name) {
            return;
        }
        self.scratch.clear();
        value.encode(&mut self.scratch);
        let bytes = 1 + name.len() + self.scratch.len();
        match self.room.checked_sub(bytes) {
            None => self.left_out = self.left_out.saturating_add(1),
            Some(room) => {
                self.room = room;
                self.names.insert(name.into());
                self.table.push(short, value);
            }
        }
    }

    /// The property of these bytes; if it can not hold them, a header of that name does.
    fn short_or<'a>(&mut self, name: &str, bytes: Option<&'a [u8]>) -> Change<ShortStr<'a>> {
        let Some(bytes) = bytes else {
            return Change::Keep;
        };
        let is_text = !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
        match ShortStr::new(bytes).filter(|_| is_text) {
            Some(short) => Change::Set(short),
            None => {
                self.put(name.as_bytes(), long(bytes));
                Change::Keep
            }
        }
    }

    /// Adds a user property; false if its name can not be that of a header.
    fn user(&mut self, name: &str, value: &str) -> bool {
        let bytes = name.as_bytes();
        let fits = ShortStr::new(bytes).is_some() && !is_reserved(bytes);
        let free = fits && !self.names.contains(bytes);
        if free {
            self.put(bytes, Value::from(value));
        }
        free
    }

    /// Adds the user properties that are no headers.
    fn pairs(&mut self, pairs: &[(&str, &str)]) {
        if pairs.is_empty() {
            return;
        }
        let pair = |(name, value): &(&str, &str)| {
            Value::from(vec![Value::from(*name), Value::from(*value)])
        };
        let list = Value::from(pairs.iter().map(pair).collect::<Vec<_>>());
        self.put(USER_PROPERTIES.as_bytes(), list);
    }

    /// The table's bytes.
    fn finished(mut self) -> Vec<u8> {
        if self.left_out > 0 {
            // There is always room for it: it is one of the few that a delivery adds.
            let count = Value::I64(self.left_out.into());
            self.table.push(ShortStr::lit(LEFT_OUT), count);
        }
        self.table.to_bytes()
    }
}
