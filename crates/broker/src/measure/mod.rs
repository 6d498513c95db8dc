//! How long things take, and how much comes at once: histograms for the metrics page.
//!
//! Invariants
//! - What happens per message is counted where one thread at a time may (a partition), without a
//!   locked instruction; what happens per burst is counted in the thread's own stripe.
//! - The clock is never read for a message: a step has its time in ms, a burst the instant at which
//!   it was read.
//! - Nothing is decided by what is measured.

mod died;
mod histogram;
mod striped;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferry_core::queue::QueueKind;

pub use died::DeadLetters;
pub(crate) use died::Died;
pub(crate) use histogram::Run;
pub use histogram::{BOUNDS, Distribution, Histogram};
use striped::Striped;
pub use tally::Deliveries;
pub(crate) use tally::{Tallies, Tally};

use crate::{Broker, QueueHandle};

/// Times of the messages of a partition or a queue, in ms. Written under the partition's lock.
#[derive(Debug, Default)]
pub(crate) struct MessageTimes {
    /// From the publish to each delivery.
    pub waited: Histogram,
    /// From a delivery to its settlement.
    pub leased: Histogram,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// AMQP 0-9-1.
    Amqp091,
    /// MQTT, whichever version.
    Mqtt,
    /// JSON over WebSocket.
    Json,
}

impl Spoken {
    /// All there are, in the order of their numbers.
    pub const ALL: [Spoken; 3] = [Spoken::Amqp091, Spoken::Mqtt, Spoken::Json];
}

/// Bytes of clients' sockets.
#[derive(Debug, Default)]
struct Traffic {
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

/// What doors measure.
#[derive(Debug, Default)]
struct Edge {
    confirm_us: Histogram,
    burst_publishes: Histogram,
    traffic: [Traffic; Spoken::ALL.len()],
}

/// What bursts and sockets measure.
#[derive(Debug, Default)]
pub struct Edges(Striped<Edge>);

impl Edges {
    /// So many publishes were confirmed, so long after they were read.
    pub fn confirmed(&self, waited: Duration, publishes: u64) {
        self.0.mine().confirm_us.add(micros(waited), publishes);
    }

    /// Bytes came from clients.
    pub fn received(&self, spoken: Spoken, bytes: u64) {
        let counter = &self.0.mine().traffic[spoken as usize].received_bytes;
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sockets of clients took bytes.
    pub fn sent(&self, spoken: Spoken, bytes: u64) {
        let counter = &self.0.mine().traffic[spoken as usize].sent_bytes;
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn burst(&self, publishes: u64) {
        if publishes > 0 {
            self.0.mine().burst_publishes.add(publishes, 1);
        }
    }

    /// All bytes that came from clients, and all that their sockets took.
    pub fn traffic_bytes(&self) -> (u64, u64) {
        let each = Spoken::ALL.map(|spoken| self.traffic_bytes_of(spoken));
        each.iter().fold((0, 0), |sum, (received, sent)| {
            (sum.0 + received, sum.1 + sent)
        })
    }

    /// The same, of clients that speak this.
    pub fn traffic_bytes_of(&self, spoken: Spoken) -> (u64, u64) {
        let sum = |of: fn(&Traffic) -> &AtomicU64| {
            let traffic = self.0.all().map(|edge| &edge.traffic[spoken as usize]);
            traffic.map(|one| of(one).load(Ordering::Relaxed)).sum()
        };
        (sum(|one| &one.received_bytes), sum(|one| &one.sent_bytes))
    }

    fn merged(&self, of: fn(&Edge) -> &Histogram) -> Distribution {
        let mut merged = Distribution::default();
        self.0.all().for_each(|edge| merged.merge(&of(edge).read()));
        merged
    }
}

/// All that the node has measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// From reading a publish to its confirm, in µs.
    pub confirm_us: Distribution,
    /// From a publish to each delivery, in ms.
    pub waited_ms: Distribution,
    /// From a delivery to its settlement by who holds it, in ms.
    pub leased_ms: Distribution,
    /// Syncs of the log, in µs.
    pub sync_us: Distribution,
    /// Publishes of one burst, of bursts that have any.
    pub burst_publishes: Distribution,
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Broker {
    /// Where doors count what they measure.
    pub fn edges(&self) -> &Edges {
        &self.edges
    }

    /// Dead letters by kind of queue, reason and strategy.
    pub fn dead_letters(&self) -> Vec<DeadLetters> {
        self.died.read()
    }

    /// Dead letters that stayed in their queue until they had arrived, by kind of queue.
    pub fn dead_letters_arrived(&self) -> [(QueueKind, u64); 2] {
        self.died.arrivals()
    }

    /// Everything that was measured since the start.
    pub fn measured(&self) -> Measured {
        let (mut waited_ms, mut leased_ms) = (Distribution::default(), Distribution::default());
        for partition in &self.partitions {
            waited_ms.merge(&partition.times().waited.read());
            leased_ms.merge(&partition.times().leased.read());
        }
        Measured {
            confirm_us: self.edges.merged(|edge| &edge.confirm_us),
            waited_ms,
            leased_ms,
            sync_us: self.durability.sync_us.read(),
            burst_publishes: self.edges.merged(|edge| &edge.burst_publishes),
        }
    }
}

/// What was measured of one queue since somebody first asked for it, in ms.
#[derive(Debug, Clone, Copy)]
pub struct QueueTimes {
    /// From a publish to each delivery.
    pub waited_ms: Distribution,
    /// From a delivery to its settlement by who holds it.
    pub leased_ms: Distribution,
}

impl QueueHandle {
    /// How long its messages take; measured from the first call on.
    pub fn measure_times(&self) -> QueueTimes {
        let times = self.times_from_now();
        QueueTimes {
            waited_ms: times.waited.read(),
            leased_ms: times.leased.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_by_what_is_spoken_and_together() {
        let edges = Edges::default();
        edges.received(Spoken::Amqp091, 1);
        edges.received(Spoken::Mqtt, 20);
        edges.sent(Spoken::Mqtt, 300);
        for (spoken, bytes) in [(Spoken::Amqp091, (1, 0)), (Spoken::Mqtt, (20, 300))] {
            assert_eq!(edges.traffic_bytes_of(spoken), bytes, "{spoken:?}");
        }
        assert_eq!(edges.traffic_bytes(), (21, 300));
    }
}
