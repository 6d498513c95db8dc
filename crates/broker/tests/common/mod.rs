//! A broker on a disk in memory, driven by hand: no thread, no clock but the one set here.

#![allow(dead_code)]

pub mod doors;
pub mod properties;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_broker::{
    Basics, Broker, Burst, Choice, Clock, ConfirmTag, ConnectionId, ConnectionInfo, ConsumeError,
    ConsumerHandle, ConsumerSpec, DefinitionError, Delivery, Formats, Lease, MessageFormat,
    MessageId, MessageView, NoView, Options, Outcome, Outlet, Published, Publisher, QueueDeclared,
    QueueHandle, QueueSpec, SyncPolicy, Ticket, Vhost,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, FORMAT_AMQP091, Message};
use ferry_log::HEAD_BYTES;
use ferry_log::testing::FaultyDisk;
use std::sync::Mutex;

pub struct HandClock(pub AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Properties without headers: they are the message's id, if there are any.
struct Bare;

impl MessageFormat for Bare {
    fn basics(&self, properties: &[u8]) -> Option<Basics> {
        let id = (!properties.is_empty()).then(|| String::from_utf8_lossy(properties).into_owned());
        Some(Basics {
            message_id: id,
            ..Basics::default()
        })
    }

    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        let _nothing_in_it = message;
        look(&NoView);
    }

    fn headers(&self, _properties: &[u8]) -> Arguments {
        Arguments::new()
    }

    fn rewrite(&self, properties: &[u8], _headers: &Arguments, _clear: bool) -> Vec<u8> {
        properties.to_vec()
    }

    fn identity(&self, properties: &[u8]) -> Option<MessageId> {
        (!properties.is_empty()).then(|| MessageId::of_text(properties))
    }

    fn expiration(&self, _properties: &[u8]) -> Option<String> {
        None
    }
}

pub struct Node {
    pub broker: Arc<Broker>,
    pub vhost: Arc<Vhost>,
    pub disk: FaultyDisk,
    pub clock: Arc<HandClock>,
    pub connection: ConnectionId,
    pub publisher: Publisher,
    pub burst: Burst,
    next_tag: u64,
}

/// A delivery as a consumer saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub body: Vec<u8>,
    pub redelivered: bool,
    pub offset: Option<u64>,
    pub count: u32,
    pub tag: Option<u32>,
    pub lease: Option<Lease>,
    pub queue: Option<Arc<QueueHandle>>,
    pub routing_key: Vec<u8>,
}

#[derive(Default)]
pub struct Sink {
    pub seen: Mutex<Vec<Seen>>,
    pub room: AtomicU64,
    pub cancelled: AtomicU64,
}

pub fn see(delivery: &Delivery<'_>) -> Seen {
    Seen {
        body: delivery.message.body().to_vec(),
        redelivered: delivery.redelivered,
        offset: delivery.offset,
        count: delivery.delivery_count,
        tag: delivery.tag,
        lease: delivery.lease,
        queue: delivery.queue.cloned(),
        routing_key: delivery.message.routing_key().to_vec(),
    }
}

impl Outlet for Sink {
    fn admit(&self, _bytes: usize) -> bool {
        let take = |room: u64| room.checked_sub(1);
        self.room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        self.seen.lock().unwrap().push(see(&delivery));
    }

    fn forgo(&self, _admitted_bytes: usize) {
        self.room.fetch_add(1, Ordering::Relaxed);
    }

    fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sink {
    pub fn open() -> Arc<Sink> {
        let sink = Sink::default();
        sink.room.store(u64::MAX, Ordering::Relaxed);
        Arc::new(sink)
    }

    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    pub fn bodies(&self) -> Vec<String> {
        let text = |seen: Seen| String::from_utf8_lossy(&seen.body).into_owned();
        self.take().into_iter().map(text).collect()
    }
}

pub fn open(disk: &FaultyDisk, clock: &Arc<HandClock>, entropy: u64) -> Arc<Broker> {
    try_open(disk, clock, entropy).unwrap()
}

pub fn try_open(
    disk: &FaultyDisk,
    clock: &Arc<HandClock>,
    entropy: u64,
) -> Result<Arc<Broker>, ferry_broker::OpenError> {
    let log = ferry_log::Options {
        entropy,
        segment_bytes: 64 << 10,
        ..Default::default()
    };
    let mut formats = Formats::default();
    formats.add(FORMAT_AMQP091, Arc::new(Bare));
    formats.add(properties::FORMAT_FULL, Arc::new(properties::FullFormat));
    formats.add(doors::CARRIED, Arc::new(doors::Carried));
    Broker::open(Options {
        disk: Arc::new(disk.clone()),
        log,
        clock: clock.clone(),
        formats,
        sync: SyncPolicy::Sync,
        memory_high_bytes: 1 << 20,
        disk_free_bytes_min: 0,
    })
}

/// The ends of the records in a segment from one place to another, and places within them.
pub fn cuts(segment: &[u8], from: usize, to: usize) -> Vec<usize> {
    let mut cuts = vec![from];
    let mut at = from;
    while at < to {
        let len: [u8; 4] = segment[at + 8..at + 12].try_into().unwrap();
        let end = at + HEAD_BYTES + u32::from_le_bytes(len) as usize;
        cuts.extend([at + 3, (at + end) / 2, end]);
        at = end;
    }
    assert_eq!(at, to, "records fill the log");
    cuts
}

impl Node {
    pub fn new() -> Node {
        let disk = FaultyDisk::new(1);
        Node::on(disk, Arc::new(HandClock(AtomicU64::new(1_000_000))), 1)
    }

    pub fn on(disk: FaultyDisk, clock: Arc<HandClock>, entropy: u64) -> Node {
        let broker = open(&disk, &clock, entropy);
        let vhost = broker.vhost("/").unwrap();
        let connection = broker.connection_opened(ConnectionInfo::default());
        let publisher = Publisher::new(vhost.clone());
        let burst = Burst::new();
        Node {
            broker,
            vhost,
            disk,
            clock,
            connection,
            publisher,
            burst,
            next_tag: 0,
        }
    }

    /// The node after its process was killed and started again.
    pub fn killed(self, entropy: u64) -> Node {
        let Node {
            broker,
            disk,
            clock,
            ..
        } = self;
        drop((broker, self.vhost, self.publisher));
        Node::on(disk, clock, entropy)
    }

    pub fn declare(&self, name: &str, arguments: &[(&str, Value)]) -> QueueDeclared {
        let mut all = Arguments::new();
        for (name, value) in arguments {
            all.insert(*name, value.clone());
        }
        self.try_declare(name, all).unwrap()
    }

    /// Declares a durable queue, which may be refused.
    pub fn try_declare(
        &self,
        name: &str,
        arguments: Arguments,
    ) -> Result<QueueDeclared, DefinitionError> {
        let spec = QueueSpec {
            name: name.to_owned(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        };
        self.vhost.declare_queue(spec, self.connection)
    }

    pub fn stage(&mut self, key: &str, body: &str) -> Published {
        self.next_tag += 1;
        let draft = Draft {
            format: FORMAT_AMQP091,
            persistent: true,
            dead_lettered: false,
            priority: 0,
            ttl_ms: None,
            published_ms: self.broker.now(),
            deliver_at: None,
            id: None,
            exchange: b"",
            routing_key: key.as_bytes(),
            properties: &[0, 0],
            body: body.as_bytes(),
        };
        let tag = ConfirmTag {
            channel: 1,
            tag: self.next_tag,
        };
        let Node {
            broker,
            burst,
            publisher,
            ..
        } = self;
        burst
            .publish(broker, publisher, &draft, &NoView, Some(tag))
            .unwrap()
    }

    pub fn publish(&mut self, key: &str, bodies: &[&str]) -> Arc<Ticket> {
        for body in bodies {
            self.stage(key, body);
        }
        let Node { broker, burst, .. } = self;
        burst.submit(broker).unwrap()
    }

    pub fn consume(
        &self,
        queue: &Arc<QueueHandle>,
        sink: &Arc<Sink>,
        no_ack: bool,
        prefetch: u32,
    ) -> ConsumerHandle {
        self.try_consume(queue, sink, no_ack, prefetch).unwrap()
    }

    /// Consumes, which may be refused.
    pub fn try_consume(
        &self,
        queue: &Arc<QueueHandle>,
        sink: &Arc<Sink>,
        no_ack: bool,
        prefetch: u32,
    ) -> Result<ConsumerHandle, ConsumeError> {
        let spec = ConsumerSpec {
            tag: "c".to_owned(),
            no_ack,
            exclusive: false,
            priority: 0,
            prefetch,
            choice: Choice::default(),
            outlet: sink.clone(),
        };
        self.broker.consume(queue, spec, &mut || ())
    }

    pub fn settle(&mut self, seen: &Seen, outcome: Outcome) {
        let Node { broker, burst, .. } = self;
        burst.settle(seen.queue.as_ref().unwrap(), seen.lease.unwrap(), outcome);
        burst.submit(broker);
    }

    pub fn queue(&self, name: &str) -> Arc<QueueHandle> {
        self.vhost.queue(name, self.connection).unwrap()
    }

    pub fn get(&self, name: &str) -> Option<Seen> {
        let mut seen = None;
        let mut take = |delivery: Delivery<'_>| seen = Some(see(&delivery));
        self.broker.get(&self.queue(name), true, &mut take).unwrap();
        seen
    }

    /// Takes a message that is to be settled.
    pub fn get_with_lease(&self, name: &str) -> Seen {
        let mut seen = None;
        let mut take = |delivery: Delivery<'_>| seen = Some(see(&delivery));
        self.broker
            .get(&self.queue(name), false, &mut take)
            .unwrap();
        seen.unwrap()
    }

    pub fn ready(&self, name: &str) -> u64 {
        self.vhost
            .check_queue(name, self.connection)
            .unwrap()
            .messages
    }

    pub fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        self.broker.tick();
    }
}
