//! A client of AMQP 0-9-1 that writes a stream and reads it, from anywhere, again and again.
//!
//! Invariants
//! - Confirms are for what was published and not confirmed; offsets are consecutive.
//! - A reader begins where it asked to: at an offset, at the beginning, behind what was there.

mod book;

use std::collections::BTreeMap;

use amqp091::content::Message;
use amqp091::method::{basic, confirm, queue};
use amqp091::table::{Table, Value};
use amqp091::{Method, RawTable, ShortStr};
use ferry_gateway::testing::Protocol;

use self::book::Book;
use super::client::Client;
use super::desk::Desk;
use super::line::{
    AmqpLine, Heard, Line as _, Listener, MaybeLine, listen, method_of, number_of, short,
    take_confirmed,
};
use super::pipe::Pipe;
use crate::{Checked, body, violated};

/// The stream.
const STREAM: &str = "stream";

/// Deliveries of a reader that wait for an answer.
const PREFETCH: u16 = 10;

/// Most publishes at a time.
const BURST_MAX: u64 = 4;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    First,
    Last,
    /// Behind all that was known to be there.
    Next(Option<u64>),
    Offset(u64),
}

/// A reader.
#[derive(Debug)]
struct Reader {
    tag: String,
    from: From,
    /// The offset that it gets next, once it has got one.
    next: Option<u64>,
    /// The last delivery tag before its own.
    behind: u64,
    /// It is to end.
    ending: bool,
}

/// What ends with a connection.
#[derive(Default)]
struct State {
    /// Publishes so far, which is the tag of the last, and what is not confirmed.
    published: u64,
    unconfirmed: BTreeMap<u64, u64>,
    /// The last delivery tag, and the last that was settled.
    delivered: u64,
    settled: u64,
    reader: Option<Reader>,
    readers: u64,
}

/// The client.
#[derive(Default)]
pub(super) struct StreamClient {
    line: Option<AmqpLine>,
    state: State,
    book: Book,
    has_declared: bool,
    retired: bool,
}

fn table(name: &'static str, value: impl Into<Value>) -> Vec<u8> {
    let mut table = Table::default();
    table.push(ShortStr::lit(name), value);
    table.to_bytes()
}

impl StreamClient {
    /// Whether it is open, and no answer is due.
    fn is_quiet(&self) -> bool {
        self.line.as_ref().is_some_and(AmqpLine::is_quiet)
    }

    fn ask<'a>(&mut self, method: impl Into<Method<'a>>, due: &'static str) {
        if let Some(line) = &mut self.line {
            line.ask(method, due);
        }
    }

    fn settle_in(&mut self) {
        self.ask(confirm::Select::default(), "confirm.select_ok");
        let qos = basic::Qos {
            prefetch_count: PREFETCH,
            ..basic::Qos::default()
        };
        self.ask(qos, "basic.qos_ok");
        let arguments = table("x-queue-type", "stream");
        let declare = queue::Declare {
            queue: ShortStr::lit(STREAM),
            durable: true,
            arguments: RawTable::new(&arguments),
            ..queue::Declare::default()
        };
        self.ask(declare, "queue.declare_ok");
        if self.retired {
            self.read_from(From::First);
        }
    }

    fn read_from(&mut self, from: From) {
        self.state.readers += 1;
        let tag = format!("r{}", self.state.readers);
        let arguments = match from {
            From::First => table("x-stream-offset", "first"),
            From::Last => table("x-stream-offset", "last"),
            From::Next(_) => table("x-stream-offset", "next"),
            From::Offset(offset) => table("x-stream-offset", Value::I64(offset as i64)),
        };
        let consume = basic::Consume {
            queue: ShortStr::lit(STREAM),
            consumer_tag: short(&tag),
            arguments: RawTable::new(&arguments),
            ..basic::Consume::default()
        };
        self.ask(consume, "basic.consume_ok");
        self.state.reader = Some(Reader {
            tag,
            from,
            next: None,
            behind: self.state.delivered,
            ending: false,
        });
    }

    fn hear_confirm(&mut self, tag: u64, multiple: bool) -> Checked {
        let confirmed = take_confirmed(&mut self.state.unconfirmed, tag, multiple)?;
        for id in confirmed.into_values() {
            self.book.confirm(id);
        }
        Ok(())
    }

    fn hear_delivery(&mut self, message: &Message, desk: &mut Desk<'_>) -> Checked {
        let deliver = match method_of(message)? {
            Method::BasicDeliver(deliver) => deliver,
            method => return violated!("{} with a content", method.name()),
        };
        let offset = number_of(message, b"x-stream-offset")?;
        let (Some(offset), Some(id)) = (offset, body::message_of(&message.body)) else {
            return violated!("a message of the stream without an offset, or not whole");
        };
        let offset = offset as u64;
        desk.trace.line(format!("  stream has {id} at {offset}"));
        self.state.delivered += 1;
        if deliver.delivery_tag != self.state.delivered || deliver.redelivered {
            return violated!("delivery tag {} is out of turn", deliver.delivery_tag);
        }
        self.check_offset(deliver.consumer_tag.as_bytes(), offset)?;
        self.book.read(offset, id)
    }

    fn check_offset(&mut self, tag: &[u8], offset: u64) -> Checked {
        let reader = self.state.reader.as_mut();
        let Some(reader) = reader.filter(|reader| reader.tag.as_bytes() == tag) else {
            return violated!("a delivery to {}, which is not there", tag.escape_ascii());
        };
        let is_right = match (reader.next, reader.from) {
            (Some(next), _) => offset == next,
            (None, From::First) => offset == 0,
            (None, From::Offset(wanted)) => offset == wanted,
            (None, From::Next(behind)) => behind.is_none_or(|behind| offset > behind),
            (None, From::Last) => true,
        };
        if !is_right {
            return violated!("offset {offset} comes to {reader:?}");
        }
        reader.next = Some(offset + 1);
        let unsettled = self.state.delivered - self.state.settled.max(reader.behind);
        if unsettled > u64::from(PREFETCH) {
            return violated!("{unsettled} are not settled, and {PREFETCH} may be");
        }
        Ok(())
    }
}

impl Listener for StreamClient {
    type Line = AmqpLine;

    fn telling(&mut self) -> Option<&mut AmqpLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Heard<'_>, desk: &mut Desk<'_>) -> Checked {
        match heard {
            Heard::Opened => self.settle_in(),
            Heard::Content(message) => return self.hear_delivery(&message, desk),
            Heard::Confirm(ack) => return self.hear_confirm(ack.delivery_tag, ack.multiple),
            Heard::Answer(method) => {
                self.has_declared |= self.is_quiet();
                if let Method::BasicCancelOk(_) = method {
                    self.state.reader = None;
                    if self.retired {
                        self.read_from(From::First);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Client for StreamClient {
    fn protocol(&self) -> Protocol {
        Protocol::Amqp091
    }

    fn name(&self) -> String {
        "stream".to_owned()
    }

    fn connect(&mut self, pipe: Pipe, life: u64, _desk: &mut Desk<'_>) {
        self.line = Some(AmqpLine::new(pipe, life));
        self.state = State::default();
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn open_ends(&self) -> Option<String> {
        let unconfirmed = &self.state.unconfirmed;
        let due = self.line.as_ref().map(AmqpLine::due);
        let missing = self.book.missing();
        let all_said = self.is_quiet() && unconfirmed.is_empty();
        let all_read = !self.retired || missing.is_empty();
        (!all_said || !all_read)
            .then(|| format!("due {due:?}, unconfirmed {unconfirmed:?}, not read {missing:?}"))
    }

    fn is_ready(&self) -> bool {
        self.has_declared
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        listen(self, bytes, desk)
    }

    fn publish(&mut self, desk: &mut Desk<'_>) {
        let Some(line) = self.line.as_mut().filter(|line| line.is_open()) else {
            return;
        };
        for _ in 0..=desk.random.below(BURST_MAX) {
            let id = self.book.publish(line.end().life);
            self.state.published += 1;
            self.state.unconfirmed.insert(self.state.published, id);
            line.publish(STREAM, &body::body(id, desk.body_bytes()));
        }
    }

    fn settle(&mut self, desk: &mut Desk<'_>) {
        if self.state.reader.is_none() {
            return self.consume(desk);
        }
        self.settle_all(desk);
    }

    fn settle_all(&mut self, _desk: &mut Desk<'_>) {
        let tag = self.state.delivered;
        if let Some(line) = self.line.as_mut().filter(|line| line.is_open())
            && tag > self.state.settled
        {
            self.state.settled = tag;
            line.say(basic::Ack {
                delivery_tag: tag,
                multiple: true,
            });
        }
    }

    fn consume(&mut self, desk: &mut Desk<'_>) {
        if !self.is_open() || self.state.reader.is_some() {
            return;
        }
        let safe = self.book.safe();
        let from = match desk.random.below(6) {
            0 => From::First,
            1 => From::Last,
            2 => From::Next(safe),
            _ => From::Offset(desk.random.below(safe.unwrap_or(0) + 3)),
        };
        desk.trace.line(format!("  reads from {from:?}"));
        self.read_from(from);
    }

    fn cancel(&mut self, _desk: &mut Desk<'_>) {
        let is_open = self.is_open();
        let reader = self.state.reader.as_mut().filter(|reader| !reader.ending);
        if let Some(reader) = reader.filter(|_| is_open) {
            reader.ending = true;
            let tag = reader.tag.clone();
            let cancel = basic::Cancel {
                consumer_tag: short(&tag),
                no_wait: false,
            };
            self.ask(cancel, "basic.cancel_ok");
        }
    }

    fn say_goodbye(&mut self, _desk: &mut Desk<'_>) -> bool {
        if let Some(line) = self.line.as_mut().filter(|line| line.is_open()) {
            line.say_goodbye();
            return true;
        }
        false
    }

    fn go_down(&mut self, _desk: &mut Desk<'_>) {
        self.book.go_down();
    }

    /// It reads everything once more.
    fn retire(&mut self, desk: &mut Desk<'_>) {
        self.retired = true;
        match self.state.reader {
            Some(_) => self.cancel(desk),
            None if self.is_open() => self.read_from(From::First),
            None => {}
        }
    }
}
