//! Deliveries: from a partition into the connection's outbox.
//!
//! Invariants
//! - Called under a partition's lock; takes the link's lock and never calls the broker.
//! - What comes for a channel that is closed is not sent: its lease is left for the task, which
//!   gives it back.
//! - No delivery overtakes a reply that waits for the disk on its channel.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amqp091::deliver::{Content, write_deliver, write_get_ok};
use amqp091::method::basic;
use amqp091::properties::EMPTY;
use amqp091::{Method, ShortStr, Value};
use ferry_broker::{ConnectionId, ConnectionLimits, Delivery, Outlet};
use ferry_core::message::{FORMAT_AMQP091, FORMAT_MQTT, Message};

use super::headers::with_header;
use super::lane::{LaneGate, LaneId};
use super::streams;
use super::wire::Link;
use crate::link::event;
use crate::map::to_amqp::to_amqp091;

/// The header that tells a consumer how often a message came back.
const DELIVERY_COUNT_HEADER: &str = "x-delivery-count";

/// The slot of a consumer whose deliveries need no settling and have no queue.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Bytes that may wait for a client before direct replies to it are dropped: they have no queue to
/// wait in.
const DIRECT_REPLY_BYTES_MAX: usize = 16 << 20;

/// Where one channel's deliveries go.
#[derive(Clone)]
pub(crate) struct Address {
    /// The connection.
    pub(crate) link: Arc<Link>,
    /// What bounds it.
    pub(crate) limits: Arc<ConnectionLimits>,
    /// The channel's lane.
    pub(crate) lane: LaneId,
    /// What consumers look at without a lock.
    pub(crate) gate: Arc<LaneGate>,
    /// The channel's number.
    pub(crate) channel: u16,
    /// The connection's number at the broker.
    pub(crate) connection: ConnectionId,
    /// Largest frame that the client takes.
    pub(crate) frame_bytes_max: u32,
}

/// The way out to one consumer.
pub(crate) struct ConsumerOutlet {
    address: Address,
    tag: Box<[u8]>,
    slot: u32,
    no_ack: bool,
    notify_cancel: bool,
    starved: AtomicBool,
}

impl ConsumerOutlet {
    /// An outlet for the consumer of that tag.
    pub(crate) fn new(
        address: Address,
        tag: &[u8],
        slot: u32,
        no_ack: bool,
        notify_cancel: bool,
    ) -> ConsumerOutlet {
        let starved = AtomicBool::new(false);
        ConsumerOutlet {
            address,
            tag: tag.into(),
            slot,
            no_ack,
            notify_cancel,
            starved,
        }
    }

    /// Whether it was refused room since the last call.
    pub(crate) fn take_starved(&self) -> bool {
        self.starved.load(Ordering::SeqCst) && self.starved.swap(false, Ordering::SeqCst)
    }

    /// Tells the client, if it wants to know, that nothing will come any more.
    pub(crate) fn tell_cancelled(&self) {
        if !self.notify_cancel {
            return;
        }
        let Address {
            link,
            lane,
            channel,
            ..
        } = &self.address;
        // Behind the replies of its channel: `delete-ok` comes before the cancel it caused.
        link.reply(*lane, ferry_broker::Promise::Now, |out| {
            let consumer_tag = ShortStr::clipped(&self.tag);
            let cancel = basic::Cancel {
                consumer_tag,
                no_wait: true,
            };
            Method::BasicCancel(cancel).write_frame(out, *channel);
        });
    }

    /// The place of its queue in the lane.
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    fn passes_gate(&self) -> bool {
        if !self.address.gate.is_held() {
            return true;
        }
        self.starved.store(true, Ordering::SeqCst);
        !self.address.gate.is_held()
    }

    fn passes_limit(&self) -> bool {
        if self.address.gate.limit() == 0 {
            return true;
        }
        self.address.link.with(|state| {
            let lane = state.wire.lanes.get(self.address.lane);
            let fits = lane.is_none_or(|lane| match self.no_ack {
                true => lane.passes_uncounted(),
                false => lane.reserve_credit(),
            });
            if !fits {
                self.starved.store(true, Ordering::SeqCst);
            }
            fits
        })
    }
}

impl Outlet for ConsumerOutlet {
    fn admit(&self, bytes: usize) -> bool {
        let Address { link, limits, .. } = &self.address;
        self.passes_gate() && link.admit(bytes, limits, &self.starved, || self.passes_limit())
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        let address = &self.address;
        if self.slot == NO_SLOT && address.link.level() >= DIRECT_REPLY_BYTES_MAX {
            return;
        }
        let orphaned = address.link.with(|state| {
            let Some(lane) = state.wire.lanes.get(address.lane) else {
                return state.wire.leftovers.keep(&delivery);
            };
            if !self.no_ack {
                lane.spend_credit();
            }
            lane.stats.delivered(self.no_ack, delivery.redelivered);
            let message = &delivery.message;
            let method = basic::Deliver {
                consumer_tag: ShortStr::clipped(&self.tag),
                delivery_tag: lane.next_delivery(self.slot, delivery.lease),
                redelivered: delivery.redelivered,
                exchange: ShortStr::clipped(message.exchange()),
                routing_key: ShortStr::clipped(message.routing_key()),
            };
            let properties = properties_of(message, &delivery, address.frame_bytes_max);
            let content = Content {
                properties: &properties,
                body: message.body(),
            };
            let out = state.outbox.buffer();
            write_deliver(
                out,
                address.channel,
                method,
                content,
                address.frame_bytes_max,
            );
            false
        });
        address.link.unreserve(delivery.admitted_bytes);
        if orphaned {
            address.link.notify(event::LEFTOVERS);
        }
    }

    fn forgo(&self, admitted_bytes: usize) {
        let address = &self.address;
        if !self.no_ack {
            address.link.with(|state| {
                if let Some(lane) = state.wire.lanes.get(address.lane) {
                    lane.spend_credit();
                }
            });
        }
        address.link.unreserve(admitted_bytes);
    }

    fn connection(&self) -> ConnectionId {
        self.address.connection
    }

    fn cancelled(&self) {
        let address = &self.address;
        address.link.with(|state| {
            if state.wire.lanes.get(address.lane).is_none() {
                return;
            }
            state
                .wire
                .leftovers
                .cancelled
                .push((address.lane, self.tag.clone()));
        });
        address.link.notify(event::LEFTOVERS);
    }
}

impl Address {
    /// Answers `basic.get` with this message; whether its lease was left for the task.
    pub(crate) fn answer_get(&self, delivery: &Delivery<'_>, slot: u32) {
        if self.limits.meters_deliveries() {
            let body = delivery.message.body();
            self.limits.charge_delivery(body.len() as u64);
        }
        let orphaned = self.link.with(|state| {
            let Some(lane) = state.wire.lanes.get(self.lane) else {
                return state.wire.leftovers.keep(delivery);
            };
            lane.stats
                .got(delivery.lease.is_none(), delivery.redelivered);
            let message = &delivery.message;
            let method = basic::GetOk {
                delivery_tag: lane.next_delivery(slot, delivery.lease),
                redelivered: delivery.redelivered,
                exchange: ShortStr::clipped(message.exchange()),
                routing_key: ShortStr::clipped(message.routing_key()),
                message_count: u32::try_from(delivery.ready_left).unwrap_or(u32::MAX),
            };
            let properties = properties_of(message, delivery, self.frame_bytes_max);
            let content = Content {
                properties: &properties,
                body: message.body(),
            };
            state.reply(self.lane, ferry_broker::Promise::Now, true, |out| {
                write_get_ok(out, self.channel, method, content, self.frame_bytes_max);
            });
            false
        });
        if orphaned {
            self.link.notify(event::LEFTOVERS);
        }
    }
}

impl super::wire::Leftovers {
    /// Keeps the lease of a delivery that nobody is there for; whether there was one.
    fn keep(&mut self, delivery: &Delivery<'_>) -> bool {
        match (delivery.lease, delivery.queue) {
            (Some(lease), Some(queue)) => {
                self.leases.push((queue.clone(), lease));
                true
            }
            _ => false,
        }
    }
}

/// The properties to send: as stored or as the map of messages has them, with the delivery count
/// where the consumer is told it.
fn properties_of<'a>(
    message: &Message<'a>,
    delivery: &Delivery<'_>,
    frame_bytes_max: u32,
) -> Cow<'a, [u8]> {
    let properties: Cow<'a, [u8]> = match message.format() {
        FORMAT_AMQP091 => Cow::Borrowed(message.properties()),
        FORMAT_MQTT => Cow::Owned(to_amqp091(message, frame_bytes_max)),
        _ => Cow::Borrowed(&EMPTY),
    };
    if let Some(offset) = delivery.offset {
        return Cow::Owned(streams::with_offset(&properties, offset));
    }
    if !delivery.stamp_count {
        return properties;
    }
    Cow::Owned(stamped(&properties, delivery.delivery_count))
}

fn stamped(properties: &[u8], delivery_count: u32) -> Vec<u8> {
    let name = ShortStr::lit(DELIVERY_COUNT_HEADER);
    with_header(properties, name, Value::I64(delivery_count.into()))
}

#[cfg(test)]
mod tests {
    use amqp091::properties::Properties;

    use super::*;

    #[test]
    fn the_delivery_count_is_put_among_the_headers() {
        for count in [1, 5] {
            let once = stamped(&EMPTY, 9);
            let twice = stamped(&once, count);
            let headers = Properties::parse(&twice).unwrap().headers().unwrap();
            let value = headers.get(DELIVERY_COUNT_HEADER.as_bytes()).unwrap();
            assert_eq!(
                (value.as_i64(), headers.iter().count()),
                (Some(i64::from(count)), 1)
            );
        }
    }
}
