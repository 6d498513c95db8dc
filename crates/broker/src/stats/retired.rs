//! What objects have counted that are gone.

use parking_lot::Mutex;

use super::{MessageStats, Traffic};

/// The sums of what is gone from a virtual host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Retired {
    /// Of its queues, exchanges and channels.
    pub stats: MessageStats,
    /// Bytes that its connections received.
    pub received_bytes: u64,
    /// Bytes that its connections sent.
    pub sent_bytes: u64,
}

/// The same, to be added to.
#[derive(Debug, Default)]
pub(crate) struct Retirement(Mutex<Retired>);

impl Retirement {
    /// A queue is gone. What was published is counted at exchanges.
    pub fn queue(&self, stats: MessageStats) {
        self.0.lock().stats += MessageStats {
            publish: 0,
            ..stats
        };
    }

    /// An exchange is gone.
    pub fn exchange(&self, stats: MessageStats) {
        self.0.lock().stats.publish += stats.publish_in;
    }

    /// A connection is gone. What was delivered and settled is counted at queues.
    pub fn connection(&self, stats: MessageStats, traffic: Traffic) {
        let mut retired = self.0.lock();
        retired.stats += of_connection(stats);
        retired.received_bytes += traffic.received_bytes;
        retired.sent_bytes += traffic.sent_bytes;
    }

    pub fn get(&self) -> Retired {
        *self.0.lock()
    }
}

/// What a connection's channels add to the sums of their virtual host.
pub(super) fn of_connection(stats: MessageStats) -> MessageStats {
    MessageStats {
        confirm: stats.confirm,
        return_unroutable: stats.return_unroutable,
        drop_unroutable: stats.drop_unroutable,
        ..MessageStats::default()
    }
}
