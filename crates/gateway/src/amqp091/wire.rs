//! What AMQP 0-9-1 keeps under its link's lock: lanes, debts, and what waits for the task.
//!
//! Invariants
//! - A reply is held back behind everything that its channel owes.

use std::sync::Arc;
use std::time::Instant;

use ferry_broker::{
    Broker, ChannelInfo, ConsumerInfo, Lease, MessageStats, Metrics, Promise, QueueHandle, Spoken,
    Ticket,
};

use super::confirm::{ConfirmRange, Debts, HeldReply, Payment, Pledge};
use super::lane::{Lane, LaneId, Lanes};
use super::{write_ack, write_nack};
use crate::link::{self, LinkState, Wait};
use crate::outbox::Outbox;

/// A connection of AMQP 0-9-1, as other threads see it.
pub(crate) type Link = link::Link<Wire>;

/// What waits for the connection's task.
#[derive(Default)]
pub(crate) struct Leftovers {
    /// Leases that were handed to a channel that is closed: to be given back.
    pub(crate) leases: Vec<(Arc<QueueHandle>, Lease)>,
    /// Consumers that their queue has dropped.
    pub(crate) cancelled: Vec<(LaneId, Box<[u8]>)>,
}

/// The protocol's part of a link.
#[derive(Default)]
pub(crate) struct Wire {
    /// The channels' lanes.
    pub(crate) lanes: Lanes<Arc<QueueHandle>, Lease>,
    /// What waits for the disk.
    pub(crate) debts: Debts<Arc<Ticket>>,
    /// What waits for the task.
    pub(crate) leftovers: Leftovers,
    /// What closed channels have counted.
    closed: MessageStats,
}

impl Pledge for Arc<Ticket> {
    fn resolved(&self) -> Option<Promise> {
        Ticket::resolved(self)
    }

    fn rejected(&self) -> Vec<(u16, u64)> {
        Ticket::rejected(self)
            .into_iter()
            .map(|tag| (tag.channel, tag.tag))
            .collect()
    }
}

impl Link {
    /// Sends a reply on a channel once `promise` is kept, after all that the channel owes.
    pub(crate) fn reply(&self, lane: LaneId, promise: Promise, fill: impl FnOnce(&mut Vec<u8>)) {
        let kept = self.broker().kept(promise);
        if self.with(|state| state.reply(lane, promise, kept, fill)) {
            self.pay();
        }
    }

    /// Owes confirms once a burst is applied and durable.
    pub(crate) fn owe_confirms(
        &self,
        ticket: Arc<Ticket>,
        ranges: Vec<ConfirmRange>,
        read_at: Option<Instant>,
    ) {
        self.with(|state| state.wire.debts.owe_confirms(ticket, ranges, read_at));
        self.pay();
    }
}

impl LinkState<Wire> {
    /// Writes or holds a reply; whether it is held.
    pub(crate) fn reply(
        &mut self,
        lane: LaneId,
        promise: Promise,
        kept: bool,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let Some(found) = self.wire.lanes.get(lane) else {
            return false;
        };
        if kept && !found.gate.holds_replies() {
            fill(self.outbox.buffer());
            return false;
        }
        let mut bytes = Vec::new();
        fill(&mut bytes);
        found.hold_reply();
        self.wire
            .debts
            .owe_reply(promise, HeldReply { lane, bytes });
        true
    }
}

impl Wire {
    /// A channel is gone; what it has counted stays in the sums of its connection.
    pub(crate) fn close_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.close(id) {
            self.closed += lane.stats.whole(&lane.tally);
        }
    }
}

impl link::Wire for Wire {
    const SPOKEN: Spoken = Spoken::Amqp091;

    fn pay(&mut self, outbox: &mut Outbox, broker: &Broker) -> (Wait<Arc<Ticket>>, bool) {
        let Wire { lanes, debts, .. } = self;
        let (mut opened, mut confirmed) = (false, 0);
        let mut now = None;
        let wait = debts.pay(
            |promise| broker.kept(promise),
            |payment| match payment {
                Payment::Ack {
                    lane,
                    channel,
                    tag,
                    multiple,
                    count,
                } => {
                    if let Some(lane) = lanes.get(lane) {
                        confirmed += count;
                        lane.stats.confirmed(tag, count);
                        write_ack(outbox.buffer(), channel, tag, multiple);
                    }
                }
                Payment::Nack {
                    lane,
                    channel,
                    tag,
                    multiple,
                } => {
                    if let Some(lane) = lanes.get(lane) {
                        lane.stats.confirmed(tag, 0);
                        write_nack(outbox.buffer(), channel, tag, multiple);
                    }
                }
                Payment::Answered { read_at, publishes } => {
                    let now = *now.get_or_insert_with(Instant::now);
                    broker.edges().confirmed(now - read_at, publishes);
                }
                // A closed channel's replies, its last word among them, still go out in order.
                Payment::Reply(reply) => {
                    outbox.buffer().extend_from_slice(&reply.bytes);
                    if let Some(lane) = lanes.get(reply.lane) {
                        opened |= lane.release_reply();
                    }
                }
            },
        );
        Metrics::add(&broker.metrics().messages_confirmed, confirmed);
        (wait, opened)
    }
    fn disarm(&mut self) {
        self.debts.disarm();
    }

    fn clear(&mut self) {
        self.debts.clear();
    }

    fn channels(&self) -> Vec<ChannelInfo> {
        self.lanes.iter().map(channel).collect()
    }

    fn channel_count(&self) -> usize {
        self.lanes.iter().count()
    }

    fn consumers(&self) -> Vec<ConsumerInfo> {
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
        self.lanes.iter().flat_map(of_lane).collect()
    }

    fn totals(&self) -> MessageStats {
        let mut totals = self.closed;
        for lane in self.lanes.iter() {
            totals += lane.stats.whole(&lane.tally);
        }
        totals
    }
}

fn channel(lane: &Lane<Arc<QueueHandle>, Lease>) -> ChannelInfo {
    let stats = &lane.stats;
    let published = lane.tally.publish.get();
    ChannelInfo {
        number: lane.number,
        prefetch: stats.prefetch,
        global_prefetch: lane.global_limit(),
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
