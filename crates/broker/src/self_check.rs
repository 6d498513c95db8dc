//! Whether the node can do its work: a message that it sends to itself.
//!
//! Invariants
//! - Nothing is left behind: the queue of a check goes at its end, and by itself if there is none.
//! - A check ends in the time that it was given, whatever the disk does.
//!
//! Not here: how often somebody may ask (`ferry-admin`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::arguments::Arguments;
use ferry_core::message::{Draft, FORMAT_AMQP091};
use parking_lot::{Condvar, Mutex};

use crate::{
    Broker, Burst, ConfirmTag, ConnectionId, ConsumeError, DefinitionError, DurableWaiter, Promise,
    QueueHandle, QueueSpec, TicketWaiter, Vhost,
};

const NAME_PREFIX: &str = "ferrymq.check-";
/// When the queue of a check goes that was cut short.
const EXPIRES_MS: i64 = 60_000;
/// No flags, so no values.
const NO_PROPERTIES: [u8; 2] = [0, 0];

/// Why a node can not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SelfCheckError {
    /// Nothing can be stored.
    #[error("the log has failed: {0}")]
    Log(String),
    /// No queue could be made or deleted.
    #[error("a queue can not be made: {0}")]
    Definition(#[from] DefinitionError),
    /// There is no virtual host to try it in.
    #[error("there is no virtual host")]
    NoVhost,
    /// The disk was too slow.
    #[error("{what} was not on the disk after {} ms", .waited.as_millis())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
    },
    /// The message did not come out of its queue as it went in.
    #[error("a message did not come back: {0}")]
    Lost(String),
}

impl From<ConsumeError> for SelfCheckError {
    fn from(error: ConsumeError) -> SelfCheckError {
        SelfCheckError::Lost(error.to_string())
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy)]
pub struct SelfCheck {
    /// From the publish to the confirm.
    pub confirmed_in: Duration,
    /// All of it.
    pub took: Duration,
}

#[derive(Default)]
struct Signal {
    given: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn give(&self) {
        *self.given.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self, until: Instant) -> bool {
        let mut given = self.given.lock();
        while !*given && !self.changed.wait_until(&mut given, until).timed_out() {}
        *given
    }
}

impl DurableWaiter for Signal {
    fn kept(&self) {
        self.give();
    }
}

impl TicketWaiter for Signal {
    fn ticket_resolved(&self) {
        self.give();
    }
}

/// One check, and when it has to be over.
struct Check<'a> {
    broker: &'a Broker,
    vhost: Arc<Vhost>,
    began: Instant,
    until: Instant,
}

impl Broker {
    /// Makes a durable queue, publishes a message to it, waits until that is safe, takes it out
    /// and deletes the queue. Blocks for `time_max` at most; needs the broker's threads.
    pub fn check_itself(&self, time_max: Duration) -> Result<SelfCheck, SelfCheckError> {
        if let Some(cause) = self.failed() {
            return Err(SelfCheckError::Log(cause));
        }
        let vhost = self.vhosts().into_iter().next();
        let began = Instant::now();
        let check = Check {
            broker: self,
            vhost: vhost.ok_or(SelfCheckError::NoVhost)?,
            began,
            until: began + time_max,
        };
        check.run().map_err(|error| match (error, self.failed()) {
            // It failed after the look at it above: that is no matter of the queue.
            (SelfCheckError::Definition(DefinitionError::Log(_)), Some(cause)) => {
                SelfCheckError::Log(cause)
            }
            (error, _) => error,
        })
    }
}

impl Check<'_> {
    fn run(&self) -> Result<SelfCheck, SelfCheckError> {
        let queue = self.declare()?;
        let confirmed_in = self.send_and_take(&queue);
        let deleted = self.delete(&queue);
        let confirmed_in = confirmed_in?;
        deleted?;
        Ok(SelfCheck {
            confirmed_in,
            took: self.began.elapsed(),
        })
    }

    fn declare(&self) -> Result<Arc<QueueHandle>, SelfCheckError> {
        let spec = QueueSpec {
            name: self.broker.made_up_name(NAME_PREFIX),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Arguments::from_iter([("x-expires", EXPIRES_MS)]),
        };
        let declared = self.vhost.declare_queue(spec, ConnectionId::NOBODY)?;
        self.wait_for(declared.durable_at, "a queue")?;
        Ok(declared.queue)
    }

    fn send_and_take(&self, queue: &Arc<QueueHandle>) -> Result<Duration, SelfCheckError> {
        let began = Instant::now();
        self.send(queue)?;
        let confirmed_in = began.elapsed();
        let mut same = false;
        let taken = self.broker.get(queue, true, &mut |delivery| {
            same = delivery.message.body() == queue.name().as_bytes();
        })?;
        match (taken, same) {
            (true, true) => Ok(confirmed_in),
            (true, false) => Err(SelfCheckError::Lost("it is another one".to_owned())),
            (false, _) => Err(SelfCheckError::Lost("its queue is empty".to_owned())),
        }
    }

    /// The body is the queue's name. It goes there without its exchange's rules, which are for
    /// applications.
    fn send(&self, queue: &Arc<QueueHandle>) -> Result<(), SelfCheckError> {
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
            routing_key: queue.name().as_bytes(),
            properties: &NO_PROPERTIES,
            body: queue.name().as_bytes(),
        };
        let tag = ConfirmTag { channel: 0, tag: 1 };
        let mut burst = Burst::new();
        burst.stage(&draft, std::slice::from_ref(queue), |_| Some(tag));
        burst.confirms = true;
        let what = "a message";
        let ticket = burst.submit(self.broker);
        let ticket = ticket.expect("a burst with confirms has a ticket");
        let signal = Arc::new(Signal::default());
        if ticket.on_resolved(signal.clone()) && !signal.wait(self.until) {
            return Err(self.late(what));
        }
        let Some(promise) = ticket.resolved() else {
            let cause = self.broker.failed().unwrap_or_default();
            return Err(SelfCheckError::Log(cause));
        };
        if !ticket.rejected().is_empty() {
            return Err(SelfCheckError::Lost("its queue refused it".to_owned()));
        }
        self.wait_for(promise, what)
    }

    fn delete(&self, queue: &QueueHandle) -> Result<(), SelfCheckError> {
        let nobody = ConnectionId::NOBODY;
        let (_, promise) = self
            .vhost
            .delete_queue(queue.name(), false, false, nobody)?;
        self.wait_for(promise, "the end of a queue")
    }

    fn wait_for(&self, promise: Promise, what: &'static str) -> Result<(), SelfCheckError> {
        let signal = Arc::new(Signal::default());
        self.broker.when_kept(promise, signal.clone());
        match signal.wait(self.until) {
            true => Ok(()),
            false => Err(self.late(what)),
        }
    }

    fn late(&self, what: &'static str) -> SelfCheckError {
        let waited = self.began.elapsed();
        SelfCheckError::Late { what, waited }
    }
}
