//! What MQTT keeps under its link's lock: acknowledgements that wait for the disk, and deliveries
//! that wait for the client.
//!
//! Invariants
//! - An acknowledgement goes out when what it stands for is safe, in the order of the packets that
//!   are acknowledged.

use std::sync::Arc;
use std::time::Instant;

use ferry_broker::{
    Broker, ChannelInfo, ConfirmTag, ConsumerInfo, Lease, MessageStats, Metrics, Promise, Spoken,
    Tally, Ticket,
};
use mqtt::{ReasonCode, Version};

use super::answer::write_ack;
use super::deliver::Receiver;
use super::flights::{Flights, Stage};
use crate::link::{self, Due, Owed, Wait};
use crate::outbox::Outbox;

/// A connection of MQTT, as other threads see it.
pub(crate) type Link = link::Link<Wire>;

/// What answers a packet of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckKind {
    /// To PUBLISH of QoS 1.
    Puback,
    /// To PUBLISH of QoS 2.
    Pubrec,
    /// To PUBREC.
    Pubrel,
    /// To PUBREL.
    Pubcomp,
}

/// An acknowledgement that is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    /// Which packet it is.
    pub(crate) kind: AckKind,
    /// The packet id.
    pub(crate) id: u16,
    /// What it says.
    pub(crate) reason: ReasonCode,
    /// Whether it answers a publish that is new.
    pub(crate) starts: bool,
    /// Whether the client may have one more publish under way after it.
    pub(crate) frees: bool,
}

impl Ack {
    /// By what a refusal of its message is known.
    pub(crate) fn confirm_tag(id: u16) -> ConfirmTag {
        ConfirmTag {
            channel: 0,
            tag: id.into(),
        }
    }

    /// Whether it answers a publish.
    fn confirms(self) -> bool {
        matches!(self.kind, AckKind::Puback | AckKind::Pubrec)
    }
}

enum Debt {
    /// Answers of one turn, and what they wait for.
    Acks {
        ticket: Option<Arc<Ticket>>,
        acks: Vec<Ack>,
        read_at: Option<Instant>,
    },
    /// PUBLISH packets of QoS 2 whose ids are safe once the ticket is.
    Publishes {
        ticket: Option<Arc<Ticket>>,
        ids: Vec<u16>,
    },
    /// Any other packet.
    Packet { promise: Promise, bytes: Vec<u8> },
}

impl Due for Debt {
    type Pledge = Arc<Ticket>;

    fn due(&self) -> Result<Promise, Arc<Ticket>> {
        match self {
            Debt::Packet { promise, .. } => Ok(*promise),
            Debt::Acks { ticket, .. } | Debt::Publishes { ticket, .. } => match ticket {
                None => Ok(Promise::Now),
                Some(ticket) => ticket.resolved().ok_or_else(|| Arc::clone(ticket)),
            },
        }
    }
}

/// What waits for the connection's task.
#[derive(Default)]
pub(crate) struct Leftovers {
    /// Leases that are done with: delivered at QoS 0, or not to be delivered.
    pub(crate) done: Vec<(u16, Lease)>,
    /// Messages of QoS 2 whose packet ids are to be kept.
    pub(crate) tags: Vec<(u16, Lease, u16)>,
    /// Ids of publishes of QoS 2 that a queue refused: they are not under way any more.
    pub(crate) refused: Vec<u16>,
    /// Queues that have dropped the session's consumer.
    pub(crate) cancelled: Vec<u16>,
    /// A queue refused a publish, and the client's version has no word for that.
    pub(crate) must_end: bool,
}

impl Leftovers {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.done.is_empty()
            && self.tags.is_empty()
            && self.refused.is_empty()
            && self.cancelled.is_empty()
            && !self.must_end
    }
}

/// What a client has published, which only its task counts.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// All of it.
    pub(crate) publish: Tally,
    /// What no queue got.
    pub(crate) dropped: Tally,
}

/// What is counted of messages under the link's lock.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Publishes that were confirmed.
    pub(crate) confirm: u64,
    /// Deliveries that are to be settled.
    pub(crate) deliver: u64,
    /// Deliveries that are not.
    pub(crate) deliver_no_ack: u64,
    /// Deliveries that may have been made before.
    pub(crate) redeliver: u64,
    /// Deliveries that the client has acknowledged.
    pub(crate) ack: u64,
}

/// The protocol's part of a link.
#[derive(Default)]
pub(crate) struct Wire {
    debts: Owed<Debt>,
    /// What is on its way to the client.
    pub(crate) flights: Flights,
    /// PUBLISH packets that wait until their ids are safe.
    pub(crate) tagging: hashbrown::HashMap<u16, Vec<u8>, crate::hashing::HashState>,
    /// Flights that were let pass and have not come yet.
    pub(crate) reserved: usize,
    /// A consumer was refused for want of a packet id.
    pub(crate) id_starved: bool,
    /// What the client receives, and how. None until it is let in.
    pub(crate) receiver: Option<Box<Receiver>>,
    /// What waits for the task.
    pub(crate) leftovers: Leftovers,
    /// Publishes of QoS 1 and 2 of the client that are under way.
    pub(crate) under_way: u32,
    /// What the client has published.
    pub(crate) published: Arc<Published>,
    /// What was counted here.
    pub(crate) counts: Counts,
}

impl Link {
    /// Owes answers once the work of their turn is safe.
    pub(crate) fn owe_acks(
        &self,
        ticket: Option<Arc<Ticket>>,
        acks: Vec<Ack>,
        read_at: Option<Instant>,
    ) {
        let started = acks.iter().filter(|ack| ack.starts).count();
        self.with(|state| state.wire.under_way += started as u32);
        self.owe(Debt::Acks {
            ticket,
            acks,
            read_at,
        });
    }

    /// Owes PUBLISH packets once their ids are safe.
    pub(crate) fn owe_publishes(&self, ticket: Option<Arc<Ticket>>, ids: Vec<u16>) {
        self.owe(Debt::Publishes { ticket, ids });
    }

    /// Sends a packet once `promise` is kept, after all that is owed by then.
    pub(crate) fn send_when(&self, promise: Promise, bytes: Vec<u8>) {
        self.owe(Debt::Packet { promise, bytes });
    }

    fn owe(&self, debt: Debt) {
        self.with(|state| state.wire.debts.push(debt));
        self.pay();
    }
}

impl Wire {
    fn version(&self) -> Version {
        self.receiver
            .as_ref()
            .map_or(Version::V5, |receiver| receiver.version)
    }

    fn pay_acks(
        &mut self,
        ticket: Option<Arc<Ticket>>,
        acks: Vec<Ack>,
        outbox: &mut Outbox,
    ) -> u64 {
        let version = self.version();
        let refused = ticket.map(|ticket| ticket.rejected()).unwrap_or_default();
        let mut confirmed = 0;
        for mut ack in acks {
            let is_refused = ack.confirms() && refused.contains(&Ack::confirm_tag(ack.id));
            if is_refused {
                ack.reason = ReasonCode::QuotaExceeded;
                self.leftovers.must_end |= !version.is_5();
                if ack.kind == AckKind::Pubrec {
                    self.leftovers.refused.push(ack.id);
                }
            }
            confirmed += u64::from(ack.confirms() && !is_refused);
            // What an earlier connection has begun was never counted on this one.
            let frees = ack.frees || is_refused;
            self.under_way = self.under_way.saturating_sub(frees.into());
            if !self.leftovers.must_end {
                write_ack(outbox.buffer(), version, ack);
            }
        }
        self.counts.confirm += confirmed;
        confirmed
    }

    /// Ids of publishes of QoS 2 that a queue refused, whether the client was told or not.
    pub(crate) fn take_refused(&mut self) -> Vec<u16> {
        let mut ids = std::mem::take(&mut self.leftovers.refused);
        for debt in self.debts.iter() {
            let Debt::Acks {
                ticket: Some(ticket),
                acks,
                ..
            } = debt
            else {
                continue;
            };
            let refused = ticket.rejected();
            let taken = acks.iter().filter(|ack| ack.kind == AckKind::Pubrec);
            let known = taken.filter(|ack| refused.contains(&Ack::confirm_tag(ack.id)));
            ids.extend(known.map(|ack| ack.id));
        }
        ids
    }

    fn pay_publishes(&mut self, ids: &[u16], outbox: &mut Outbox) {
        for id in ids {
            if let Some(bytes) = self.tagging.remove(id) {
                outbox.buffer().extend_from_slice(&bytes);
            }
            if let Some(flight) = self.flights.get_mut(*id)
                && flight.stage == Stage::Tagging
            {
                flight.stage = Stage::AwaitsPubrec;
            }
        }
    }
}

impl link::Wire for Wire {
    const SPOKEN: Spoken = Spoken::Mqtt;

    /// Refusals leave something for the task, which is woken as consumers would be.
    fn pay(&mut self, outbox: &mut Outbox, broker: &Broker) -> (Wait<Arc<Ticket>>, bool) {
        let mut confirmed = 0;
        let had_leftovers = !self.leftovers.is_empty();
        let wait = loop {
            match self.debts.next(|promise| broker.kept(promise)) {
                Err(wait) => break wait,
                Ok(Debt::Acks {
                    ticket,
                    acks,
                    read_at,
                }) => {
                    let count = self.pay_acks(ticket, acks, outbox);
                    if let Some(read_at) = read_at.filter(|_| count > 0) {
                        broker.edges().confirmed(read_at.elapsed(), count);
                    }
                    confirmed += count;
                }
                Ok(Debt::Publishes { ids, .. }) => self.pay_publishes(&ids, outbox),
                Ok(Debt::Packet { bytes, .. }) => outbox.buffer().extend_from_slice(&bytes),
            }
        };
        Metrics::add(&broker.metrics().messages_confirmed, confirmed);
        (wait, !had_leftovers && !self.leftovers.is_empty())
    }

    fn disarm(&mut self) {
        self.debts.disarm();
    }

    fn clear(&mut self) {
        self.debts.clear();
    }

    fn channels(&self) -> Vec<ChannelInfo> {
        let Some(receiver) = &self.receiver else {
            return Vec::new();
        };
        vec![ChannelInfo {
            number: 1,
            prefetch: receiver.receive_max.into(),
            consumers: receiver.consumers().count() as u32,
            unacknowledged: self.flights.len() as u64,
            unconfirmed: self.under_way.into(),
            confirms: true,
            stats: self.totals(),
            ..ChannelInfo::default()
        }]
    }

    fn channel_count(&self) -> usize {
        usize::from(self.receiver.is_some())
    }

    fn consumers(&self) -> Vec<ConsumerInfo> {
        let receiver = self.receiver.as_ref();
        receiver.map_or_else(Vec::new, |receiver| receiver.consumers().collect())
    }

    fn totals(&self) -> MessageStats {
        MessageStats {
            publish: self.published.publish.get(),
            drop_unroutable: self.published.dropped.get(),
            confirm: self.counts.confirm,
            deliver: self.counts.deliver,
            deliver_no_ack: self.counts.deliver_no_ack,
            redeliver: self.counts.redeliver,
            ack: self.counts.ack,
            ..MessageStats::default()
        }
    }
}
