//! What queues, exchanges and virtual hosts have counted, and what doors tell of connections.
//!
//! Invariants
//! - A [`Tally`] has one writer at a time, so that counting is a load and a store and never a
//!   locked instruction. That of a queue is written by whoever has its partition.
//! - What burst by burst is added up for an exchange is added at once when the burst is submitted.
//! - What a deleted queue or exchange, or an ended connection, has counted stays in the sums of its
//!   virtual host.
//!
//! Not here: rates and how a count grew (`ferry-admin` samples), counters of the node (`metrics`).

mod probe;
mod retired;
mod sums;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use probe::{ChannelInfo, ConsumerInfo, Probe, Traffic};
pub(crate) use retired::Retirement;
pub use sums::VhostSums;

/// A count with one writer at a time.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds. To be called by the only writer.
    #[inline]
    pub fn add(&self, count: u64) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(count), Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! message_stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What has happened to messages, in the terms of RabbitMQ's management API.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct MessageStats { $($(#[$doc])* pub $name: u64,)* }

        impl MessageStats {
            /// The names of the counts, in the order of [`MessageStats::values`].
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The counts.
            pub fn values(&self) -> [u64; MessageStats::NAMES.len()] {
                [$(self.$name),*]
            }
        }

        impl std::ops::AddAssign for MessageStats {
            fn add_assign(&mut self, other: MessageStats) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }
        }
    };
}

message_stats! {
    /// Published; to a queue: that entered it or passed through it.
    publish,
    /// Published to an exchange.
    publish_in,
    /// Handed to queues by an exchange, each copy counts.
    publish_out,
    /// Publishes that were confirmed.
    confirm,
    /// Delivered to consumers that settle.
    deliver,
    /// Delivered to consumers that do not settle.
    deliver_no_ack,
    /// Taken one by one, to be settled.
    get,
    /// Taken one by one, not to be settled.
    get_no_ack,
    /// Asked for where there was none.
    get_empty,
    /// Deliveries of messages that may have been delivered before.
    redeliver,
    /// Settled as done.
    ack,
    /// Sent back because no queue was found.
    return_unroutable,
    /// Dropped because no queue was found.
    drop_unroutable,
    /// Bodies that were read from the log for a delivery.
    disk_reads,
    /// Durable messages that entered.
    disk_writes,
}

/// The counts of a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueTally {
    pub publish: Tally,
    pub deliver: Tally,
    pub deliver_no_ack: Tally,
    pub get: Tally,
    pub get_no_ack: Tally,
    pub get_empty: Tally,
    pub redeliver: Tally,
    pub ack: Tally,
    pub disk_reads: Tally,
    pub disk_writes: Tally,
}

impl QueueTally {
    pub fn stats(&self) -> MessageStats {
        MessageStats {
            publish: self.publish.get(),
            deliver: self.deliver.get(),
            deliver_no_ack: self.deliver_no_ack.get(),
            get: self.get.get(),
            get_no_ack: self.get_no_ack.get(),
            get_empty: self.get_empty.get(),
            redeliver: self.redeliver.get(),
            ack: self.ack.get(),
            disk_reads: self.disk_reads.get(),
            disk_writes: self.disk_writes.get(),
            ..MessageStats::default()
        }
    }
}

/// The counts of an exchange, which many bursts add to.
#[derive(Debug, Default)]
pub(crate) struct ExchangeTally {
    publish_in: AtomicU64,
    publish_out: AtomicU64,
}

impl ExchangeTally {
    pub fn stats(&self) -> MessageStats {
        MessageStats {
            publish_in: self.publish_in.load(Ordering::Relaxed),
            publish_out: self.publish_out.load(Ordering::Relaxed),
            ..MessageStats::default()
        }
    }
}

/// What one burst has to add to the counts of exchanges.
#[derive(Debug, Default)]
pub(crate) struct Flow(Vec<(Arc<ExchangeTally>, u64, u64)>);

impl Flow {
    /// A message was published to an exchange and goes to so many queues.
    #[inline]
    pub fn note(&mut self, exchange: &Arc<ExchangeTally>, queues: usize) {
        match self.0.last_mut() {
            Some((last, published, routed)) if Arc::ptr_eq(last, exchange) => {
                *published += 1;
                *routed += queues as u64;
            }
            _ => self.note_other(exchange, queues),
        }
    }

    #[inline(never)]
    fn note_other(&mut self, exchange: &Arc<ExchangeTally>, queues: usize) {
        let known = self
            .0
            .iter()
            .position(|(known, ..)| Arc::ptr_eq(known, exchange));
        match known {
            // Moved to the end, where the next message to the same exchange looks.
            Some(index) => {
                let last = self.0.len() - 1;
                self.0.swap(index, last);
                self.note(exchange, queues);
            }
            None => self.0.push((Arc::clone(exchange), 1, queues as u64)),
        }
    }

    /// Adds it up, and forgets it.
    pub fn settle(&mut self) {
        for (exchange, published, routed) in self.0.drain(..) {
            exchange.publish_in.fetch_add(published, Ordering::Relaxed);
            exchange.publish_out.fetch_add(routed, Ordering::Relaxed);
        }
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_counted_at_its_exchanges_when_it_is_settled() {
        let exchanges: [Arc<ExchangeTally>; 3] = Default::default();
        let mut flow = Flow::default();
        for (exchange, queues) in [(0, 2), (0, 1), (1, 0), (0, 1), (2, 5), (1, 1)] {
            flow.note(&exchanges[exchange], queues);
        }
        let counted = || {
            exchanges
                .each_ref()
                .map(|exchange| (exchange.stats().publish_in, exchange.stats().publish_out))
        };
        assert_eq!(counted(), [(0, 0); 3]);
        flow.settle();
        assert_eq!(counted(), [(3, 4), (2, 1), (1, 5)]);
        flow.note(&exchanges[0], 1);
        flow.clear();
        flow.settle();
        assert_eq!(counted(), [(3, 4), (2, 1), (1, 5)]);
    }

    #[test]
    fn sums_and_names_have_the_same_order() {
        let mut sum = MessageStats {
            publish: 1,
            disk_writes: 2,
            ..MessageStats::default()
        };
        sum += sum;
        assert_eq!(sum.values().len(), MessageStats::NAMES.len());
        assert_eq!((sum.values()[0], MessageStats::NAMES[0]), (2, "publish"));
        let last = MessageStats::NAMES.len() - 1;
        assert_eq!(
            (sum.values()[last], MessageStats::NAMES[last]),
            (4, "disk_writes")
        );
    }
}
