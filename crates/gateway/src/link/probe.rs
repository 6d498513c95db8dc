//! What a connection tells of itself.
//!
//! Invariants
//! - Each count has one writer: reads are the task's, writes are counted by who has the outbox.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_broker::{
    ChannelInfo, ConsumerInfo, Lease, MessageStats, Probe, QueueHandle, Tally, Traffic,
};
use parking_lot::Mutex;
use std::sync::Arc;

use super::{Link, LinkState, event};
use crate::amqp091::lane::{Lane, LaneId};

/// What the connection's task shows to who asks.
#[derive(Default)]
pub(crate) struct Front {
    received_bytes: Tally,
    reads: Tally,
    writes: std::sync::atomic::AtomicU64,
    publishes: AtomicBool,
    paced: AtomicBool,
    close_reason: Mutex<Option<String>>,
}

impl Front {
    /// One read brought so many bytes.
    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.add(bytes as u64);
        self.reads.add(1);
    }

    /// One write was made.
    pub(super) fn sent(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the client publishes, and whether a rate holds its publishes.
    pub(crate) fn show(&self, publishes: bool, paced: bool) {
        self.publishes.store(publishes, Ordering::Relaxed);
        self.paced.store(paced, Ordering::Relaxed);
    }

    /// Why the connection is to be closed, once.
    pub(crate) fn take_close_reason(&self) -> Option<String> {
        self.close_reason.lock().take()
    }
}

impl LinkState {
    /// A channel is gone; what it has counted stays in the sums of its connection.
    pub(crate) fn close_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.close(id) {
            self.closed += lane.stats.whole(&lane.tally);
        }
    }
}

impl Link {
    /// The address that the client has connected to.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.writer.local_addr().ok()
    }
}

impl Probe for Link {
    fn traffic(&self) -> Traffic {
        Traffic {
            received_bytes: self.front.received_bytes.get(),
            reads: self.front.reads.get(),
            sent_bytes: self.sent_bytes(),
            writes: self.front.writes.load(Ordering::Relaxed),
            waiting_bytes: self.level() as u64,
        }
    }

    fn state(&self) -> &'static str {
        let held = self.broker.memory().blocked().is_some();
        let publishes = self.front.publishes.load(Ordering::Relaxed);
        match (held, publishes) {
            (true, true) => "blocked",
            (true, false) => "blocking",
            (false, _) if self.front.paced.load(Ordering::Relaxed) => "flow",
            (false, _) => "running",
        }
    }

    fn channels(&self) -> Vec<ChannelInfo> {
        let state = self.state.lock();
        let mut channels: Vec<_> = state.lanes.iter().map(channel).collect();
        drop(state);
        channels.sort_by_key(|channel| channel.number);
        channels
    }

    fn channel_count(&self) -> usize {
        self.state.lock().lanes.iter().count()
    }

    fn consumers(&self) -> Vec<ConsumerInfo> {
        let state = self.state.lock();
        let of_lane = |lane: &Lane<Arc<QueueHandle>, Lease>| -> Vec<ConsumerInfo> {
            let consumers = lane.consumers();
            consumers
                .map(|(queue, note)| ConsumerInfo {
                    queue: Arc::clone(queue),
                    tag: note.tag.clone(),
                    channel: lane.number,
                    no_ack: note.no_ack,
                    exclusive: note.exclusive,
                    prefetch: note.prefetch,
                    arguments: note.arguments.clone(),
                })
                .collect()
        };
        state.lanes.iter().flat_map(of_lane).collect()
    }

    fn totals(&self) -> MessageStats {
        let state = self.state.lock();
        let mut totals = state.closed;
        for lane in state.lanes.iter() {
            totals += lane.stats.whole(&lane.tally);
        }
        totals
    }

    fn close(&self, reason: &str) {
        *self.front.close_reason.lock() = Some(reason.to_owned());
        self.notify(event::CLOSE);
    }
}

fn channel(lane: &Lane<Arc<QueueHandle>, Lease>) -> ChannelInfo {
    let stats = &lane.stats;
    let published = lane.tally.publish.get();
    ChannelInfo {
        number: lane.number,
        prefetch: stats.prefetch,
        global_prefetch: lane.gate.global_limit(),
        consumers: lane.consumers().count() as u32,
        unacknowledged: lane.unacked.len() as u64,
        unconfirmed: lane
            .tally
            .to_confirm
            .get()
            .saturating_sub(stats.confirmed_tag),
        uncommitted: match stats.transactional {
            true => published.saturating_sub(stats.committed),
            false => 0,
        },
        acks_uncommitted: stats.acks_uncommitted,
        confirms: stats.confirms,
        transactional: stats.transactional,
        stats: stats.whole(&lane.tally),
    }
}
