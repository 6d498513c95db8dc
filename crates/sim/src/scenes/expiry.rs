//! Queues that go when nobody uses them.
//!
//! Invariants
//! - A queue is there as long as it has a consumer, and until its time after its last use; at that
//!   time it goes.
//! - A declaration, a get, the coming and going of a consumer and another time are uses; a publish
//!   is none. After a start the time begins again.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferry_broker::{Choice, ConsumerHandle, ConsumerSpec, Delivery, Outlet, Promise, Published};
use ferry_core::arguments::Value;

use super::{Node, Post, Scene, Stage, maps};
use crate::{Checked, violated};

const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];

struct Queue {
    expires_ms: Option<u64>,
    used_at: u64,
    consumers: Vec<ConsumerHandle>,
}

#[derive(Default)]
pub(super) struct Expiry(BTreeMap<&'static str, Queue>);

/// A consumer that takes nothing.
struct Idle;

impl Outlet for Idle {
    fn admit(&self, _bytes: usize) -> bool {
        false
    }

    fn deliver(&self, _: Delivery<'_>) {}

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {}
}

fn expiry_of(expires_ms: Option<u64>) -> Vec<(&'static str, Value)> {
    let argument = |ms| ("x-expires", Value::I64(ms as i64));
    expires_ms.map(argument).into_iter().collect()
}

impl Expiry {
    fn declare(&mut self, stage: &mut Stage, name: &'static str) -> Checked<Promise> {
        let drawn = match stage.random.below(4) {
            0 => None,
            _ => Some(1 + stage.random.below(5_000)),
        };
        let now = stage.now();
        let queue = self.0.entry(name).or_insert(Queue {
            expires_ms: drawn,
            used_at: now,
            consumers: Vec::new(),
        });
        queue.used_at = now;
        stage
            .trace
            .line(format!("  {name} goes after {:?}", queue.expires_ms));
        stage.declare(name, &expiry_of(queue.expires_ms))
    }

    fn set(&mut self, stage: &mut Stage, name: &'static str) -> Checked<Promise> {
        let drawn = stage.random.below(6_000);
        let expires_ms = (drawn > 1_000).then_some(drawn);
        let (handle, now) = (stage.queue(name)?, stage.now());
        stage
            .trace
            .line(format!("  {name} is to go after {expires_ms:?}"));
        if let Some(queue) = self.0.get_mut(name) {
            (queue.expires_ms, queue.used_at) = (expires_ms, now);
        }
        match stage.vhost.set_queue_expiry(&handle, expires_ms) {
            Ok(promise) => Ok(promise),
            Err(error) => violated!("an expiry of {name}: {error}"),
        }
    }

    fn consume(&mut self, stage: &mut Stage, name: &'static str) -> Checked<Promise> {
        let (handle, now) = (stage.queue(name)?, stage.now());
        let Some(queue) = self.0.get_mut(name) else {
            return Ok(Promise::Now);
        };
        queue.used_at = now;
        if let Some(consumer) = queue.consumers.pop() {
            stage.trace.line(format!("  a consumer of {name} goes"));
            stage.broker.cancel(&consumer);
            return Ok(Promise::Now);
        }
        stage.trace.line(format!("  a consumer of {name} comes"));
        let spec = ConsumerSpec {
            tag: name.to_owned(),
            no_ack: false,
            exclusive: false,
            priority: 0,
            prefetch: 1,
            choice: Choice::default(),
            outlet: Arc::new(Idle),
        };
        match stage.broker.consume(&handle, spec, &mut || {}) {
            Ok(consumer) => queue.consumers.push(consumer),
            Err(error) => return violated!("consuming from {name}: {error}"),
        }
        Ok(Promise::Now)
    }
}

impl Scene for Expiry {
    type Kept = BTreeMap<String, Option<u64>>;

    fn open(_: &mut Stage) -> Checked<Expiry> {
        Ok(Expiry::default())
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let name = stage.one_of(&QUEUES);
        if !self.0.contains_key(name) {
            return self.declare(stage, name);
        }
        match stage.random.below(10) {
            0 | 1 => self.declare(stage, name),
            2 | 3 => self.set(stage, name),
            4 | 5 => self.consume(stage, name),
            6 | 7 => {
                stage.take(name)?;
                let now = stage.now();
                let queue = self.0.get_mut(name);
                queue.into_iter().for_each(|queue| queue.used_at = now);
                Ok(Promise::Now)
            }
            _ => {
                let posted = stage.publish(Post::to(name))?;
                match posted.published {
                    Ok(Published::Routed) => Ok(posted.promise),
                    other => violated!("a publish to {name}: {other:?}"),
                }
            }
        }
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        let now = stage.now();
        self.0.retain(|_, queue| {
            let over = queue.expires_ms.is_some_and(|ms| queue.used_at + ms <= now);
            !over || !queue.consumers.is_empty()
        });
        let queues = stage.vhost.queues();
        let names: Vec<&str> = queues.iter().map(|queue| queue.name()).collect();
        match names.iter().eq(self.0.keys()) {
            true => Ok(()),
            false => violated!("at {now} there are {names:?}, not {:?}", self.0.keys()),
        }
    }

    fn kept(&self) -> Self::Kept {
        let all = self.0.iter();
        all.map(|(name, queue)| ((*name).to_owned(), queue.expires_ms))
            .collect()
    }

    fn find(node: &Node<'_>) -> Checked<Self::Kept> {
        let expiry = |queue: &ferry_broker::QueueHandle| {
            let expires = queue.arguments().get("x-expires")?.as_integer()?;
            u64::try_from(expires).ok()
        };
        let queues = node.vhost.queues();
        let all = queues.iter();
        Ok(all
            .map(|queue| (queue.name().to_owned(), expiry(queue)))
            .collect())
    }

    fn is_between(found: &Self::Kept, before: &Self::Kept, after: &Self::Kept) -> bool {
        maps::is_between(found, before, after)
    }

    fn resume(&mut self, stage: &mut Stage, kept: Self::Kept) -> Checked {
        self.0.clear();
        for name in QUEUES {
            if let Some(expires_ms) = kept.get(name) {
                let queue = Queue {
                    expires_ms: *expires_ms,
                    used_at: stage.now(),
                    consumers: Vec::new(),
                };
                self.0.insert(name, queue);
            }
        }
        Ok(())
    }
}
