//! What `ferrymq.json` keeps under its link's lock: answers that wait for the disk, and deliveries
//! that wait for the client.
//!
//! Invariants
//! - Publishes are answered in their order, and not before what they stand for is safe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ferry_broker::{
    Broker, ChannelInfo, ConfirmTag, ConsumerInfo, Lease, MessageStats, Metrics, Promise,
    QueueHandle, Spoken, Ticket,
};
use ferry_core::arguments::Arguments;

use super::answer::{Problem, write_error, write_ok};
use crate::link::{self, Due, Owed, Wait};
use crate::outbox::Outbox;

/// A connection, as other threads see it.
pub(crate) type Link = link::Link<Wire>;

/// A publish that is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confirm {
    /// By what a refusal of its message is known.
    pub(super) tag: ConfirmTag,
    /// The id of its request.
    pub(super) id: u64,
    /// Whether a queue takes it.
    pub(super) routed: bool,
}

/// Answers of one turn, and what they wait for.
struct Debt {
    ticket: Option<Arc<Ticket>>,
    confirms: Vec<Confirm>,
    read_at: Option<Instant>,
}

impl Due for Debt {
    type Pledge = Arc<Ticket>;

    fn due(&self) -> Result<Promise, Arc<Ticket>> {
        match &self.ticket {
            None => Ok(Promise::Now),
            Some(ticket) => ticket.resolved().ok_or_else(|| Arc::clone(ticket)),
        }
    }
}

/// A subscription, as listings show it.
pub(super) struct Subscribed {
    pub(super) queue: Arc<QueueHandle>,
    pub(super) no_ack: bool,
    pub(super) prefetch: u32,
}

/// The protocol's part of a link.
#[derive(Default)]
pub(crate) struct Wire {
    debts: Owed<Debt>,
    unconfirmed: u64,
    /// Whether the client is let in.
    pub(super) is_open: bool,
    /// What is subscribed to.
    pub(super) subscriptions: BTreeMap<u64, Subscribed>,
    /// Deliveries that the client has not settled, by their tags.
    pub(super) unsettled: BTreeMap<u64, (Arc<QueueHandle>, Lease)>,
    last_tag: u64,
    /// Subscriptions whose queue is gone, for the task.
    pub(super) cancelled: Vec<u64>,
    /// What was counted here.
    pub(super) counts: MessageStats,
}

impl Link {
    /// Owes answers once the work of their turn is safe.
    pub(super) fn owe(
        &self,
        ticket: Option<Arc<Ticket>>,
        confirms: Vec<Confirm>,
        read_at: Option<Instant>,
    ) {
        self.with(|state| {
            state.wire.unconfirmed += confirms.len() as u64;
            state.wire.debts.push(Debt {
                ticket,
                confirms,
                read_at,
            });
        });
        self.pay();
    }

    /// Writes something for the client.
    pub(super) fn say(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.with(|state| write(state.outbox.buffer()));
    }
}

impl Wire {
    /// Keeps a delivery until the client settles it, by the tag that it gets.
    pub(super) fn keep(&mut self, queue: &Arc<QueueHandle>, lease: Lease) -> u64 {
        self.last_tag += 1;
        let unsettled = (Arc::clone(queue), lease);
        self.unsettled.insert(self.last_tag, unsettled);
        self.last_tag
    }

    fn pay_confirms(&mut self, debt: Debt, outbox: &mut Outbox) -> u64 {
        let refused = debt.ticket.map(|ticket| ticket.rejected());
        let refused = refused.unwrap_or_default();
        self.unconfirmed -= debt.confirms.len() as u64;
        let mut confirmed = 0;
        for Confirm { tag, id, routed } in debt.confirms {
            if refused.contains(&tag) {
                let text = "a queue is full and refuses what is published to it";
                let problem = Problem::new("rejected", text);
                write_error(outbox.buffer(), Some(id), &problem);
            } else {
                write_ok(outbox.buffer(), Some(id), Some(routed));
                confirmed += 1;
            }
        }
        self.counts.confirm += confirmed;
        confirmed
    }
}

impl link::Wire for Wire {
    const SPOKEN: Spoken = Spoken::Json;

    fn pay(&mut self, outbox: &mut Outbox, broker: &Broker) -> (Wait<Arc<Ticket>>, bool) {
        let mut confirmed = 0;
        let wait = loop {
            let debt = match self.debts.next(|promise| broker.kept(promise)) {
                Err(wait) => break wait,
                Ok(debt) => debt,
            };
            let read_at = debt.read_at;
            let count = self.pay_confirms(debt, outbox);
            if let Some(read_at) = read_at
                && count > 0
            {
                broker.edges().confirmed(read_at.elapsed(), count);
            }
            confirmed += count;
        };
        Metrics::add(&broker.metrics().messages_confirmed, confirmed);
        (wait, false)
    }

    fn disarm(&mut self) {
        self.debts.disarm();
    }

    fn clear(&mut self) {
        self.debts.clear();
    }

    fn channels(&self) -> Vec<ChannelInfo> {
        if !self.is_open {
            return Vec::new();
        }
        vec![ChannelInfo {
            number: 1,
            consumers: self.subscriptions.len() as u32,
            unacknowledged: self.unsettled.len() as u64,
            unconfirmed: self.unconfirmed,
            confirms: true,
            stats: self.totals(),
            ..ChannelInfo::default()
        }]
    }

    fn channel_count(&self) -> usize {
        usize::from(self.is_open)
    }

    fn consumers(&self) -> Vec<ConsumerInfo> {
        let subscriptions = self.subscriptions.iter();
        let consumers = subscriptions.map(|(id, one)| ConsumerInfo {
            queue: Arc::clone(&one.queue),
            tag: id.to_string(),
            channel: 1,
            no_ack: one.no_ack,
            exclusive: false,
            prefetch: one.prefetch,
            arguments: Arguments::new(),
        });
        consumers.collect()
    }

    fn totals(&self) -> MessageStats {
        self.counts
    }
}
