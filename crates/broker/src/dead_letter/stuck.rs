//! Dead letters that their target can not take: kept where they died, and tried again.
//!
//! Invariants
//! - What is stuck for one target is tried in the order in which it got stuck, and what comes
//!   later waits behind it. What has no target waits for its own.
//! - A target that refused is tried again when it has room, and after `RETRY_MS` at the latest.
//! - What is here is in its queue as well; only the queue's copy survives a restart.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::Millis;
use ferry_core::queue::DeadLetterReason;
use ferry_core::routing::QueueId;

use super::{Attempt, Departure};
use crate::partition::After;
use crate::vhost::Map;
use crate::{Broker, QueueHandle};

/// How long a target is left alone that refused, in milliseconds.
const RETRY_MS: u64 = 1000;

/// Dead letters that are tried in a row for one target, so that others get their turn.
const ATTEMPTS_IN_A_ROW_MAX: usize = 256;

/// The line of those that have no route at all.
const NO_TARGET: QueueId = QueueId(0);

/// What is stuck for one target.
#[derive(Debug, Default)]
struct Line {
    departures: BTreeMap<u64, Departure>,
    retry_at: Millis,
    /// What has no target is tried from behind this place on, after the first.
    tried_up_to: u64,
}

/// Everything that is stuck.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    lines: Map<QueueId, Line>,
    orders: u64,
}

impl Stuck {
    /// When something is to be tried again.
    pub fn next_retry(&self) -> Millis {
        let times = self.lines.values().map(|line| line.retry_at);
        times.min().unwrap_or(Millis::MAX)
    }

    fn add(&mut self, target: QueueId, mut departure: Departure, retry_at: Millis) {
        if departure.order == 0 {
            self.orders += 1;
            departure.order = self.orders;
        }
        let line = self.lines.entry(target).or_default();
        if line.departures.is_empty() {
            line.retry_at = retry_at;
        }
        line.departures.insert(departure.order, departure);
    }

    /// Takes the first of a line, or the next behind those that were tried.
    fn pop(&mut self, target: QueueId, first: bool) -> Option<Departure> {
        let line = self.lines.get_mut(&target)?;
        let behind = match first {
            true => 0,
            false => line.tried_up_to,
        };
        let later = (Bound::Excluded(behind), Bound::Unbounded);
        let Some(order) = line.departures.range(later).next().map(|(order, _)| *order) else {
            line.tried_up_to = 0;
            return None;
        };
        let mut departure = line.departures.remove(&order)?;
        if line.departures.is_empty() {
            self.lines.remove(&target);
        }
        departure.line = Some(target);
        Some(departure)
    }

    fn was_tried(&mut self, target: QueueId, order: u64) {
        if let Some(line) = self.lines.get_mut(&target) {
            line.tried_up_to = line.tried_up_to.max(order);
        }
    }
}

impl Broker {
    /// Keeps a dead letter that could not arrive.
    pub(super) fn stick(&self, departure: Departure) -> Attempt {
        let Departure { queue, lease, .. } = &departure;
        let found = self.with_state(queue, |state, cx| {
            state.with_queue(cx, queue.place(), &[], |queue, context| {
                let lease = (*lease)?;
                let first = queue.departure_failed(lease, context);
                Some((queue.leased(lease)?.size, first))
            })
        });
        let Some((size, first)) = found.flatten() else {
            return Attempt::Done; // Its queue is gone, and the message with it.
        };
        let target = departure.refused_by.first().copied().unwrap_or(NO_TARGET);
        let refusing = self
            .vhost(&queue.vhost)
            .and_then(|vhost| vhost.queue_of(target));
        if first {
            report(queue, refusing.as_deref());
        }
        let was_tried = self
            .awaited_of(refusing.as_slice(), departure.line)
            .is_empty();
        let retry_at = self.now() + RETRY_MS;
        self.stuck.lock().add(target, departure, retry_at);
        self.signals.deadline_moved(retry_at);
        if let Some(refusing) = refusing.filter(|_| was_tried) {
            self.await_room(&refusing, size);
        }
        Attempt::Stuck(target)
    }

    /// Asks to be told when a queue has room for a message of that size.
    fn await_room(&self, queue: &QueueHandle, size: u32) {
        queue.awaited.store(u64::from(size) + 1, Ordering::SeqCst);
        let has_room = self.with_state(queue, |state, _| {
            let core = state.queue(queue.place());
            core.is_some_and(|core| core.has_room(size))
        });
        // It got room after it refused, and did not know that anybody waits.
        if has_room && queue.awaited.swap(0, Ordering::SeqCst) != 0 {
            let queue = queue.id;
            self.afters.lock().push(After::Room { queue });
        }
    }

    /// Those of some queues that others wait for already; not the one whose turn it is.
    pub(super) fn awaited_of(
        &self,
        queues: &[Arc<QueueHandle>],
        turn: Option<QueueId>,
    ) -> Vec<QueueId> {
        let stuck = self.stuck.lock();
        let ids = queues.iter().map(|queue| queue.id);
        let others = ids.filter(|id| Some(*id) != turn);
        others.filter(|id| stuck.lines.contains_key(id)).collect()
    }

    /// Forgets what is stuck of a queue that goes.
    pub(crate) fn forget_stuck_of(&self, source: QueueId) {
        let lines = &mut self.stuck.lock().lines;
        lines.retain(|_, line| {
            line.departures
                .retain(|_, departure| departure.queue.id != source);
            !line.departures.is_empty()
        });
    }

    /// Tries again what was refused long enough ago.
    pub(crate) fn retry_stuck(&self) {
        let now = self.now();
        let due: Vec<QueueId> = {
            let mut stuck = self.stuck.lock();
            let mut due = Vec::new();
            for (target, line) in &mut stuck.lines {
                // Later than it was ever set to: the clock has fallen.
                if line.retry_at <= now || line.retry_at > now + RETRY_MS {
                    line.retry_at = now + RETRY_MS;
                    due.push(*target);
                }
            }
            due.sort_unstable();
            due
        };
        let mut afters = self.afters.lock();
        afters.extend(due.into_iter().map(|queue| After::Room { queue }));
    }

    /// Tries again what is stuck for one target, until it refuses.
    pub(super) fn retry_stuck_for(&self, target: QueueId) {
        let (mut first, mut progress) = (true, false);
        for _ in 0..ATTEMPTS_IN_A_ROW_MAX {
            let Some(departure) = self.stuck.lock().pop(target, first) else {
                return;
            };
            let order = departure.order;
            let Some(message) = self.body_of(&departure) else {
                progress = true;
                continue; // Its queue is gone, or its lease.
            };
            match self.depart(departure, &message) {
                Attempt::Stuck(line) if line == target => {
                    if target != NO_TARGET {
                        return;
                    }
                    // The next may come from elsewhere, and have a route.
                    self.stuck.lock().was_tried(target, order);
                    first = false;
                }
                Attempt::Done | Attempt::Stuck(_) => progress = true,
                Attempt::UnderWay => return,
            }
        }
        if !progress {
            return; // Others are tried after the next wait.
        }
        // The rest is for the background: whoever is here has work of its own.
        let now = self.now();
        if let Some(line) = self.stuck.lock().lines.get_mut(&target) {
            line.retry_at = now;
        }
        self.signals.hand_over();
    }

    pub(super) fn body_of(&self, departure: &Departure) -> Option<Vec<u8>> {
        let queue = &departure.queue;
        let lease = departure.lease?;
        let body = self.with_state(queue, |state, cx| {
            state.leased_body(cx, queue.place(), lease)
        });
        body?.ok()
    }

    /// Takes up again what was stuck when the broker stopped.
    pub(crate) fn resume_departures(&self, queue: &Arc<QueueHandle>) {
        let found: Vec<(_, DeadLetterReason)> = self.with_state(queue, |state, _| {
            let core = state.queue(queue.place());
            core.map(|core| core.stuck_departures().collect())
                .unwrap_or_default()
        });
        let mut stuck = self.stuck.lock();
        for (lease, reason) in found {
            let departure = Departure::new(Arc::clone(queue), Some(lease), reason);
            stuck.add(NO_TARGET, departure, self.now());
        }
    }
}

fn report(queue: &QueueHandle, refusing: Option<&QueueHandle>) {
    let (name, vhost) = (queue.name(), queue.vhost());
    match refusing {
        Some(full) => tracing::warn!(
            queue = name,
            vhost,
            "dead letters are kept: queue '{}' is full; consume from it or raise its limit",
            full.name()
        ),
        None => tracing::warn!(
            queue = name,
            vhost,
            "dead letters are kept: they have no exchange or no route; bind a queue to the \
             dead-letter exchange, or set the strategy to at-most-once"
        ),
    }
}
