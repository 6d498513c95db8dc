//! Dead letters: a message's history, and its way to the dead-letter exchange.
//!
//! Invariants
//! - A message leaves its queue after it has arrived where it goes, never before.
//! - A message that came here by itself is not routed back to a queue it died in: without a
//!   rejection in between that is a cycle, and the copy is dropped.
//!
//! Not here: when a message dies (`ferry-core`), how headers look on the wire (`format`).

use std::sync::{Arc, Weak};

use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, Message};
use ferry_core::queue::{DeadLetterReason, LeaseId, Outcome};

use crate::partition::{After, Batch, Command};
use crate::{Broker, Burst, Metrics, QueueHandle, TicketWaiter};

const HISTORY: &str = "x-death";

/// Settles what departed once it has arrived, when its ticket resolves later.
struct Arrival {
    broker: Weak<Broker>,
    queue: Arc<QueueHandle>,
    lease: LeaseId,
}

impl TicketWaiter for Arrival {
    fn ticket_resolved(&self) {
        if let Some(broker) = self.broker.upgrade() {
            let (queue, lease) = (Arc::clone(&self.queue), self.lease);
            broker.afters.lock().push(After::Settle { queue, lease });
        }
    }
}

impl Broker {
    /// Does what was left while a partition was held. Called with nothing held.
    pub(crate) fn run_afters(&self) {
        while !self.afters.lock().is_empty() {
            let Some(_one_at_a_time) = self.after_runner.try_lock() else {
                return;
            };
            let afters = std::mem::take(&mut *self.afters.lock());
            for after in afters {
                self.run_after(after);
            }
        }
    }

    fn run_after(&self, after: After) {
        match after {
            After::DeadLetter {
                queue,
                lease,
                message,
                reason,
            } => {
                self.dead_letter(&queue, lease, &message, reason);
            }
            After::Settle { queue, lease } => self.arrived(&queue, lease),
            After::Expired { queue } => {
                let now = self.now();
                if let Some(vhost) = self.vhost(&queue.vhost) {
                    vhost.delete_if(&queue, |queue| {
                        queue.unused_until().is_some_and(|until| until <= now)
                    });
                }
            }
        }
    }

    fn arrived(&self, queue: &QueueHandle, lease: LeaseId) {
        let command = Command::Settle {
            queue: queue.place(),
            lease,
            outcome: Outcome::Accept,
        };
        let batch = Batch {
            staged: Arc::from([]),
            commands: vec![command],
            ticket: None,
        };
        self.partition(queue).submit(&self.context(), batch);
    }

    fn dead_letter(
        &self,
        queue: &Arc<QueueHandle>,
        lease: Option<LeaseId>,
        message: &[u8],
        reason: DeadLetterReason,
    ) {
        let mut burst = Burst::new();
        let message = Message::parse(message).expect("what a queue had is a message");
        self.stage_dead_letter(&mut burst, queue, &message, reason);
        if !burst.is_empty() {
            Metrics::add(&self.metrics.messages_dead_lettered, 1);
            burst.confirms = true;
        }
        let ticket = burst.submit(self);
        let Some(lease) = lease else {
            return;
        };
        let later = ticket.is_some_and(|ticket| {
            let (broker, queue) = (self.me.clone(), Arc::clone(queue));
            ticket.on_resolved(Arc::new(Arrival {
                broker,
                queue,
                lease,
            }))
        });
        if !later {
            self.arrived(queue, lease);
        }
    }

    fn stage_dead_letter(
        &self,
        burst: &mut Burst,
        queue: &QueueHandle,
        message: &Message<'_>,
        reason: DeadLetterReason,
    ) {
        let Some(target) = &queue.options.dead_letter else {
            return;
        };
        let (Some(vhost), Some(format)) = (
            self.vhost(&queue.vhost),
            self.options.formats.get(message.format()),
        ) else {
            return;
        };
        let mut headers = format.headers(message.properties());
        let routing_key = target.routing_key.as_deref().map(str::as_bytes);
        let key = routing_key.unwrap_or(message.routing_key());
        if !message.dead_lettered() {
            forget_history(&mut headers);
        }
        let copies = text_list(&headers, "CC");
        let keys: Vec<&[u8]> = match routing_key {
            Some(key) => vec![key],
            None => std::iter::once(key)
                .chain(copies.iter().map(Vec::as_slice))
                .collect(),
        };
        let expiration = format.expiration(message.properties());
        let died = Death {
            queue,
            message,
            reason,
            copies: &copies,
            now: self.now(),
            expiration,
        };
        died.write(&mut headers);
        let mut queues = Vec::new();
        if vhost
            .route(&target.exchange, &keys, &headers, &mut queues)
            .is_err()
        {
            return;
        }
        if reason != DeadLetterReason::Rejected {
            queues.retain(|queue| !in_cycle(queue.name(), &headers));
        }
        if queues.is_empty() {
            return;
        }
        let properties = format.rewrite(message.properties(), &headers, true);
        let draft = Draft {
            exchange: target.exchange.as_bytes(),
            routing_key: key,
            properties: &properties,
            ttl_ms: None,
            dead_lettered: true,
            ..message.draft()
        };
        burst.stage(&draft, &queues, None);
    }
}

/// Drops a history that a publisher made up.
fn forget_history(headers: &mut Arguments) {
    headers.remove(HISTORY);
    for when in ["first", "last"] {
        for what in ["exchange", "queue", "reason"] {
            headers.remove(&format!("x-{when}-death-{what}"));
        }
    }
}

/// One death of a message.
struct Death<'a> {
    queue: &'a QueueHandle,
    message: &'a Message<'a>,
    reason: DeadLetterReason,
    copies: &'a [Vec<u8>],
    now: u64,
    expiration: Option<String>,
}

fn text(text: impl Into<Vec<u8>>) -> Value {
    Value::Str(text.into())
}

impl Death<'_> {
    /// Adds the death to the message's headers: deaths in the same queue for the same reason are
    /// one entry with a count, the latest stands first.
    fn write(&self, headers: &mut Arguments) {
        let mut deaths = match headers.remove(HISTORY) {
            Some(Value::Array(deaths)) => deaths,
            _ => Vec::new(),
        };
        let known = deaths.iter().position(|death| self.is_same(death));
        let entry = match known.map(|index| deaths.remove(index)) {
            Some(Value::Table(mut entry)) => {
                let count = entry.get("count").and_then(Value::as_integer).unwrap_or(0);
                entry.insert("count", Value::I64(i64::try_from(count).unwrap_or(0) + 1));
                entry.insert("time", Value::Timestamp(self.now / 1000));
                entry
            }
            _ => self.entry(),
        };
        deaths.insert(0, Value::Table(entry));
        let first = !headers.contains("x-first-death-reason");
        headers.insert(HISTORY, Value::Array(deaths));
        for (when, wanted) in [("first", first), ("last", true)] {
            if wanted {
                let name = |what: &str| format!("x-{when}-death-{what}");
                headers.insert(name("exchange"), text(self.message.exchange()));
                headers.insert(name("queue"), text(self.queue.name()));
                headers.insert(name("reason"), text(self.reason.name()));
            }
        }
    }

    fn is_same(&self, death: &Value) -> bool {
        let Value::Table(death) = death else {
            return false;
        };
        death.get("queue").and_then(Value::as_bytes) == Some(self.queue.name().as_bytes())
            && death.get("reason").and_then(Value::as_bytes) == Some(self.reason.name().as_bytes())
    }

    fn entry(&self) -> Arguments {
        let mut entry = Arguments::new();
        entry.insert("count", Value::I64(1));
        entry.insert("reason", text(self.reason.name()));
        entry.insert("queue", text(self.queue.name()));
        entry.insert("time", Value::Timestamp(self.now / 1000));
        entry.insert("exchange", text(self.message.exchange()));
        let keys = std::iter::once(self.message.routing_key().to_vec());
        let keys = keys
            .chain(self.copies.iter().cloned())
            .map(Value::Str)
            .collect();
        entry.insert("routing-keys", Value::Array(keys));
        if let Some(expiration) = &self.expiration {
            entry.insert("original-expiration", text(expiration.as_str()));
        }
        entry
    }
}

/// Whether the history leads from `queue` to here without anybody's rejection.
fn in_cycle(queue: &str, headers: &Arguments) -> bool {
    let Some(Value::Array(deaths)) = headers.get(HISTORY) else {
        return false;
    };
    let field = |death: &Value, name: &str| match death {
        Value::Table(death) => death
            .get(name)
            .and_then(Value::as_bytes)
            .map(<[u8]>::to_vec),
        _ => None,
    };
    let here = deaths
        .iter()
        .position(|death| field(death, "queue").as_deref() == Some(queue.as_bytes()));
    here.is_some_and(|here| {
        deaths[..=here]
            .iter()
            .all(|death| field(death, "reason").as_deref() != Some(b"rejected"))
    })
}

fn text_list(headers: &Arguments, name: &str) -> Vec<Vec<u8>> {
    match headers.get(name) {
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(|value| value.as_bytes().map(<[u8]>::to_vec))
            .collect(),
        _ => Vec::new(),
    }
}
