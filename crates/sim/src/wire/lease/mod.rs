//! A client of AMQP 0-9-1 that works under leases: it acks in time and too late, has leases made
//! longer, gives messages back at once or for later, and is told when it was too late.
//!
//! Invariants
//! - Whoever asks through `ferry.settle` is answered: what was not done is returned before its
//!   confirm, and nothing else is.
//! - What a client has not settled counts against it, in time or not.

mod book;

use std::collections::{BTreeMap, BTreeSet};

use amqp091::content::Message;
use amqp091::method::{basic, confirm, queue};
use amqp091::properties::{Change, Edit};
use amqp091::table::{Table, Value};
use amqp091::{Method, RawTable, ShortStr};
use ferry_gateway::testing::Protocol;

pub(super) use self::book::Leases;
use self::book::{Asked, Handed, Held, LEASE_MS, Wish};
use super::client::Client;
use super::desk::Desk;
use super::line::{
    AmqpLine, Heard, Line as _, Listener, MaybeLine, listen, method_of, number_of, short,
    take_confirmed, take_tags,
};
use super::pipe::Pipe;
use crate::{Checked, body, violated};

/// The queue.
const QUEUE: &str = "leased";

/// What is published there settles.
const SETTLE: &str = "ferry.settle";

/// The code of what came too late.
const NOT_FOUND: u16 = 404;

/// Deliveries that a consumer has at a time.
const PREFETCH: u16 = 4;

/// Most publishes at a time.
const BURST_MAX: u64 = 2;

/// Most that something is put off, or made longer, in milliseconds.
const WISH_MS_MAX: u64 = 6000;

/// A publish that is not confirmed.
#[derive(Debug)]
enum Said {
    Message(u64),
    Settled {
        tag: u64,
        asked: Asked,
        /// It has come back.
        is_returned: bool,
    },
}

/// What ends with a connection.
#[derive(Default)]
struct State {
    /// Publishes so far, which is the tag of the last; and those that are not confirmed, with when
    /// they were said.
    published: u64,
    unconfirmed: BTreeMap<u64, (u64, Said)>,
    /// The last delivery tag, and what is not settled.
    delivered: u64,
    held: BTreeMap<u64, Held>,
    /// Deliveries for which it has asked for more time, and has no answer.
    extending: BTreeSet<u64>,
    /// What comes now was not handed out before: it comes behind the answer to what was said then.
    since_ms: u64,
}

/// The client.
pub(super) struct LeaseClient {
    number: usize,
    line: Option<AmqpLine>,
    state: State,
    has_declared: bool,
}

/// The headers of a publish that settles.
fn headers_of(tag: u64, wish: Wish) -> Vec<u8> {
    let (outcome, time_ms) = match wish {
        Wish::Accept => ("accept", None),
        Wish::Requeue => ("requeue", None),
        Wish::Delay(time_ms) => ("delay", Some(time_ms)),
        Wish::Extend(time_ms) => ("extend", Some(time_ms)),
    };
    let mut table = Table::default();
    table.push(ShortStr::lit("delivery-tag"), Value::I64(tag as i64));
    table.push(ShortStr::lit("outcome"), outcome);
    if let Some(time_ms) = time_ms {
        table.push(ShortStr::lit("delay"), Value::I64(time_ms as i64));
    }
    let bytes = table.to_bytes();
    let edit = Edit {
        headers: Change::Set(RawTable::new(&bytes)),
        ..Edit::default()
    };
    edit.build()
}

impl LeaseClient {
    pub(super) fn new(number: usize) -> LeaseClient {
        LeaseClient {
            number,
            line: None,
            state: State::default(),
            has_declared: false,
        }
    }

    /// Whether it is open, and no answer is due.
    fn is_quiet(&self) -> bool {
        self.line.as_ref().is_some_and(AmqpLine::is_quiet)
    }

    fn ask_for<'a>(&mut self, method: impl Into<Method<'a>>, due: &'static str) {
        if let Some(line) = &mut self.line {
            line.ask(method, due);
        }
    }

    fn settle_in(&mut self) {
        self.ask_for(confirm::Select::default(), "confirm.select_ok");
        let qos = basic::Qos {
            prefetch_count: PREFETCH,
            ..basic::Qos::default()
        };
        self.ask_for(qos, "basic.qos_ok");
        let mut arguments = Table::default();
        let name = ShortStr::lit("x-lease-timeout");
        arguments.push(name, Value::I64(LEASE_MS as i64));
        let arguments = arguments.to_bytes();
        let declare = queue::Declare {
            queue: ShortStr::lit(QUEUE),
            durable: true,
            arguments: RawTable::new(&arguments),
            ..queue::Declare::default()
        };
        self.ask_for(declare, "queue.declare_ok");
        let consume = basic::Consume {
            queue: ShortStr::lit(QUEUE),
            consumer_tag: ShortStr::lit(QUEUE),
            ..basic::Consume::default()
        };
        self.ask_for(consume, "basic.consume_ok");
    }

    /// Acks one, or all up to it.
    fn ack(&mut self, tag: u64, multiple: bool, desk: &mut Desk<'_>) {
        for held in take_tags(&mut self.state.held, tag, multiple).into_values() {
            desk.trace.line(format!("  acks {held:?}"));
            desk.books.leases.ack(&held, desk.now_ms);
        }
        if let Some(line) = &mut self.line {
            line.say(basic::Ack {
                delivery_tag: tag,
                multiple,
            });
        }
    }

    fn give_back(&mut self, tag: u64, desk: &mut Desk<'_>) {
        if let (Some(held), Some(line)) = (self.state.held.remove(&tag), &mut self.line) {
            desk.trace.line(format!("  gives back {held:?}"));
            desk.books.leases.give_back(&held);
            line.say(basic::Reject {
                delivery_tag: tag,
                requeue: true,
            });
        }
    }

    /// Asks for something, to be told whether it was done.
    fn wish(&mut self, tag: u64, wish: Wish, desk: &mut Desk<'_>) {
        let is_extension = matches!(wish, Wish::Extend(_));
        let (Some(held), Some(line)) = (self.state.held.get(&tag), &mut self.line) else {
            return;
        };
        if is_extension && !self.state.extending.insert(tag) {
            return;
        }
        let asked = desk.books.leases.ask(held, wish, desk.now_ms);
        if !is_extension {
            self.state.held.remove(&tag);
        }
        desk.trace.line(format!("  asks for {asked:?}"));
        self.state.published += 1;
        let number = self.state.published.to_string();
        let publish = basic::Publish {
            exchange: ShortStr::lit(SETTLE),
            routing_key: short(&number),
            ..basic::Publish::default()
        };
        line.publish_with(publish, &headers_of(tag, wish), b"");
        let said = Said::Settled {
            tag,
            asked,
            is_returned: false,
        };
        let entry = (desk.now_ms, said);
        self.state.unconfirmed.insert(self.state.published, entry);
    }

    fn hear_confirm(&mut self, tag: u64, multiple: bool, desk: &mut Desk<'_>) -> Checked {
        let confirmed = take_confirmed(&mut self.state.unconfirmed, tag, multiple)?;
        for (said_ms, said) in confirmed.into_values() {
            self.state.since_ms = self.state.since_ms.max(said_ms);
            match said {
                Said::Message(id) => desk.books.leases.confirm(id),
                Said::Settled {
                    tag,
                    asked,
                    is_returned,
                } => {
                    desk.trace
                        .line(format!("  done {}: {asked:?}", !is_returned));
                    self.state.extending.remove(&tag);
                    (desk.books.leases).answer(&asked, !is_returned, desk.now_ms)?;
                }
            }
        }
        Ok(())
    }

    fn hear_return(&mut self, returned: &basic::Return<'_>) -> Checked {
        let key = returned.routing_key.as_str_lossy();
        let number = key.parse().ok();
        let said = number.and_then(|number| self.state.unconfirmed.get_mut(&number));
        match said {
            Some((_, Said::Settled { is_returned, .. }))
                if returned.reply_code == NOT_FOUND && !*is_returned =>
            {
                *is_returned = true;
                Ok(())
            }
            said => violated!("{} for {key:?}, which is {said:?}", returned.reply_code),
        }
    }

    fn hear_content(&mut self, message: &Message, desk: &mut Desk<'_>) -> Checked {
        let deliver = match method_of(message)? {
            Method::BasicDeliver(deliver) => deliver,
            Method::BasicReturn(returned) => return self.hear_return(&returned),
            method => return violated!("{} with a content", method.name()),
        };
        let count = number_of(message, b"x-delivery-count")?.unwrap_or_default();
        let Some(id) = body::message_of(&message.body) else {
            return violated!("a message that is not whole");
        };
        self.state.delivered += 1;
        let tag = self.state.delivered;
        if deliver.delivery_tag != tag || deliver.consumer_tag.as_bytes() != QUEUE.as_bytes() {
            return violated!("delivery tag {} is out of turn", deliver.delivery_tag);
        }
        let held = Held {
            life: self.life().unwrap_or_default(),
            id,
            count: count as u64,
        };
        let handed = Handed {
            held,
            redelivered: deliver.redelivered,
            since_ms: self.state.since_ms,
            heard_ms: desk.now_ms,
        };
        desk.trace.line(format!("  has {handed:?}"));
        desk.books.leases.deliver(&handed)?;
        self.state.held.insert(tag, held);
        let count = self.state.held.len();
        match count > usize::from(PREFETCH) {
            true => violated!("{count} are not settled, and {PREFETCH} may be"),
            false => Ok(()),
        }
    }
}

impl Listener for LeaseClient {
    type Line = AmqpLine;

    fn telling(&mut self) -> Option<&mut AmqpLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Heard<'_>, desk: &mut Desk<'_>) -> Checked {
        match heard {
            Heard::Opened => self.settle_in(),
            Heard::Content(message) => return self.hear_content(&message, desk),
            Heard::Confirm(ack) => {
                return self.hear_confirm(ack.delivery_tag, ack.multiple, desk);
            }
            Heard::Answer(_) => self.has_declared |= self.is_quiet(),
        }
        Ok(())
    }
}

impl Client for LeaseClient {
    fn protocol(&self) -> Protocol {
        Protocol::Amqp091
    }

    fn name(&self) -> String {
        format!("lease {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, desk: &mut Desk<'_>) {
        self.line = Some(AmqpLine::new(pipe, life));
        self.state = State {
            since_ms: desk.now_ms,
            ..State::default()
        };
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn lose(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        if let Some(life) = self.life() {
            desk.books.leases.lose(life);
        }
        self.state.held.clear();
        self.line.let_go()
    }

    fn open_ends(&self) -> Option<String> {
        let State {
            unconfirmed, held, ..
        } = &self.state;
        let due = self.line.as_ref().map(AmqpLine::due);
        let all_said = self.is_quiet() && unconfirmed.is_empty() && held.is_empty();
        (!all_said).then(|| format!("due {due:?}, unconfirmed {unconfirmed:?}, held {held:?}"))
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
            let id = desk.books.leases.publish();
            self.state.published += 1;
            let said = (desk.now_ms, Said::Message(id));
            self.state.unconfirmed.insert(self.state.published, said);
            line.publish(QUEUE, &body::body(id, desk.body_bytes()));
        }
    }

    fn settle(&mut self, desk: &mut Desk<'_>) {
        let held: Vec<u64> = self.state.held.keys().copied().collect();
        if !self.is_open() || held.is_empty() {
            return;
        }
        let tag = held[desk.random.below(held.len() as u64) as usize];
        let time_ms = desk.random.below(WISH_MS_MAX);
        match desk.random.below(10) {
            0..3 => self.ack(tag, false, desk),
            3 => self.ack(tag, true, desk),
            4 => self.give_back(tag, desk),
            5 => self.wish(tag, Wish::Requeue, desk),
            6 => self.wish(tag, Wish::Delay(time_ms), desk),
            7 => self.wish(tag, Wish::Extend(time_ms), desk),
            _ => self.wish(tag, Wish::Accept, desk),
        }
    }

    fn settle_all(&mut self, desk: &mut Desk<'_>) {
        if let Some((newest, _)) = self.state.held.last_key_value()
            && self.is_open()
        {
            self.ack(*newest, true, desk);
        }
    }

    fn say_goodbye(&mut self, desk: &mut Desk<'_>) -> bool {
        if !self.is_open() {
            return false;
        }
        if let Some(life) = self.life() {
            desk.books.leases.lose(life);
        }
        self.state.held.clear();
        if let Some(line) = &mut self.line {
            line.say_goodbye();
        }
        true
    }

    /// From now on what connections have goes round as they end.
    fn brace(&mut self, desk: &mut Desk<'_>) {
        desk.books.leases.brace();
    }
}
