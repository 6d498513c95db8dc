//! Consumers: coming, going, asking for more; and taking single messages.
//!
//! Invariants
//! - A consumer is told that it consumes before its first delivery.
//! - A queue that goes with its last consumer goes when that one does, never before it had one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::queue::{Choice, ConsumerId, ConsumerSlot, SubscribeError, Subscription};

use crate::partition::{Command, State, StateContext, Target};
use crate::room::Newcomer;
use crate::{Broker, ConnectionId, Delivery, NoRoom, Outlet, QueueHandle};

/// What a consumer asks for.
pub struct ConsumerSpec {
    /// Its name on its channel, for listings.
    pub tag: String,
    /// Whether deliveries need no settling.
    pub no_ack: bool,
    /// Whether nobody else may consume.
    pub exclusive: bool,
    /// Higher is served first.
    pub priority: i32,
    /// Most unsettled messages; 0 for no limit.
    pub prefetch: u32,
    /// Which messages it wants.
    pub choice: Choice,
    /// Where its deliveries go.
    pub outlet: Arc<dyn Outlet>,
}

/// A consumer, for its door.
#[derive(Clone)]
pub struct ConsumerHandle {
    queue: Arc<QueueHandle>,
    id: ConsumerId,
    slot: ConsumerSlot,
}

impl ConsumerHandle {
    /// The queue it consumes from.
    pub fn queue(&self) -> &Arc<QueueHandle> {
        &self.queue
    }

    pub(crate) fn id(&self) -> ConsumerId {
        self.id
    }
}

/// Why a consumer was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The queue is in exclusive use, or was to be.
    #[error("queue '{name}' in vhost '{vhost}' in exclusive use")]
    ExclusiveUse {
        /// The queue.
        name: String,
        /// Its virtual host.
        vhost: String,
    },
    /// A reader of a stream says how much it takes at a time.
    #[error("consumer prefetch count is not set for stream queue '{name}' in vhost '{vhost}'")]
    NoPrefetch {
        /// The queue.
        name: String,
        /// Its virtual host.
        vhost: String,
    },
    /// A stream is not read that way.
    #[error("{what} queue '{name}' in vhost '{vhost}'")]
    NotForStreams {
        /// What was asked for and who does not support it, in RabbitMQ's words.
        what: &'static str,
        /// The queue.
        name: String,
        /// Its virtual host.
        vhost: String,
    },
    /// There is no memory for one more.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The queue went meanwhile.
    #[error("no queue '{name}' in vhost '{vhost}'")]
    Gone {
        /// The queue.
        name: String,
        /// Its virtual host.
        vhost: String,
    },
}

impl ConsumeError {
    fn gone(queue: &QueueHandle) -> ConsumeError {
        let (name, vhost) = (queue.name().to_owned(), queue.vhost().to_owned());
        ConsumeError::Gone { name, vhost }
    }
}

impl Broker {
    /// Lets a consumer in. `started` runs before its first delivery, under the partition's lock.
    pub fn consume(
        &self,
        queue: &Arc<QueueHandle>,
        spec: ConsumerSpec,
        started: &mut dyn FnMut(),
    ) -> Result<ConsumerHandle, ConsumeError> {
        queue.check_reader(&spec)?;
        self.admit(Newcomer::Client)?;
        let subscribe =
            |state: &mut State, cx: &StateContext<'_>| state.subscribe(cx, queue, spec, started);
        let (id, slot) = self.on_partition(queue, subscribe)?;
        Ok(ConsumerHandle {
            queue: Arc::clone(queue),
            id,
            slot,
        })
    }

    /// Lets a consumer go; what it holds stays leased.
    pub fn cancel(&self, consumer: &ConsumerHandle) {
        let queue = &consumer.queue;
        let last = self.with_state(queue, |state, cx| {
            state.unsubscribe(cx, queue, consumer.id, consumer.slot)
        });
        if last
            && queue.auto_delete
            && let Some(vhost) = self.vhost(&queue.vhost)
        {
            vhost.delete_if(queue, |queue| queue.counts().consumers == 0);
        }
        self.after_call();
    }

    /// The outlets of these consumers have room again.
    pub fn resume(&self, consumers: &[ConsumerHandle]) {
        for consumer in consumers {
            let command = Command::Resume {
                queue: consumer.queue.place(),
                consumer: consumer.slot,
            };
            self.submit_one(&consumer.queue, command);
        }
        self.after_call();
    }

    /// The tags of a queue's consumers, for listings.
    pub fn consumer_tags(&self, queue: &QueueHandle) -> Vec<String> {
        let tags = self.with_state(queue, |state, _| state.consumer_tags(queue.place()));
        self.run_afters();
        tags
    }

    /// The tag of the active consumer of a queue that has a single one.
    pub fn active_consumer_tag(&self, queue: &QueueHandle) -> Option<String> {
        self.active_consumer(queue).map(|(_, tag)| tag)
    }

    /// Which connection has the active consumer of a queue that has a single one, and its tag.
    pub fn active_consumer(&self, queue: &QueueHandle) -> Option<(ConnectionId, String)> {
        if !queue.options().single_active_consumer {
            return None;
        }
        let found = self.with_state(queue, |state, _| {
            let active = state.queue(queue.place())?.active_consumer()?;
            state.consumer(active)
        });
        self.run_afters();
        found
    }

    /// The connections that consume from a queue, each once.
    pub fn consuming_connections(&self, queue: &QueueHandle) -> Vec<ConnectionId> {
        let mut found =
            self.with_state(queue, |state, _| state.consuming_connections(queue.place()));
        self.run_afters();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Takes one message, if there is one, and hands it to `deliver`.
    pub fn get(
        &self,
        queue: &Arc<QueueHandle>,
        no_ack: bool,
        deliver: &mut dyn FnMut(Delivery<'_>),
    ) -> Result<bool, ConsumeError> {
        queue.check_get()?;
        let get = |state: &mut State, cx: &StateContext<'_>| {
            state.get(cx, queue.place(), no_ack, deliver)
        };
        let taken = self.on_partition(queue, get);
        taken.ok_or_else(|| ConsumeError::gone(queue))
    }
}

impl State {
    fn subscribe(
        &mut self,
        cx: &StateContext<'_>,
        queue: &Arc<QueueHandle>,
        spec: ConsumerSpec,
        started: &mut dyn FnMut(),
    ) -> Result<(ConsumerId, ConsumerSlot), ConsumeError> {
        let id = self.next_consumer_id();
        let ConsumerSpec {
            no_ack,
            exclusive,
            priority,
            prefetch,
            choice,
            outlet,
            tag,
        } = spec;
        let subscription = Subscription {
            id,
            no_ack,
            exclusive,
            priority,
            prefetch,
        };
        let slot = self
            .with_queue(cx, queue.place(), &[], |core, _| {
                core.subscribe(subscription, choice, cx.now)
            })
            .ok_or_else(|| ConsumeError::gone(queue))?
            .map_err(|_: SubscribeError| {
                let (name, vhost) = (queue.name().to_owned(), queue.vhost().to_owned());
                ConsumeError::ExclusiveUse { name, vhost }
            })?;
        queue.had_consumer.store(true, Ordering::Relaxed);
        self.add_target(id, Target { outlet, tag });
        started();
        self.with_queue(cx, queue.place(), &[], |core, context| {
            core.deliver_ready(context)
        });
        Ok((id, slot))
    }

    /// True if that was the last consumer of the queue.
    fn unsubscribe(
        &mut self,
        cx: &StateContext<'_>,
        queue: &Arc<QueueHandle>,
        id: ConsumerId,
        slot: ConsumerSlot,
    ) -> bool {
        self.remove_target(id);
        let last = self.with_queue(cx, queue.place(), &[], |core, context| {
            core.unsubscribe(slot, context) && core.counts().consumers == 0
        });
        last == Some(true)
    }
}
