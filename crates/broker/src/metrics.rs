//! Counters of the whole node, for the metrics page.
//!
//! Invariants
//! - Counters only grow; what there is now is counted where it is.

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::queue::Ticked;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters since the start, each by its own.
        #[derive(Debug, Default)]
        pub struct Metrics { $($(#[$doc])* pub $name: AtomicU64,)* }

        impl Metrics {
            /// Every counter with its name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Connections that were accepted.
    connections_opened,
    /// Connections that ended.
    connections_closed,
    /// Channels that were opened.
    channels_opened,
    /// Channels that were closed.
    channels_closed,
    /// Messages that publishers sent.
    messages_published,
    /// Of those, the ones that asked for a confirm.
    messages_confirm_asked,
    /// Queues that published messages were routed to, all together.
    messages_routed,
    /// Messages that no queue was found for.
    messages_unroutable,
    /// Of those, the ones that went back to their publisher.
    messages_returned,
    /// Publishes that were confirmed.
    messages_confirmed,
    /// Messages that became dead letters.
    messages_dead_lettered,
    /// Dead letters that had nowhere to go and were dropped.
    messages_dead_letter_dropped,
    /// Publishes that were not stored because their id had been seen.
    messages_duplicate,
    /// Settlements of deliveries whose lease had ended.
    messages_settled_late,
    /// Delays that were no numbers or negative, and had no effect.
    messages_delay_ignored,
    /// Messages whose delay was over, a retry's wait included.
    messages_woken,
    /// Leases that ended by their deadline.
    leases_expired,
    /// Gatherings of replies that began.
    gathers_begun,
    /// Gatherings that were answered.
    gathers_answered,
    /// Replies that came after their gathering had ended.
    gather_replies_late,
    /// Hops that were to be spans of a trace and could not be sent.
    spans_dropped,
    /// Pauses of queues for the sake of their deliver rates.
    deliver_pauses,
    /// Messages whose body could not be read back.
    messages_damaged,
    /// Publishes that a full queue refused.
    messages_rejected,
    /// Messages that broke a rule of their exchange.
    messages_refused,
    /// Documents, commands, events and queries that exchanges with strict kinds took.
    documents_published,
    /// As above.
    commands_published,
    /// As above.
    events_published,
    /// As above.
    queries_published,
    /// Channels that published their first message.
    publishers_opened,
    /// Channels that had published and were closed.
    publishers_closed,
    /// Declarations of queues that were not refused, whether the queue was there already or not.
    queue_declarations,
    /// Queues that were made.
    queues_declared,
    /// Queues that went.
    queues_deleted,
}

impl Metrics {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: u64) {
        if count > 0 {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts what has happened by itself in a queue.
    pub(crate) fn ticked(&self, ticked: Ticked) {
        Metrics::add(&self.messages_woken, ticked.woken as u64);
        Metrics::add(&self.leases_expired, ticked.leases_ended as u64);
        Metrics::add(&self.deliver_pauses, ticked.pauses_ended as u64);
    }
}
