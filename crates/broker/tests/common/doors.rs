//! Several connections that publish messages with ids and headers, and disks cut at every place.

use std::sync::Arc;

use ferry_broker::{
    Basics, BindingSpec, Burst, Choice, CommitError, ConfirmTag, ConsumerSpec, Exchange,
    ExchangeKind, MessageFormat, MessageId, MessageView, Outcome, Promise, Published, Publisher,
    QueueHandle, StreamOffset, Ticket,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, Message};
use ferry_log::Disk;
use ferry_log::testing::FaultyDisk;

use super::{Node, Seen, Sink};

/// The tag of messages whose properties are an id, if any, and headers.
pub const CARRIED: u8 = 200;

pub struct Carried;

fn properties(id: Option<&str>, headers: &Arguments) -> Vec<u8> {
    postcard::to_stdvec(&(id, headers)).unwrap()
}

fn carried(properties: &[u8]) -> (Option<String>, Arguments) {
    postcard::from_bytes(properties).unwrap()
}

impl MessageFormat for Carried {
    fn basics(&self, properties: &[u8]) -> Option<Basics> {
        Some(Basics {
            message_id: carried(properties).0,
            ..Basics::default()
        })
    }

    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        look(&self.headers(message.properties()));
    }

    fn headers(&self, properties: &[u8]) -> Arguments {
        carried(properties).1
    }

    fn rewrite(&self, old: &[u8], headers: &Arguments, _clear: bool) -> Vec<u8> {
        properties(carried(old).0.as_deref(), headers)
    }

    fn identity(&self, properties: &[u8]) -> Option<MessageId> {
        let id = carried(properties).0?;
        Some(MessageId::of_text(id.as_bytes()))
    }

    fn expiration(&self, _properties: &[u8]) -> Option<String> {
        None
    }
}

/// A message to be published; its body is its id unless it is said otherwise.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    pub exchange: &'a str,
    pub key: &'a str,
    pub id: Option<&'a str>,
    pub body: &'a str,
    pub persistent: bool,
    pub deliver_at: Option<u64>,
    pub confirm: bool,
}

impl<'a> Post<'a> {
    pub fn new(exchange: &'a str, key: &'a str, body: &'a str) -> Post<'a> {
        Post {
            exchange,
            key,
            id: None,
            body,
            persistent: true,
            deliver_at: None,
            confirm: true,
        }
    }

    pub fn with_id(exchange: &'a str, key: &'a str, id: &'a str) -> Post<'a> {
        Post {
            id: Some(id),
            ..Post::new(exchange, key, id)
        }
    }
}

/// A connection that publishes.
pub struct Door {
    channel: u16,
    publisher: Publisher,
    pub burst: Burst,
    tag: u64,
}

impl Door {
    pub fn new(node: &Node, channel: u16) -> Door {
        Door {
            channel,
            publisher: Publisher::new(node.vhost.clone()),
            burst: Burst::new(),
            tag: 0,
        }
    }

    pub fn stage(&mut self, node: &Node, post: &Post<'_>) -> Published {
        let properties = properties(post.id, &Arguments::new());
        let draft = Draft {
            format: CARRIED,
            persistent: post.persistent,
            dead_lettered: false,
            priority: 0,
            ttl_ms: None,
            published_ms: node.broker.now(),
            deliver_at: post.deliver_at,
            id: None,
            exchange: post.exchange.as_bytes(),
            routing_key: post.key.as_bytes(),
            properties: &properties,
            body: post.body.as_bytes(),
        };
        self.tag += 1;
        let (channel, tag) = (self.channel, self.tag);
        let confirm = post.confirm.then_some(ConfirmTag { channel, tag });
        let (burst, publisher) = (&mut self.burst, &mut self.publisher);
        burst
            .publish(&node.broker, publisher, &draft, &Arguments::new(), confirm)
            .unwrap()
    }

    /// Publishes in one burst.
    pub fn send(&mut self, node: &Node, posts: &[Post<'_>]) -> Sent {
        let first = self.tag + 1;
        for post in posts {
            self.stage(node, post);
        }
        let ticket = self.burst.submit(&node.broker);
        Sent { first, ticket }
    }

    pub fn settle(&mut self, seen: &Seen, outcome: Outcome) {
        let queue = seen.queue.as_ref().unwrap();
        self.burst.settle(queue, seen.lease.unwrap(), outcome);
    }

    pub fn commit(&mut self, node: &Node) -> Result<Promise, CommitError> {
        node.broker.commit(&mut self.burst)
    }
}

/// What became of a burst.
pub struct Sent {
    first: u64,
    pub ticket: Option<Arc<Ticket>>,
}

impl Sent {
    pub fn promise(&self) -> Promise {
        self.ticket.as_ref().unwrap().resolved().unwrap()
    }

    /// Which of its messages were refused, by their number in the burst.
    pub fn refused(&self) -> Vec<u64> {
        let tags = self.ticket.as_ref().unwrap().rejected();
        tags.iter().map(|tag| tag.tag - self.first).collect()
    }
}

pub fn exchange(node: &Node, name: &str, durable: bool, arguments: &[(&str, Value)]) {
    let exchange = Exchange {
        durable,
        arguments: Arguments::from_iter(arguments.iter().cloned()),
        ..Exchange::new(name, ExchangeKind::Topic)
    };
    node.vhost.declare_exchange(exchange).unwrap();
}

/// An exchange that takes a message of one id once.
pub fn once(node: &Node, name: &str) {
    exchange(
        node,
        name,
        true,
        &[("x-message-deduplication", true.into())],
    );
}

fn binding<'a>(node: &Node, source: &'a str, queue: &'a str, key: &'a str) -> BindingSpec<'a> {
    BindingSpec {
        source,
        queue: Some(queue),
        exchange: None,
        routing_key: key.as_bytes(),
        arguments: Arguments::new(),
        connection: node.connection,
    }
}

pub fn bind(node: &Node, source: &str, queue: &str, key: &str) {
    node.vhost.bind(&binding(node, source, queue, key)).unwrap();
}

pub fn unbind(node: &Node, source: &str, queue: &str, key: &str) {
    let binding = binding(node, source, queue, key);
    node.vhost.unbind(&binding).unwrap();
}

pub fn delete(node: &Node, queue: &str) {
    let vhost = &node.vhost;
    vhost
        .delete_queue(queue, false, false, node.connection)
        .unwrap();
}

/// The arguments of a queue that refuses what is beyond `max`.
pub fn refusing(max: i32) -> [(&'static str, Value); 2] {
    [
        ("x-max-length", max.into()),
        ("x-overflow", "reject-publish".into()),
    ]
}

/// The arguments of a queue whose dead letters go to the queue `target`.
pub fn dying_to(target: &str) -> [(&'static str, Value); 2] {
    [
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", target.into()),
    ]
}

/// Takes one message under a lease.
pub fn take(node: &Node, queue: &Arc<QueueHandle>) -> Option<Seen> {
    let mut seen = None;
    let mut take = |delivery: ferry_broker::Delivery<'_>| seen = Some(super::see(&delivery));
    node.broker.get(queue, false, &mut take).unwrap();
    seen
}

/// Takes all that is ready.
pub fn drain(node: &Node, queue: &str) -> Vec<String> {
    let text = |seen: Seen| String::from_utf8(seen.body).unwrap();
    std::iter::from_fn(|| node.get(queue)).map(text).collect()
}

/// The bodies of all messages that a stream has.
pub fn read_stream(node: &Node, name: &str) -> Vec<Vec<u8>> {
    let sink = Sink::open();
    let spec = ConsumerSpec {
        tag: "reads".to_owned(),
        no_ack: false,
        exclusive: false,
        priority: 0,
        prefetch: 10_000,
        choice: Choice {
            offset: StreamOffset::First,
            ..Choice::default()
        },
        outlet: sink.clone(),
    };
    let queue = node.queue(name);
    let handle = node.broker.consume(&queue, spec, &mut || ()).unwrap();
    node.broker.cancel(&handle);
    sink.take().into_iter().map(|seen| seen.body).collect()
}

pub fn counter(node: &Node, name: &str) -> u64 {
    let all = node.broker.metrics().all();
    all.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Calls `each` with a disk for every place at which the first segment of `disk` can end behind
/// `from`, and with that place.
pub fn cuts(disk: &FaultyDisk, from: u32, mut each: impl FnMut(FaultyDisk, u32)) {
    let files: Vec<(String, Vec<u8>)> = disk
        .list()
        .unwrap()
        .into_iter()
        .map(|name| {
            let file = disk.open(&name).unwrap();
            let mut bytes = vec![0; file.bytes().unwrap() as usize];
            read_all(file.as_ref(), &mut bytes);
            (name, bytes)
        })
        .collect();
    let segment = |name: &str| name.ends_with(".log");
    let mut of_log = files.iter().filter(|(name, _)| segment(name));
    let (_, log) = of_log.next().unwrap();
    assert!(of_log.next().is_none(), "the story fits one segment");
    let end = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for cut in from..=end as u32 {
        let copy = FaultyDisk::new(1);
        for (name, bytes) in &files {
            let bytes = match segment(name) {
                true => &bytes[..cut as usize],
                false => bytes,
            };
            let file = copy.create(name).unwrap();
            let mut written = 0;
            while written < bytes.len() {
                written += file.write_at(&bytes[written..], written as u64).unwrap();
            }
            file.sync_data().unwrap();
        }
        copy.sync_dir().unwrap();
        each(copy, cut);
    }
}

fn read_all(file: &dyn ferry_log::DiskFile, bytes: &mut [u8]) {
    let mut read = 0;
    while read < bytes.len() {
        read += file.read_at(&mut bytes[read..], read as u64).unwrap();
    }
}
