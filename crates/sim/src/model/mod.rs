//! What must be true: queues, messages and definitions as plain data, changed by what was asked
//! for and checked against what came out.
//!
//! Invariants
//! - Steps grow; what happened in one step is as safe as the end of the log was after it.
//!
//! Not here: how a call of the broker is followed (`call`), what may be there after a restart
//! (`recover`).

mod arrive;
mod call;
pub mod found;
pub mod instance;
mod letters;
pub mod order;
pub mod pace;
pub mod policy;
pub mod queue;
pub mod recover;
pub mod routing;
pub mod rules;
mod serve;
pub mod stream;
mod stream_found;
mod streams;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};

use ferry_broker::Outcome;
use ferry_core::queue::StreamOffset;

use crate::format::{Death, Dress};
use crate::outlet::Seen;
use crate::world::Defined;
use policy::PolicyModel;
use queue::{Consumer, QueueModel};
use routing::Routing;
use stream::{Reader, StreamModel};

/// Number of a step of the world.
pub type Step = u64;

/// When something happens.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time.
    pub now: u64,
    /// The step.
    pub step: Step,
}

/// Since when something is so, and whether somebody was told.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// The step in which it became so.
    pub step: Step,
    /// Somebody was told that it is safe.
    pub confirmed: bool,
}

impl Life {
    /// From this step on.
    #[must_use]
    pub fn new(step: Step) -> Life {
        Life {
            step,
            confirmed: false,
        }
    }
}

/// Why a message died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Rejected by a consumer.
    Rejected,
    /// Too old.
    Expired,
    /// Too many.
    MaxLength,
    /// Came back too often.
    DeliveryLimit,
}

impl Reason {
    /// As it stands in a history.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLength => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message as published.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its number.
    pub id: u64,
    /// Length of its body, in bytes.
    pub size: u32,
    /// Whether it was published as persistent.
    pub persistent: bool,
    /// Its priority.
    pub priority: u8,
    /// Its own time to live.
    pub ttl_ms: Option<u64>,
    /// When it is to be delivered.
    pub deliver_at: Option<u64>,
    /// Its id, of which a queue may take one only.
    pub identity: Option<u64>,
    /// Its routing key.
    pub key: String,
    /// What shards and filters look at.
    pub dress: Dress,
}

/// Something that was asked of the broker, for one queue.
#[derive(Debug, Clone)]
pub enum Change {
    /// A message was published.
    Publish {
        /// The message.
        sent: Sent,
        /// Where it goes.
        queues: BTreeSet<u64>,
        /// Names the publish.
        tag: u64,
        /// The transaction it is a part of.
        transaction: Option<u64>,
    },
    /// A message was settled.
    Settle {
        /// The queue.
        queue: u64,
        /// The lease.
        lease: u64,
        /// How.
        outcome: Outcome,
        /// The transaction it is a part of.
        transaction: Option<u64>,
    },
    /// Somebody ended a lease of somebody else.
    Revoke {
        /// The queue.
        queue: u64,
        /// The lease.
        lease: u64,
        /// How.
        outcome: Outcome,
    },
    /// A queue does something else.
    Rules(u64),
    /// A consumer came.
    Subscribe {
        /// The queue.
        queue: u64,
        /// The consumer.
        consumer: u64,
        /// What it asks for.
        state: Consumer,
    },
    /// A reader of a stream came.
    Read {
        /// The stream.
        stream: u64,
        /// The consumer.
        consumer: u64,
        /// What it asks for.
        reader: Reader,
        /// Where it begins.
        from: StreamOffset,
    },
    /// A consumer went.
    Unsubscribe {
        /// The queue.
        queue: u64,
        /// The consumer.
        consumer: u64,
    },
    /// Somebody looked at the head of a queue.
    Look(u64),
    /// Time may have passed.
    Tick,
}

/// A message by its number and its deaths.
pub type Named = (u64, Vec<Death>);

/// What can be seen of the broker after a call, besides what it did to its clients.
#[derive(Debug, Default)]
pub struct Seemly {
    /// Consumers whose outlets have refused something.
    pub starved: BTreeSet<u64>,
    /// Queues that are there.
    pub queues: BTreeSet<u64>,
    /// What is ready in queues where that does not follow from what went before.
    pub ready: BTreeMap<u64, BTreeSet<Named>>,
    /// How many messages each stream keeps.
    pub streams: BTreeMap<u64, u64>,
    /// Dead letters that can not arrive, by queue.
    pub stuck: BTreeMap<u64, Vec<Named>>,
}

/// A lease that a client got.
#[derive(Debug)]
pub struct Granted {
    /// The client.
    pub client: usize,
    /// The lease in the model.
    pub lease: u64,
    /// As the broker showed it.
    pub seen: Seen,
}

/// What came of a call.
#[derive(Debug, Default)]
pub struct Result {
    /// Publishes that were refused.
    pub rejected: BTreeSet<u64>,
    /// Messages that clients now hold.
    pub granted: Vec<Granted>,
    /// Places that a publish got: tag, queue, number.
    pub placed: Vec<(u64, u64, u64)>,
}

/// Everything that must be true.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The current step.
    pub step: Step,
    /// The time.
    pub now: u64,
    /// Queues by number.
    pub queues: BTreeMap<u64, QueueModel>,
    /// Queues that went, until that is safe.
    pub graves: Vec<(QueueModel, Life)>,
    /// Streams by number.
    pub streams: BTreeMap<u64, StreamModel>,
    /// Streams that went, until that is safe.
    pub stream_graves: Vec<(StreamModel, Life)>,
    /// Exchanges and bindings.
    pub routing: Routing,
    /// All messages ever published, by number.
    pub sent: BTreeMap<u64, Sent>,
    /// The policy.
    pub policy: PolicyModel,
    /// The clock went back since the last start.
    pub went_back: bool,
    /// The clock went back at any time.
    pub clock_fell: bool,
    next_number: u64,
    next_place: u64,
}

impl Model {
    /// Now.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            step: self.step,
        }
    }

    /// A number that was not used before.
    pub fn new_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// The queues that a message goes to; none if there is no such exchange.
    #[must_use]
    pub fn route(&self, exchange: &str, key: &str, dress: &Dress) -> Option<BTreeSet<u64>> {
        if exchange.is_empty() {
            let named = self.queues.values().filter(|queue| queue.name == key);
            let streams = self.streams.values().filter(|stream| stream.name == key);
            let ids = named.map(|queue| queue.id);
            return Some(ids.chain(streams.map(|stream| stream.id)).collect());
        }
        self.routing.route(exchange, key, dress)
    }

    /// The queue of that name.
    #[must_use]
    pub fn queue_named(&self, name: &str) -> Option<&QueueModel> {
        self.queues.values().find(|queue| queue.name == name)
    }

    /// Somebody was told that this message is safe.
    pub fn confirm(&mut self, queue: u64, number: u64) {
        if let Some(stream) = self.streams.get_mut(&queue) {
            let items = stream.all_mut().filter(|item| item.number == number);
            return items.for_each(|item| item.confirmed = true);
        }
        let Some(queue) = self.queues.get_mut(&queue) else {
            return;
        };
        let confirm = |instance: &mut instance::Instance| {
            instance.confirmed |= instance.number == number;
        };
        queue.all_mut().for_each(confirm);
        let gone = queue.gone.iter_mut().map(|gone| &mut gone.instance);
        gone.for_each(confirm);
    }

    /// Somebody was told that this definition is safe.
    pub fn confirm_definition(&mut self, defined: &Defined) {
        let Model {
            queues,
            graves,
            streams,
            stream_graves,
            routing,
            policy,
            ..
        } = self;
        match defined {
            Defined::Queue(id) => {
                if let Some(queue) = queues.get_mut(id) {
                    queue.confirmed = true;
                }
                if let Some(stream) = streams.get_mut(id) {
                    stream.life.confirmed = true;
                }
            }
            Defined::QueueGone(id) => {
                let graves = graves.iter_mut().filter(|(queue, _)| queue.id == *id);
                graves.for_each(|(_, end)| end.confirmed = true);
                let graves = stream_graves.iter_mut();
                let graves = graves.filter(|(stream, _)| stream.id == *id);
                graves.for_each(|(_, end)| end.confirmed = true);
            }
            Defined::Binding(binding) => {
                if let Some(life) = routing.bindings.get_mut(binding) {
                    life.confirmed = true;
                }
            }
            Defined::BindingGone(binding) => {
                let gone = routing
                    .gone_bindings
                    .iter_mut()
                    .filter(|(gone, _, _)| gone == binding);
                gone.for_each(|(_, _, end)| end.confirmed = true);
            }
            Defined::Exchange(name) => {
                if let Some(exchange) = routing.exchanges.get_mut(name) {
                    exchange.life.confirmed = true;
                }
            }
            Defined::Policy(version) => policy.confirm(*version),
            Defined::ExchangeGone(name) => {
                let gone = routing
                    .gone_exchanges
                    .iter_mut()
                    .filter(|(gone, _, _)| gone == name);
                gone.for_each(|(_, _, end)| end.confirmed = true);
            }
        }
    }

    /// A queue goes with all it has.
    pub fn remove_queue(&mut self, id: u64) -> Option<usize> {
        let queue = self.queues.remove(&id)?;
        self.routing.queue_gone(id, self.step);
        let ready = queue.ready.len();
        self.graves.push((queue, Life::new(self.step)));
        Some(ready)
    }
}
