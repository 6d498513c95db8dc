//! Subscriptions to queues and topics.
//!
//! Invariants
//! - `ok` to a subscription comes before its first message.
//! - A topic is subscribed to by a queue that only this connection has, and that goes with the
//!   subscription.
//! - What was delivered and is not settled stays so when its subscription ends.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use ferry_broker::{
    BindingSpec, Choice, ConsumerHandle, ConsumerSpec, QueueHandle, QueueSpec, Resource, Right,
};
use ferry_core::arguments::Arguments;
use mqtt::topic;

use super::answer::{Problem, write_ended, write_ok};
use super::deliver::SubscriptionOutlet;
use super::open::Open;
use super::publish::TOPIC_EXCHANGE;
use super::request::From;
use super::turn::Turn;
use super::wire::Subscribed;

/// Most subscriptions of a connection.
const SUBSCRIPTIONS_MAX: usize = 100;

/// A subscription.
pub(super) struct Subscription {
    handle: ConsumerHandle,
    outlet: Arc<SubscriptionOutlet>,
    /// What a topic's is bound by.
    key: Option<Box<[u8]>>,
}

/// How messages are taken from a queue.
struct Terms {
    no_ack: bool,
    prefetch: u32,
    filter: Option<Box<str>>,
    key: Option<Box<[u8]>>,
}

impl Open {
    /// Subscribes, and says so.
    pub(super) fn subscribe(
        &mut self,
        id: u64,
        from: &From<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Problem> {
        turn.submit(&self.link);
        if self.subscriptions.contains_key(&id) {
            let text = format!("there is a subscription {id}");
            return Err(Problem::new("exists", text));
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let text = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions");
            return Err(Problem::new("refused", text));
        }
        match *from {
            From::Queue {
                name,
                no_ack,
                prefetch,
            } => {
                let vhost = self.vhost.name();
                self.user.check(vhost, Right::Read, Resource::Queue, name)?;
                let queue = self.vhost.queue(name, self.connection)?;
                let terms = Terms {
                    no_ack,
                    prefetch,
                    filter: None,
                    key: None,
                };
                self.consume(id, &queue, terms)
            }
            From::Topic(filter) => self.subscribe_topic(id, filter),
        }
    }

    fn subscribe_topic(&mut self, id: u64, filter: &str) -> Result<(), Problem> {
        let checked = topic::check_filter(filter.as_bytes());
        checked.map_err(|error| Problem::bad(error.to_string()))?;
        if filter.as_bytes().starts_with(topic::SHARE_PREFIX) {
            return Err(Problem::bad("topics are shared by a queue of their own"));
        }
        let key = self.key_of(filter)?;
        let name = self.broker.made_up_name("json-");
        for right in [Right::Configure, Right::Write, Right::Read] {
            let vhost = self.vhost.name();
            self.user.check(vhost, right, Resource::Queue, &name)?;
        }
        let spec = QueueSpec {
            name,
            durable: false,
            exclusive: true,
            auto_delete: true,
            arguments: Arguments::new(),
        };
        let queue = self.vhost.declare_queue(spec, self.connection)?.queue;
        let bound = self.vhost.bind(&BindingSpec {
            source: TOPIC_EXCHANGE,
            queue: Some(queue.name()),
            exchange: None,
            routing_key: &key,
            arguments: Arguments::new(),
            connection: self.connection,
        });
        let terms = Terms {
            no_ack: true,
            prefetch: 0,
            filter: Some(filter.into()),
            key: Some(key),
        };
        let begun = match bound {
            Ok(_) => self.consume(id, &queue, terms),
            Err(error) => Err(error.into()),
        };
        if begun.is_err() {
            let vhost = &self.vhost;
            if let Err(error) = vhost.delete_queue(queue.name(), false, false, self.connection) {
                tracing::debug!("a queue without a subscription: {error}");
            }
        }
        begun
    }

    /// The binding key for a filter, if the user may read all that it lets through.
    fn key_of(&self, filter: &str) -> Result<Box<[u8]>, Problem> {
        let (mut key, vhost) = (Vec::new(), self.vhost.name());
        topic::filter_to_key(filter.as_bytes(), &mut key);
        let allowed = self.user.may_subscribe_filter(vhost, &key);
        let allowed = allowed.map(|key| key.into_owned().into_boxed_slice());
        allowed.ok_or_else(|| {
            let text = format!("'{}' may not read topics '{filter}'", self.user.name);
            Problem::new("access_refused", text)
        })
    }

    fn consume(&mut self, id: u64, queue: &Arc<QueueHandle>, terms: Terms) -> Result<(), Problem> {
        let Terms {
            no_ack,
            prefetch,
            filter,
            key,
        } = terms;
        let link = &self.link;
        let outlet = Arc::new(SubscriptionOutlet::new(
            Arc::clone(link),
            Arc::clone(&self.limits),
            self.connection,
            id,
            filter,
        ));
        let spec = ConsumerSpec {
            tag: id.to_string(),
            no_ack,
            exclusive: false,
            priority: 0,
            prefetch,
            choice: Choice::default(),
            outlet: outlet.clone(),
        };
        let handle = self.broker.consume(queue, spec, &mut || {
            link.with(|state| {
                let subscribed = Subscribed {
                    queue: Arc::clone(queue),
                    no_ack,
                    prefetch,
                };
                state.wire.subscriptions.insert(id, subscribed);
                write_ok(state.outbox.buffer(), Some(id), None);
            });
        })?;
        let subscription = Subscription {
            handle,
            outlet,
            key,
        };
        self.subscriptions.insert(id, subscription);
        Ok(())
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&mut self, id: u64, turn: &mut Turn<'_>) -> Result<(), Problem> {
        turn.submit(&self.link);
        let Entry::Occupied(found) = self.subscriptions.entry(id) else {
            let text = format!("there is no subscription {id}");
            return Err(Problem::new("not_found", text));
        };
        self.broker.cancel(&found.remove().handle);
        self.link.with(|state| state.wire.subscriptions.remove(&id));
        Ok(())
    }

    /// Tells of subscriptions whose queue is gone.
    pub(super) fn take_cancelled(&mut self) {
        let cancelled = self.link.with(|state| {
            let cancelled = std::mem::take(&mut state.wire.cancelled);
            for id in &cancelled {
                state.wire.subscriptions.remove(id);
            }
            cancelled
        });
        for id in cancelled {
            if self.subscriptions.remove(&id).is_some() {
                self.link
                    .say(|out| write_ended(out, id, "the queue is gone"));
            }
        }
    }

    /// Ends subscriptions to what the user may not read any more.
    pub(super) fn check_subscriptions(&mut self) {
        let (user, vhost) = (&self.user, self.vhost.name());
        let may_read = |subscription: &Subscription| match &subscription.key {
            Some(key) => {
                let allowed = user.may_subscribe_filter(vhost, key);
                allowed.is_some_and(|allowed| *allowed == **key)
            }
            None => {
                let name = subscription.handle.queue().name();
                user.may(vhost, Right::Read, Resource::Queue, name)
            }
        };
        let all = self.subscriptions.iter();
        let lost: Vec<_> = all
            .filter(|(_, one)| !may_read(one))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            if let Some(subscription) = self.subscriptions.remove(&id) {
                self.broker.cancel(&subscription.handle);
                self.link.with(|state| {
                    state.wire.subscriptions.remove(&id);
                    let text = "the right to read was taken";
                    write_ended(state.outbox.buffer(), id, text);
                });
            }
        }
    }

    /// Lets the consumers go on that were refused.
    pub(super) fn resume_starved(&self) {
        let all = self.subscriptions.values();
        let starved: Vec<_> = all
            .filter(|one| one.outlet.take_starved())
            .map(|one| one.handle.clone())
            .collect();
        if !starved.is_empty() {
            self.broker.resume(&starved);
        }
    }

    /// Ends all of them.
    pub(super) fn end_subscriptions(&mut self) {
        for subscription in std::mem::take(&mut self.subscriptions).into_values() {
            self.broker.cancel(&subscription.handle);
        }
    }
}
