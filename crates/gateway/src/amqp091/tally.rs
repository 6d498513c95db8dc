//! What a channel has counted, for whoever asks about it.
//!
//! Invariants
//! - What only the connection's task counts is a store; the rest is counted under the link's lock,
//!   which whoever counts has anyway.

use ferry_broker::{MessageStats, Tally};
use ferry_core::arguments::Arguments;

/// What the channel itself counts, without the link's lock.
#[derive(Debug, Default)]
pub(crate) struct ChannelTally {
    /// Messages that were published.
    pub(crate) publish: Tally,
    /// Those that went nowhere and came back.
    pub(crate) returned: Tally,
    /// Those that went nowhere.
    pub(crate) dropped: Tally,
    /// Publishes that are to be confirmed.
    pub(crate) to_confirm: Tally,
}

/// What is counted under the link's lock, and how the channel is set.
#[derive(Debug, Default)]
pub(crate) struct LaneStats {
    /// What was counted.
    pub(crate) counts: MessageStats,
    /// The last publish that was confirmed or refused.
    pub(crate) confirmed_tag: u64,
    /// Prefetch limit of consumers to come; 0 for none.
    pub(crate) prefetch: u32,
    /// Whether publishes are confirmed.
    pub(crate) confirms: bool,
    /// Whether it is transactional.
    pub(crate) transactional: bool,
    /// Publishes before the open transaction.
    pub(crate) committed: u64,
    /// Settlements of the open transaction.
    pub(crate) acks_uncommitted: u64,
}

impl LaneStats {
    /// A message goes out to a consumer.
    #[inline]
    pub(crate) fn delivered(&mut self, no_ack: bool, redelivered: bool) {
        match no_ack {
            true => self.counts.deliver_no_ack += 1,
            false => self.counts.deliver += 1,
        }
        self.counts.redeliver += u64::from(redelivered);
    }

    /// A message goes out to who asked for one.
    pub(crate) fn got(&mut self, no_ack: bool, redelivered: bool) {
        match no_ack {
            true => self.counts.get_no_ack += 1,
            false => self.counts.get += 1,
        }
        self.counts.redeliver += u64::from(redelivered);
    }

    /// Publishes up to this one were answered, so many of them confirmed.
    pub(crate) fn confirmed(&mut self, tag: u64, count: u64) {
        self.confirmed_tag = tag;
        self.counts.confirm += count;
    }

    /// All that was counted.
    pub(crate) fn whole(&self, channel: &ChannelTally) -> MessageStats {
        MessageStats {
            publish: channel.publish.get(),
            return_unroutable: channel.returned.get(),
            drop_unroutable: channel.dropped.get(),
            ..self.counts
        }
    }
}

/// Who consumes, for listings.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerNote {
    /// Its tag.
    pub(crate) tag: String,
    /// Whether its deliveries need no settling.
    pub(crate) no_ack: bool,
    /// Whether nobody else may consume.
    pub(crate) exclusive: bool,
    /// Most unsettled messages; 0 for no limit.
    pub(crate) prefetch: u32,
    /// Everything else that it asked for.
    pub(crate) arguments: Arguments,
}
