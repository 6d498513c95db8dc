//! What a node does inside, for who looks after it: its partitions, its log, and what it promises.
//!
//! Invariants
//! - Nothing is locked for longer than it takes to copy a list of names.

use ferry_core::queue::SyncPolicy;
use ferry_log::{Position, SegmentUse};

use crate::Broker;

/// What one partition owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionUse {
    /// Its number.
    pub number: u16,
    /// Its queues.
    pub queues: u64,
    /// Consumers of these.
    pub consumers: u64,
    /// Messages that are ready in them.
    pub ready: u64,
    /// Messages that were delivered and not settled.
    pub unsettled: u64,
    /// Messages that wait for their time.
    pub delayed: u64,
}

/// How far the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// The segments, the oldest first.
    pub segments: Vec<SegmentUse>,
    /// Everything below is synced.
    pub durable: Position,
    /// Everything below is written to its file.
    pub written: Position,
    /// Everything so far.
    pub end: Position,
    /// Bytes that wait to be written.
    pub backlog_bytes: u64,
    /// Free space below which publishers are held, in bytes.
    pub disk_free_bytes_min: u64,
}

impl Broker {
    /// The partitions, in order.
    pub fn partition_uses(&self) -> Vec<PartitionUse> {
        let mut uses: Vec<PartitionUse> = (0..self.partitions.len())
            .map(|number| PartitionUse {
                number: number as u16,
                ..PartitionUse::default()
            })
            .collect();
        for vhost in self.vhosts() {
            for queue in vhost.queues() {
                let one = &mut uses[usize::from(queue.partition)];
                one.queues += 1;
                one.consumers += u64::from(queue.consumers());
                one.ready += queue.ready();
                one.unsettled += queue.unsettled();
                one.delayed += queue.delayed();
            }
        }
        uses
    }

    /// When a durable message is safe, in queues that are declared from now on and do not say.
    pub fn sync_default(&self) -> SyncPolicy {
        self.options.sync
    }

    /// How far the log is.
    pub fn log_state(&self) -> LogState {
        let log = &self.durability.log;
        // In this order, so that the three do not contradict each other.
        let (durable, written, end) = (log.durable(), log.written(), log.end());
        LogState {
            segments: log.segments(),
            durable,
            written,
            end,
            backlog_bytes: log.backlog_bytes(),
            disk_free_bytes_min: self.options.disk_free_bytes_min,
        }
    }
}
