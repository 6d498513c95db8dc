//! The one message that a gathering comes to.
//!
//! Its body is the bodies of the replies, one after the other in the order of their arrival; its
//! headers tell of each how long it is and what came with it.
//!
//! Invariants
//! - What is told of replies goes into one frame: where there is no room for all of it, a reply is
//!   told of by its length and time, and after that not at all. The count is always told.

use std::sync::Arc;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, Message};
use ferry_core::view::{MessageView, Operand, Property};

use super::GatherSpec;
use crate::{Broker, Burst, MessageFormat, Metrics, Publisher};

/// Whether as many replies came as were asked for.
const COMPLETE: &str = "x-gather-complete";

/// How many came. Not the name of the request's header: an answer that is sent on is no request.
const RECEIVED: &str = "x-gather-received";

/// What is told of each.
const REPLIES: &str = "x-gather-replies";

/// What is told of all replies of one gathering, in bytes on a wire.
const TOLD_BYTES_MAX: usize = 96 << 10;

/// The properties of a reply that are told, by their names.
const TOLD: [(&str, Property); 6] = [
    ("content_type", Property::ContentType),
    ("content_encoding", Property::ContentEncoding),
    ("app_id", Property::AppId),
    ("type", Property::Type),
    ("message_id", Property::MessageId),
    ("correlation_id", Property::CorrelationId),
];

/// The replies so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub count: u64,
    body: Vec<u8>,
    told: Vec<Value>,
    told_bytes: usize,
}

impl Gathered {
    /// Adds a reply.
    pub fn add(
        &mut self,
        message: &Message<'_>,
        format: Option<&Arc<dyn MessageFormat>>,
        received_ms: u64,
    ) {
        self.count += 1;
        self.body.extend_from_slice(message.body());
        let mut short = Arguments::new();
        short.insert("bytes", Value::I64(message.body().len() as i64));
        short.insert("received_ms", Value::I64(received_ms as i64));
        let mut full = short.clone();
        if let Some(format) = format {
            format.view(message, &mut |view| describe(view, &mut full));
        }
        if self.told.len() as u64 + 1 == self.count && !self.tell(full) {
            self.tell(short);
        }
    }

    fn tell(&mut self, table: Arguments) -> bool {
        let table = Value::Table(table);
        let bytes = wire_bytes(&table);
        let fits = self.told_bytes + bytes <= TOLD_BYTES_MAX;
        if fits {
            self.told_bytes += bytes;
            self.told.push(table);
        }
        fits
    }
}

fn describe(view: &dyn MessageView, table: &mut Arguments) {
    for (name, property) in TOLD {
        if let Some(Operand::Text(text)) = view.property(property) {
            table.insert(name, Value::Str(text.to_vec()));
        }
    }
    let headers = view.headers().into_owned();
    if !headers.is_empty() {
        table.insert("headers", Value::Table(headers));
    }
}

/// At most so many bytes on a wire. Headers were depth-limited when they came in.
fn wire_bytes(value: &Value) -> usize {
    match value {
        Value::Str(bytes) | Value::Bytes(bytes) => 5 + bytes.len(),
        Value::Array(values) => 5 + values.iter().map(wire_bytes).sum::<usize>(),
        Value::Table(table) => {
            let fields = table.iter();
            let fields = fields.map(|(name, value)| 1 + name.len() + wire_bytes(value));
            5 + fields.sum::<usize>()
        }
        _ => 9,
    }
}

/// An answer that is to be published.
pub(crate) struct Answer {
    pub(super) vhost: Arc<str>,
    pub(super) spec: GatherSpec,
    pub(super) complete: bool,
    pub(super) gathered: Gathered,
    /// In the account of memory.
    pub(super) bytes: usize,
}

impl Broker {
    /// Publishes the answer of a gathering. Called with nothing held.
    pub(crate) fn send_answer(&self, answer: Answer) {
        let Answer {
            vhost,
            spec,
            complete,
            gathered,
            bytes,
        } = answer;
        let format = self.options.formats.get(spec.format);
        let (Some(vhost), Some(format)) = (self.vhost(&vhost), format) else {
            return self.pressure.account(-(bytes as i64));
        };
        let mut headers = Arguments::new();
        headers.insert(COMPLETE, complete);
        headers.insert(RECEIVED, Value::I64(gathered.count as i64));
        headers.insert(REPLIES, Value::Array(gathered.told));
        let properties = format.rewrite(&spec.properties, &headers, false);
        let draft = Draft {
            format: spec.format,
            persistent: spec.persistent,
            dead_lettered: false,
            priority: 0,
            ttl_ms: None,
            published_ms: self.now(),
            deliver_at: None,
            id: None,
            exchange: b"",
            routing_key: &spec.reply_to,
            properties: &properties,
            body: &gathered.body,
        };
        let mut burst = Burst::new();
        let mut publisher = Publisher::new(vhost);
        let mut head = Vec::new();
        let body: &[u8] = b"";
        Draft { body, ..draft }.encode(&mut head);
        let head = Message::parse(&head).expect("what was encoded is a message");
        format.view(&head, &mut |view| {
            let published = burst.publish(self, &mut publisher, &draft, view, None);
            if let Err(error) = published {
                tracing::error!("an answer is not published: {error}");
            }
        });
        // No client published it.
        (burst.published, burst.routed) = (0, 0);
        burst.submit(self);
        Metrics::add(&self.metrics.gathers_answered, 1);
        self.pressure.account(-(bytes as i64));
    }
}

#[cfg(test)]
mod tests {
    use ferry_core::message::FORMAT_AMQP091;

    use super::*;

    fn reply(body: &[u8]) -> Vec<u8> {
        let draft = Draft {
            format: FORMAT_AMQP091,
            persistent: false,
            dead_lettered: false,
            priority: 0,
            ttl_ms: None,
            published_ms: 0,
            deliver_at: None,
            id: None,
            exchange: b"",
            routing_key: b"",
            properties: b"",
            body,
        };
        let mut stored = Vec::new();
        draft.encode(&mut stored);
        stored
    }

    #[test]
    fn what_is_told_of_many_replies_stays_within_a_frame() {
        let mut gathered = Gathered::default();
        let stored = reply(b"1234");
        for _ in 0..10_000 {
            gathered.add(&Message::parse(&stored).unwrap(), None, 5);
        }
        assert_eq!((gathered.count, gathered.body.len()), (10_000, 40_000));
        assert!(gathered.told_bytes <= TOLD_BYTES_MAX);
        let told = gathered.told.len();
        assert!((2000..10_000).contains(&told), "{told}");
    }

    #[test]
    fn a_reply_with_much_to_tell_is_told_of_briefly() {
        let mut gathered = Gathered::default();
        let mut large = Arguments::new();
        large.insert("bytes", 5i64);
        large.insert("headers", Value::Str(vec![b'x'; TOLD_BYTES_MAX]));
        assert!(!gathered.tell(large));
        gathered.add(&Message::parse(&reply(b"1234")).unwrap(), None, 7);
        let told = gathered.told[0].as_table().unwrap();
        assert_eq!(told.get("bytes"), Some(&Value::I64(4)));
        assert_eq!(told.get("received_ms"), Some(&Value::I64(7)));
    }
}
