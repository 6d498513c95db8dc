//! Publishing and settling, in bursts and in transactions.
//!
//! Invariants
//! - Every message has a number of its own, which is also the tag of its confirm.

use std::collections::BTreeSet;

use ferry_broker::{Burst, Clock, CommitError, MessageFormat, Outcome, PublishError, Published};
use ferry_core::message::Draft;
use ferry_core::queue::QueueKind;

use super::ruled::{HASH, STRICT, amended};
use crate::body::{BODY_BYTES_MIN, body};
use crate::format::{COLORS, Dress, SimFormat, dressed, plain};
use crate::model::queue::QueueModel;
use crate::model::{Change, Sent};
use crate::world::{Pending, World};
use crate::{Checked, violated};

/// Exchanges that clients publish to; the last one may not be there.
pub const EXCHANGES: [&str; 8] = ["", "fan", "dir", "top", "churn0", "churn1", STRICT, HASH];

/// Routing keys of exchanges.
pub const KEYS: [&str; 4] = ["k0", "k1", "k0.b", "k1.b.c"];

/// Settled leases that a client remembers, to settle them again.
const STALE_MAX: usize = 8;

impl World {
    fn draft_message(&mut self) -> (Sent, String) {
        let id = self.next_message;
        self.next_message += 1;
        let exchange = EXCHANGES[self.random.below(EXCHANGES.len() as u64) as usize];
        let names = self.model.queues.values().map(|queue| &queue.name);
        let streams = self.model.streams.values().map(|stream| &stream.name);
        let order = self.random.chance(self.workload.order);
        let names = names.filter(|name| !order || name.starts_with('o'));
        let names: Vec<String> = match self.random.chance(self.workload.streams) {
            true => streams.cloned().collect(),
            false => names.cloned().collect(),
        };
        let key = match exchange {
            "" => self.any_of(&names).unwrap_or_else(|| "nobody".to_owned()),
            _ => KEYS[self.random.below(KEYS.len() as u64) as usize].to_owned(),
        };
        let size = match self.random.below(20) {
            0 => self.random.below(self.workload.body_bytes_max * 8),
            1..=6 => self.random.below(self.workload.body_bytes_max),
            _ => self.random.below(120),
        };
        let sent = Sent {
            id,
            size: (size as u32).max(BODY_BYTES_MIN),
            persistent: self.random.chance(75),
            priority: match self.random.below(10) {
                0 => self.random.below(256) as u8,
                _ => self.random.below(8) as u8,
            },
            ttl_ms: self
                .random
                .chance(15)
                .then_some(1 + self.random.below(3000)),
            deliver_at: self.draw_delay(),
            identity: self.draw_identity(),
            dress: self.draw_dress(),
            key,
        };
        (sent, exchange.to_owned())
    }

    fn draw_delay(&mut self) -> Option<u64> {
        if !self.random.chance(self.workload.delayed) {
            return None;
        }
        let now = self.clock.now();
        Some(match self.random.below(20) {
            0 => now - self.random.below(1000),
            1 => now + self.random.below(1 << 40),
            2..=4 => now + self.random.below(200_000),
            _ => now + 1 + self.random.below(3000),
        })
    }

    fn draw_dress(&mut self) -> Dress {
        if self.workload.order + self.workload.streams == 0 {
            return Dress::default();
        }
        let random = &mut self.random;
        Dress {
            key: random.chance(85).then(|| random.below(6)),
            color: random
                .chance(80)
                .then(|| random.below(COLORS.len() as u64) as usize),
            weight: random.chance(70).then(|| random.below(6) as i64),
        }
    }

    /// A new id, or one that was used not long ago.
    fn draw_identity(&mut self) -> Option<u64> {
        if !self.random.chance(self.workload.identified) {
            return None;
        }
        let again = self.random.below(12);
        if self.random.chance(40) && again < self.next_identity - 1 {
            let identity = self.next_identity - 1 - again;
            let vague = |queue: &QueueModel| queue.window.is_vague(identity);
            return Some(identity).filter(|_| !self.model.queues.values().any(vague));
        }
        self.next_identity += 1;
        Some(self.next_identity - 1)
    }

    fn trace_publish(&mut self, exchange: &str, sent: &Sent, queues: Option<&BTreeSet<u64>>) {
        let id = sent.id;
        self.trace.line(format!(
            "  publish {id} to '{exchange}' '{}' {} bytes, {} {:?} {:?} {:?} {:?}: {queues:?}",
            sent.key,
            sent.size,
            sent.persistent,
            sent.ttl_ms,
            sent.deliver_at,
            sent.identity,
            sent.dress
        ));
    }

    /// Adds a publish to a burst and to what the model is told.
    fn add_publish(
        &mut self,
        burst: &mut Burst,
        changes: &mut Vec<Change>,
        client: usize,
        (confirm, transaction): (bool, Option<u64>),
    ) -> Checked {
        let (sent, exchange) = self.draft_message();
        let properties = dressed(sent.id, sent.identity, sent.dress);
        let headers = SimFormat.headers(&properties);
        let body = body(sent.id, sent.size);
        let draft = Draft {
            persistent: sent.persistent,
            priority: sent.priority,
            ttl_ms: sent.ttl_ms,
            published_ms: self.clock.now(),
            deliver_at: sent.deliver_at,
            exchange: exchange.as_bytes(),
            ..plain(&sent.key, &properties, &body)
        };
        let tag = confirm.then(|| World::tag(sent.id));
        let publisher = &mut self.clients[client].publisher;
        let published = burst.publish(&self.broker, publisher, &draft, &headers, tag);
        let id = sent.id;
        let (sent, refused) = match (exchange.as_str(), amended(&sent)) {
            (STRICT, Some(amended)) => (amended, false),
            (STRICT, None) => (sent, true),
            _ => (sent, false),
        };
        let queues = match exchange.as_str() {
            HASH if self.model.routing.exchanges.contains_key(HASH) => {
                Some(self.chosen_by_hash(&sent.key, &sent.dress, &headers)?)
            }
            _ => self.model.route(&exchange, &sent.key, &sent.dress),
        };
        self.trace_publish(&exchange, &sent, queues.as_ref());
        let Some(queues) = queues else {
            return match published {
                Err(PublishError::ExchangeNotFound(_)) => Ok(()),
                other => violated!("publish {id} to no exchange: {other:?}"),
            };
        };
        if refused {
            return match published {
                Err(PublishError::RuleBroken(_)) => Ok(()),
                other => violated!("publish {id} breaks a rule: {other:?}"),
            };
        }
        let expected = if queues.is_empty() {
            Published::Unroutable
        } else {
            Published::Routed
        };
        if published != Ok(expected) {
            return violated!("publish {id} was {published:?} and goes to {queues:?}");
        }
        changes.push(Change::Publish {
            sent,
            queues,
            tag: id,
            transaction,
        });
        Ok(())
    }

    /// Adds settles of what a client holds, and now and then of what it no longer holds.
    pub(crate) fn add_settles(
        &mut self,
        burst: &mut Burst,
        changes: &mut Vec<Change>,
        client: usize,
        (count, transaction): (u64, Option<u64>),
    ) {
        if self.random.chance(10)
            && let Some(stale) = self.any_of(&self.clients[client].stale.clone())
        {
            burst.settle(&stale.queue, stale.lease, Outcome::Accept);
        }
        for _ in 0..count {
            let held = self.clients[client].held.len() as u64;
            if held == 0 {
                return;
            }
            let index = self.random.below(held) as usize;
            let held = self.clients[client].held.remove(index);
            let outcome = match self.random.below(20) {
                0..=2 => Outcome::Requeue,
                3..=5 => Outcome::Reject,
                6 => Outcome::Delay(None),
                7 => Outcome::Delay(Some(self.random.below(2000))),
                _ => Outcome::Accept,
            };
            self.trace
                .line(format!("  settle {} {outcome:?}", held.number));
            burst.settle(&held.queue, held.lease, outcome);
            let queue = held.queue.id().0;
            changes.push(Change::Settle {
                queue,
                lease: held.number,
                outcome,
                transaction,
            });
            let stale = &mut self.clients[client].stale;
            // Of a stream's it is the channel that knows which are settled.
            if held.queue.kind() == QueueKind::Stream {
                continue;
            }
            stale.push(held);
            if stale.len() > STALE_MAX {
                stale.remove(0);
            }
        }
    }

    /// A burst of publishes, with settles among them.
    pub(crate) fn burst(&mut self) -> Checked {
        if self.broker.memory().blocked().is_some() && self.random.chance(90) {
            return Ok(());
        }
        let client = self.any_client();
        let (mut burst, mut changes) = (Burst::new(), Vec::new());
        let count = 1 + self.random.below(self.workload.burst_max);
        let mut asked = BTreeSet::new();
        for _ in 0..count {
            let confirm = self.random.chance(90);
            asked.extend(confirm.then_some(self.next_message));
            self.add_publish(&mut burst, &mut changes, client, (confirm, None))?;
            if self.random.chance(15) {
                self.add_settles(&mut burst, &mut changes, client, (1, None));
            }
        }
        self.submit(burst, changes, &asked)
    }

    fn submit(&mut self, mut burst: Burst, changes: Vec<Change>, asked: &BTreeSet<u64>) -> Checked {
        let ticket = burst.submit(&self.broker);
        if !burst.is_empty() {
            return violated!("a burst is not empty after it was submitted");
        }
        let result = self.observe(changes)?;
        if let Some(ticket) = ticket {
            let told: BTreeSet<u64> = ticket.rejected().iter().map(|tag| tag.tag).collect();
            let refused: BTreeSet<u64> = result.rejected.intersection(asked).copied().collect();
            if refused != told {
                return violated!("told to be refused were {told:?}, and were {refused:?}");
            }
            let placed = result
                .placed
                .into_iter()
                .filter(|(tag, _, _)| asked.contains(tag));
            self.pending
                .push(Pending::Confirms(ticket, placed.collect(), told));
        }
        Ok(())
    }

    /// Settles alone.
    pub(crate) fn settle(&mut self) -> Checked {
        let client = self.any_client();
        let (mut burst, mut changes) = (Burst::new(), Vec::new());
        let count = 1 + self.random.below(6);
        self.add_settles(&mut burst, &mut changes, client, (count, None));
        self.submit(burst, changes, &BTreeSet::new())
    }

    /// A transaction, which is committed or rolled back.
    pub(crate) fn transaction(&mut self) -> Checked {
        let client = self.any_client();
        let (mut burst, mut changes) = (Burst::new(), Vec::new());
        let transaction = self.next_transaction;
        self.next_transaction += 1;
        if self.random.chance(15) {
            for _ in 0..3 {
                self.add_publish(&mut burst, &mut Vec::new(), client, (false, None))?;
            }
            burst.clear();
            return Ok(());
        }
        for _ in 0..1 + self.random.below(4) {
            let mode = (false, Some(transaction));
            self.add_publish(&mut burst, &mut changes, client, mode)?;
        }
        let count = self.random.below(4);
        let mode = (count, Some(transaction));
        self.add_settles(&mut burst, &mut changes, client, mode);
        match self.broker.commit(&mut burst) {
            Ok(promise) => {
                let result = self.observe(changes)?;
                if !result.rejected.is_empty() {
                    return violated!("a commit hides that {:?} were refused", result.rejected);
                }
                self.pending.push(Pending::Commit(promise, result.placed));
                self.tear_behind(promise)
            }
            Err(CommitError::Partial) => {
                let result = self.observe(changes)?;
                if result.rejected.is_empty() {
                    return violated!("a commit is called partial and nothing was refused");
                }
                Ok(())
            }
            Err(error) => self.excuse("a transaction failed", error),
        }
    }
}
