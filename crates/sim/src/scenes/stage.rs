//! What every scene plays on: a node with its disk and clock, and the ways to ask it for something.
//!
//! Invariants
//! - A message has a number, which its body and its properties tell.
//! - An error of the disk is a violation unless a fault was asked for.

use std::fmt::Display;
use std::sync::Arc;

use ferry_broker::{
    BindingSpec, Broker, Burst, ConnectionId, DefinitionError, Delivery, Lease, Outcome, Promise,
    PublishError, Published, Publisher, QueueDeclared, QueueHandle, QueueSpec, Vhost,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Draft;
use ferry_log::testing::{FaultyDisk, Random};

use crate::body::{BODY_BYTES_MIN, body, message_of};
use crate::clock::VirtualClock;
use crate::format::{SimView, headed, plain};
use crate::trace::Trace;
use crate::{Checked, Violation, violated};

/// Longest body, in bytes.
const BODY_BYTES_MAX: u64 = 1500;

/// A node, its disk and its clock.
pub(crate) struct Stage {
    pub random: Random,
    pub clock: Arc<VirtualClock>,
    pub broker: Arc<Broker>,
    pub vhost: Arc<Vhost>,
    pub trace: Trace,
    pub(super) disk: FaultyDisk,
    pub(super) segment_bytes: u64,
    pub(super) fault_armed: bool,
    /// The number of the next message.
    pub(super) next_message: u64,
}

/// A message to be published.
#[derive(Debug, Clone, Default)]
pub(crate) struct Post<'a> {
    pub exchange: &'a str,
    pub key: &'a str,
    pub headers: Vec<(&'a str, Value)>,
    pub deliver_at: Option<u64>,
    pub body_bytes: Option<u32>,
    /// Its key is left out of the trace: it is not the same in two runs.
    pub unnamed: bool,
}

impl<'a> Post<'a> {
    /// A message for a queue.
    pub fn to(queue: &'a str) -> Post<'a> {
        Post::by("", queue)
    }

    /// A message for an exchange.
    pub fn by(exchange: &'a str, key: &'a str) -> Post<'a> {
        Post {
            exchange,
            key,
            ..Post::default()
        }
    }
}

/// What came of a publish.
#[derive(Debug)]
pub(crate) struct Posted {
    /// The number of the message.
    pub id: u64,
    /// What its publisher was told at once.
    pub published: Result<Published, PublishError>,
    /// Its length, in bytes.
    pub size: u32,
    /// A full queue refused it.
    pub refused: bool,
    /// What its confirm waits for.
    pub promise: Promise,
}

/// A message that somebody got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Got {
    pub id: u64,
    pub lease: Option<Lease>,
}

/// A node as it can be looked at from outside.
pub(crate) struct Node<'a> {
    pub broker: &'a Arc<Broker>,
    pub vhost: &'a Arc<Vhost>,
}

impl Node<'_> {
    /// A queue that must be there.
    pub fn queue(&self, name: &str) -> Checked<Arc<QueueHandle>> {
        let found = self.vhost.queue(name, ConnectionId::NOBODY);
        found.map_err(|error| Violation(format!("queue {name} is lost: {error}")))
    }

    /// Takes one message.
    pub fn get(&self, name: &str, no_ack: bool) -> Checked<Option<Got>> {
        let (mut got, mut whole) = (None, true);
        let mut take = |delivery: Delivery<'_>| {
            let lease = delivery.lease;
            let named = crate::format::history(delivery.message.properties());
            match (message_of(delivery.message.body()), named) {
                (Some(id), Some((named, _))) if id == named => {
                    got = Some(Got { id, lease });
                }
                _ => whole = false,
            }
        };
        if let Err(error) = self.broker.get(&self.queue(name)?, no_ack, &mut take) {
            return violated!("a get from {name}: {error}");
        }
        match whole {
            true => Ok(got),
            false => violated!("queue {name} has a message that is not whole"),
        }
    }

    /// Takes everything.
    pub fn drain(&self, name: &str) -> Checked<Vec<u64>> {
        let mut all = Vec::new();
        while let Some(got) = self.get(name, true)? {
            all.push(got.id);
        }
        Ok(all)
    }
}

impl Stage {
    /// The node.
    pub fn node(&self) -> Node<'_> {
        Node {
            broker: &self.broker,
            vhost: &self.vhost,
        }
    }

    /// A queue that must be there.
    pub fn queue(&self, name: &str) -> Checked<Arc<QueueHandle>> {
        self.node().queue(name)
    }

    /// The time.
    pub fn now(&self) -> u64 {
        self.broker.now()
    }

    /// Declares a durable queue.
    pub fn try_declare(
        &self,
        name: &str,
        arguments: &[(&str, Value)],
    ) -> Result<QueueDeclared, DefinitionError> {
        let spec = QueueSpec {
            name: name.to_owned(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: table(arguments),
        };
        self.vhost.declare_queue(spec, ConnectionId::NOBODY)
    }

    /// Declares a durable queue that nothing speaks against.
    pub fn declare(&self, name: &str, arguments: &[(&str, Value)]) -> Checked<Promise> {
        match self.try_declare(name, arguments) {
            Ok(declared) => Ok(declared.durable_at),
            Err(error) => violated!("{name} is refused: {error}"),
        }
    }

    /// Binds a queue.
    pub fn bind(&self, source: &str, queue: &str, key: &str) -> Checked {
        let binding = BindingSpec {
            source,
            queue: Some(queue),
            exchange: None,
            routing_key: key.as_bytes(),
            arguments: Arguments::new(),
            connection: ConnectionId::NOBODY,
        };
        match self.vhost.bind(&binding) {
            Ok(_) => Ok(()),
            Err(error) => violated!("{queue} is not bound: {error}"),
        }
    }

    /// Publishes a message, in one record with all its copies.
    pub fn publish(&mut self, post: Post<'_>) -> Checked<Posted> {
        let id = self.next_message;
        self.next_message += 1;
        let drawn = u64::from(BODY_BYTES_MIN) + self.random.below(BODY_BYTES_MAX);
        let size = post.body_bytes.unwrap_or(drawn as u32);
        let (properties, body) = (headed(id, &post.headers), body(id, size));
        let draft = Draft {
            persistent: true,
            exchange: post.exchange.as_bytes(),
            published_ms: self.now(),
            deliver_at: post.deliver_at,
            ..plain(post.key, &properties, &body)
        };
        let mut publisher = Publisher::new(Arc::clone(&self.vhost));
        let mut burst = Burst::new();
        let view = SimView(table(&post.headers));
        let tag = Some(crate::world::World::tag(id));
        let published = burst.publish(&self.broker, &mut publisher, &draft, &view, tag);
        burst.want_ticket();
        burst.make_atomic();
        let ticket = burst.submit(&self.broker);
        let promise = match ticket.as_ref().map(|ticket| ticket.resolved()) {
            Some(Some(promise)) => promise,
            other => return violated!("message {id} gets no answer: {other:?}"),
        };
        let refused = ticket.is_some_and(|ticket| !ticket.rejected().is_empty());
        let key = if post.unnamed { "..." } else { post.key };
        let (exchange, headers) = (post.exchange, &post.headers);
        self.trace.line(format!(
            "  publish {id} to '{exchange}' '{key}' {headers:?}, {size} bytes: {published:?} \
             {refused}"
        ));
        Ok(Posted {
            id,
            published,
            size,
            refused,
            promise,
        })
    }

    /// Takes one message for good.
    pub fn take(&mut self, queue: &str) -> Checked<Option<u64>> {
        let got = self.node().get(queue, true)?.map(|got| got.id);
        self.trace.line(format!("  {queue} gives {got:?}"));
        Ok(got)
    }

    /// Settles a message.
    pub fn settle(&mut self, queue: &str, lease: Lease, outcome: Outcome) -> Checked {
        let mut burst = Burst::new();
        burst.settle(&*self.queue(queue)?, lease, outcome);
        burst.submit(&self.broker);
        Ok(())
    }

    /// One of all, by chance.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.below(all.len() as u64) as usize]
    }

    /// What is counted under that name since the start.
    pub fn counted(&self, name: &str) -> Checked<u64> {
        let all = self.broker.metrics().all();
        match all.iter().find(|(known, _)| *known == name) {
            Some((_, count)) => Ok(*count),
            None => violated!("nothing is counted as {name}"),
        }
    }

    /// Whether an error of the disk is nothing to wonder at.
    pub(super) fn excuse(&self, what: &str, error: impl Display) -> Checked {
        match self.fault_armed {
            true => Ok(()),
            false => violated!("{what} without a fault: {error}"),
        }
    }
}

/// Headers or arguments.
pub(crate) fn table(values: &[(&str, Value)]) -> Arguments {
    let mut table = Arguments::new();
    for (name, value) in values {
        table.insert(*name, value.clone());
    }
    table
}

/// Text as a value.
pub(crate) fn text(text: &str) -> Value {
    Value::Str(text.as_bytes().to_vec())
}
