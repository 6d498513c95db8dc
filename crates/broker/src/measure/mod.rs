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

/// What doors measure.
#[derive(Debug, Default)]
struct Edge {
    confirm_us: Histogram,
    burst_publishes: Histogram,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
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
    pub fn received(&self, bytes: u64) {
        let counter = &self.0.mine().received_bytes;
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sockets of clients took bytes.
    pub fn sent(&self, bytes: u64) {
        let counter = &self.0.mine().sent_bytes;
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn burst(&self, publishes: u64) {
        if publishes > 0 {
            self.0.mine().burst_publishes.add(publishes, 1);
        }
    }

    /// All bytes that came from clients, and all that their sockets took.
    pub fn traffic_bytes(&self) -> (u64, u64) {
        let sum = |of: fn(&Edge) -> &AtomicU64| {
            let loads = self.0.all().map(|edge| of(edge).load(Ordering::Relaxed));
            loads.sum()
        };
        (
            sum(|edge| &edge.received_bytes),
            sum(|edge| &edge.sent_bytes),
        )
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
        let times = self.times.get_or_init(Box::default);
        QueueTimes {
            waited_ms: times.waited.read(),
            leased_ms: times.leased.read(),
        }
    }
}
