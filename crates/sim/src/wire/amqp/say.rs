//! What a client of AMQP says.

use amqp091::method::{basic, channel, confirm, exchange, queue};
use amqp091::table::Table;
use amqp091::{Method, RawTable, ShortStr};

use super::{AmqpClient, CONSUMES, Channel, Connection, Consuming, Due, queue_name};
use crate::body;
use crate::wire::desk::{
    Desk, LAST_WORDS_PERCENT, LIMITED, LIMITED_TOPIC, QUEUES, TOPICS, UNACKED, places_of,
};
use crate::wire::ledger::{Place, Sent};
use crate::wire::line::{Line as _, short};

/// Most publishes at a time.
const BURST_MAX: u64 = 5;

/// Messages that the queue for few has room for.
const LIMITED_MAX: i32 = 4;

/// An exchange with a binding for one queue, and where everything else goes from there.
const DETOUR: &str = "wx";
const OTHERS: &str = "wa";

/// The queue that it has a binding for, and the one that gets everything else.
const KNOWN: Place = 0;
const UNKNOWN: Place = 2;

/// Most consumers at a time.
const CONSUMERS_MAX: usize = 6;

impl Connection {
    /// Says something on the channel to consume on that has an answer.
    pub(super) fn ask<'a>(&mut self, method: impl Into<Method<'a>>, due: Due) {
        self.consuming.due.push_back(due);
        self.line.say_on(CONSUMES, method);
    }

    /// Both channels, of which the first is open, and all that must be there.
    pub(super) fn begin(&mut self) {
        self.line.say(confirm::Select::default());
        let due = ["channel.open_ok", "confirm.select_ok"];
        self.publishing.due.extend(due.map(Due::Method));
        self.open_consuming();
    }

    /// A new channel to consume on, unless it is about to go.
    pub(super) fn open_consuming(&mut self) {
        if !self.line.is_open() {
            return;
        }
        let named = self.consuming.named;
        self.consuming = Consuming {
            named,
            ..Consuming::default()
        };
        self.ask(channel::Open::default(), Due::Method("channel.open_ok"));
        for place in 0..QUEUES {
            self.declare(place);
        }
        self.declare_detour();
    }

    /// An exchange that has another one for what it can not route.
    fn declare_detour(&mut self) {
        let mut detour = Table::default();
        detour.push(ShortStr::lit("alternate-exchange"), OTHERS);
        let detour = detour.to_bytes();
        for (name, kind, arguments) in [
            (OTHERS, "fanout", RawTable::EMPTY),
            (DETOUR, "direct", RawTable::new(&detour)),
        ] {
            let declare = exchange::Declare {
                exchange: short(name),
                kind: short(kind),
                durable: true,
                arguments,
                ..exchange::Declare::default()
            };
            self.ask(declare, Due::Method("exchange.declare_ok"));
        }
        for (exchange, place) in [(DETOUR, KNOWN), (OTHERS, UNKNOWN)] {
            let name = queue_name(place);
            let bind = queue::Bind {
                queue: short(&name),
                exchange: short(exchange),
                routing_key: short(&name),
                ..queue::Bind::default()
            };
            self.ask(bind, Due::Method("queue.bind_ok"));
        }
    }

    fn declare(&mut self, place: Place) {
        let name = queue_name(place);
        let mut limits = Table::default();
        if place == LIMITED {
            limits.push(ShortStr::lit("x-max-length"), LIMITED_MAX);
            limits.push(ShortStr::lit("x-overflow"), "reject-publish");
        }
        let limits = limits.to_bytes();
        let declare = queue::Declare {
            queue: short(&name),
            durable: true,
            arguments: RawTable::new(&limits),
            ..queue::Declare::default()
        };
        self.ask(declare, Due::Method("queue.declare_ok"));
        let key = match place {
            LIMITED => Some(LIMITED_TOPIC.replace('/', ".")),
            place => (place < TOPICS).then(|| format!("t.{place}")),
        };
        if let Some(key) = key {
            let bind = queue::Bind {
                queue: short(&name),
                exchange: ShortStr::lit("amq.topic"),
                routing_key: short(&key),
                ..queue::Bind::default()
            };
            self.ask(bind, Due::Method("queue.bind_ok"));
        }
    }

    fn publish(&mut self, exchange: &str, key: &str, sent: Sent, desk: &mut Desk<'_>) -> u64 {
        let persistent = sent.persistent;
        let id = desk.ledger.publish(sent);
        let body = body::body(id, desk.body_bytes());
        let publish = basic::Publish {
            exchange: short(exchange),
            routing_key: short(key),
            mandatory: true,
            ..basic::Publish::default()
        };
        self.line.publish_as(publish, persistent, &body);
        self.publishing.tag += 1;
        self.publishing.unconfirmed.insert(self.publishing.tag, id);
        id
    }

    /// Refuses, accepts or gives back some of what it has.
    pub(super) fn settle(&mut self, desk: &mut Desk<'_>) {
        let held: Vec<u64> = self.consuming.held.keys().copied().collect();
        if held.is_empty() {
            return;
        }
        let tag = held[desk.random.below(held.len() as u64) as usize];
        let multiple = desk.random.chance(30);
        let taken: Vec<u64> = match multiple {
            true => held.into_iter().take_while(|held| *held <= tag).collect(),
            false => vec![tag],
        };
        let gives_back = desk.random.chance(20);
        let says = match (gives_back, desk.random.below(4)) {
            (false, 1..) => Method::from(basic::Ack {
                delivery_tag: tag,
                multiple,
            }),
            (requeue, 0) if !multiple => Method::from(basic::Reject {
                delivery_tag: tag,
                requeue,
            }),
            (requeue, _) => Method::from(basic::Nack {
                delivery_tag: tag,
                multiple,
                requeue,
            }),
        };
        self.line.say_on(CONSUMES, says);
        for tag in taken {
            if let Some((place, id)) = self.consuming.held.remove(&tag) {
                match gives_back {
                    true => desk.ledger.give_back(place, id),
                    false => desk.ledger.settle(place, id),
                }
            }
        }
    }

    /// The channel is as good as closed: what it has goes back, what comes is not looked at.
    pub(super) fn end_channel(&mut self, how: Channel, desk: &mut Desk<'_>) {
        if self.consuming.channel != Channel::Doomed {
            self.consuming.channel = how;
        }
        for (place, id) in std::mem::take(&mut self.consuming.held).into_values() {
            desk.ledger.give_back(place, id);
        }
        self.leak(desk);
    }

    /// What is on its way to it without an acknowledgement may be lost.
    pub(super) fn leak(&mut self, desk: &mut Desk<'_>) {
        if self.consuming.takes_unacked {
            desk.ledger.leak(UNACKED);
        }
    }
}

impl AmqpClient {
    fn open(&mut self) -> Option<&mut Connection> {
        let connection = self.connection.as_mut()?;
        connection.line.is_open().then_some(connection)
    }

    /// The same, with a channel to consume on.
    pub(super) fn consuming(&mut self) -> Option<&mut Connection> {
        let connection = self.open()?;
        (connection.consuming.channel == Channel::Open).then_some(connection)
    }

    /// Publishes a few messages.
    pub(super) fn publish_some(&mut self, desk: &mut Desk<'_>) {
        let Some(connection) = self.open().filter(|connection| connection.publishing.ready) else {
            return;
        };
        for _ in 0..=desk.random.below(BURST_MAX) {
            let author = connection.line.end().life;
            let mut watched = None;
            let (exchange, key, places) = match desk.random.below(10) {
                0 => ("", "nobody".to_owned(), Vec::new()),
                1..=4 => {
                    let topic = desk.random.below(TOPICS as u64) as usize;
                    watched = Some(topic);
                    ("amq.topic", format!("t.{topic}"), places_of(topic))
                }
                5 => {
                    let place = [KNOWN, UNKNOWN, UNKNOWN][desk.random.below(3) as usize];
                    // The other one has no binding there.
                    (DETOUR, queue_name(place), vec![place])
                }
                _ => {
                    let place = desk.random.below(QUEUES as u64) as usize;
                    ("", queue_name(place), vec![place])
                }
            };
            let unroutable = places.is_empty();
            let persistent = desk.random.chance(85);
            let sent = Sent {
                persistent,
                assured: persistent,
                topic: watched,
                ..Sent::new(author, places)
            };
            let id = connection.publish(exchange, &key, sent, desk);
            desk.trace
                .line(format!("  {id} is published to {exchange:?} by {key}"));
            if unroutable {
                connection.publishing.returning.insert(id);
            }
        }
    }

    /// Accepts everything.
    pub(super) fn accept_all(&mut self, desk: &mut Desk<'_>) {
        let Some(connection) = self.consuming() else {
            return;
        };
        let held = std::mem::take(&mut connection.consuming.held);
        let Some((newest, _)) = held.last_key_value() else {
            return;
        };
        let ack = basic::Ack {
            delivery_tag: *newest,
            multiple: true,
        };
        connection.line.say_on(CONSUMES, ack);
        for (place, id) in held.into_values() {
            desk.ledger.settle(place, id);
        }
    }

    /// Asks for a single message.
    pub(super) fn get(&mut self, desk: &mut Desk<'_>) {
        let place = desk.random.below(QUEUES as u64) as usize;
        if let Some(connection) = self.consuming() {
            let name = queue_name(place);
            let get = basic::Get {
                queue: short(&name),
                no_ack: place == UNACKED,
                ..basic::Get::default()
            };
            connection.ask(get, Due::Get(place));
            connection.consuming.takes_unacked |= place == UNACKED;
        }
    }

    /// Begins to consume from this queue.
    pub(super) fn consume_from(&mut self, place: Place, prefetch_count: u16) {
        let Some(connection) = self.consuming() else {
            return;
        };
        if connection.consuming.consumers.len() >= CONSUMERS_MAX {
            return;
        }
        let qos = basic::Qos {
            prefetch_count,
            ..basic::Qos::default()
        };
        connection.ask(qos, Due::Method("basic.qos_ok"));
        connection.consuming.named += 1;
        let tag = format!("c{}", connection.consuming.named);
        let name = queue_name(place);
        let consume = basic::Consume {
            queue: short(&name),
            consumer_tag: short(&tag),
            no_ack: place == UNACKED,
            ..basic::Consume::default()
        };
        connection.ask(consume, Due::Consume(tag.clone()));
        connection.consuming.consumers.insert(tag, place);
        connection.consuming.takes_unacked |= place == UNACKED;
    }

    /// Whether it consumes from this queue.
    pub(super) fn consumes(&self, place: Place) -> bool {
        let consuming = self.connection.as_ref().map(|one| &one.consuming);
        consuming.is_some_and(|consuming| consuming.consumers.values().any(|of| *of == place))
    }

    /// Ends a consumer; or the channel, with a word or by a mistake.
    pub(super) fn end_something(&mut self, desk: &mut Desk<'_>) {
        let Some(connection) = self.consuming() else {
            return;
        };
        match desk.random.below(10) {
            0 | 1 => {
                connection.line.say_on(CONSUMES, channel::Close::default());
                connection.end_channel(Channel::Closing, desk);
            }
            2 => {
                let ack = basic::Ack {
                    delivery_tag: connection.consuming.tag + 1_000_000,
                    multiple: false,
                };
                connection.line.say_on(CONSUMES, ack);
                connection.end_channel(Channel::Doomed, desk);
            }
            _ => {
                let consuming = &connection.consuming;
                let mut tags = consuming.consumers.keys();
                let Some(tag) = tags.find(|tag| !consuming.ending.contains(*tag)).cloned() else {
                    return;
                };
                let cancel = basic::Cancel {
                    consumer_tag: short(&tag),
                    no_wait: false,
                };
                connection.ask(cancel, Due::Cancel(tag.clone()));
                connection.consuming.ending.insert(tag);
            }
        }
    }

    /// Says goodbye, if it can; often right behind something else.
    pub(super) fn close(&mut self, desk: &mut Desk<'_>) -> bool {
        if let Some(connection) = self.consuming() {
            while desk.random.chance(LAST_WORDS_PERCENT) {
                connection.settle(desk);
            }
        }
        let Some(connection) = self.open() else {
            return false;
        };
        connection.end_channel(Channel::Closing, desk);
        connection.line.say_goodbye();
        true
    }
}
