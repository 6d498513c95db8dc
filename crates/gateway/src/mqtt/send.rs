//! Deliveries: from a message to a PUBLISH in the connection's outbox.
//!
//! Invariants
//! - Called under a partition's lock and the link's; calls neither the broker nor the link.
//! - What is not sent, because no subscription matches or the packet would be too large, is settled
//!   like what was sent at QoS 0: by the task.
//! - A PUBLISH of QoS 2 goes out when its packet id is safe with its message, and not before.
//! - What was sent once comes again as it was, with its id, whatever is subscribed by then; not
//!   again once the client has said that it has it.
//!
//! Not here: whether there is room (`deliver`).

use std::borrow::Cow;

use ferry_broker::{Delivery, Lease};
use ferry_core::Millis;
use ferry_core::message::Message;
use mqtt::{Forward, Properties, PublishHead, Qos, Version, publish_bytes, topic, write_publish};

use super::again;
use super::alias::OutAliases;
use super::config::MQTT_PACKET_BYTES_MAX;
use super::deliver::{Receiver, Source};
use super::flights::{Flight, Stage};
use super::store::KeptId;
use super::subscriptions::{Candidate, Verdict};
use super::wire::Wire;
use crate::map::to_mqtt::{self, Outgoing};
use crate::outbox::Outbox;

/// What an alias may add to a packet, with what its lengths may, in bytes.
const ALIAS_BYTES: usize = 8;

/// How a message goes out.
struct Way {
    qos: u8,
    retain: bool,
    /// The id that it was sent with before.
    kept: Option<KeptId>,
}

impl Wire {
    /// Sends a message; leaves it to the task if nobody has to acknowledge it.
    pub(super) fn deliver(
        &mut self,
        outbox: &mut Outbox,
        source: u16,
        delivery: &Delivery<'_>,
        now: impl Fn() -> Millis,
    ) {
        let sent = self.send(outbox, source, delivery, now);
        if sent.is_none()
            && let Some(lease) = delivery.lease
        {
            self.leftovers.done.push((source, lease));
        }
    }

    /// None if nobody has to acknowledge it.
    fn send(
        &mut self,
        outbox: &mut Outbox,
        source: u16,
        delivery: &Delivery<'_>,
        now: impl Fn() -> Millis,
    ) -> Option<()> {
        let mut receiver = self.receiver.take()?;
        let sent = self.send_to(&mut receiver, outbox, source, delivery, now);
        self.receiver = Some(receiver);
        sent
    }

    #[inline]
    fn send_to(
        &mut self,
        receiver: &mut Receiver,
        outbox: &mut Outbox,
        source: u16,
        delivery: &Delivery<'_>,
        now: impl Fn() -> Millis,
    ) -> Option<()> {
        let from = receiver.sources.get(usize::from(source))?.as_ref()?;
        let message: &Message<'_> = &delivery.message;
        let keeps_retain = keeps_retain_of_all(receiver.version, from, delivery);
        if again::copy(message, keeps_retain, || outbox.buffer()) {
            self.count(delivery);
            return None;
        }
        receiver.topic.clear();
        if !topic::from_key(message.routing_key(), &mut receiver.topic) {
            return None;
        }
        let outgoing = Outgoing::of(message);
        let candidate = Candidate {
            topic: &receiver.topic,
            is_own: outgoing.publisher == receiver.digest && !outgoing.is_replay,
        };
        let way = way(from, delivery, &outgoing, candidate, &mut receiver.ids)?;
        let is_5 = receiver.version.is_5();
        let properties = match is_5 {
            true => outgoing.properties(),
            false => Cow::Borrowed(&[][..]),
        };
        // Without a time to live there is no need for the time.
        let expiry_s = message
            .ttl_ms()
            .filter(|_| is_5)
            .and_then(|_| to_mqtt::expiry_left_s(message, now()));
        let mut forward = Forward::of(Properties::from_checked(&properties));
        forward.message_expiry = expiry_s;
        forward.subscription_ids = &receiver.ids;
        let mut packet = Packet {
            version: receiver.version,
            head: PublishHead {
                topic: &receiver.topic,
                qos: Qos::from_bits(way.qos).unwrap_or_default(),
                packet_id: 0,
                dup: false,
                retain: way.retain,
            },
            forward,
            payload: message.body(),
        };
        let room = packet.room(receiver.packet_bytes_max)?;
        self.count(delivery);
        if way.qos == 0 {
            packet.name(&mut receiver.aliases, room);
            let packet = packet.write_to(outbox.buffer());
            again::note(message, keeps_retain, packet);
            return None;
        }
        let stage = self.begin_flight(&mut packet.head, &way, source, delivery)?;
        if stage == Stage::Tagging {
            packet.name_if_known(&receiver.aliases, room);
            self.keep_back(&packet, source, delivery.lease?);
        } else {
            packet.name(&mut receiver.aliases, room);
            packet.write(outbox.buffer());
        }
        Some(())
    }

    /// Has a PUBLISH wait until its packet id is safe with its message.
    fn keep_back(&mut self, packet: &Packet<'_>, source: u16, lease: Lease) {
        let (id, mut bytes) = (packet.head.packet_id, Vec::new());
        packet.write(&mut bytes);
        self.tagging.insert(id, bytes);
        self.leftovers.tags.push((source, lease, id));
    }

    fn count(&mut self, delivery: &Delivery<'_>) {
        match delivery.lease {
            None => self.counts.deliver_no_ack += 1,
            Some(_) => self.counts.deliver += 1,
        }
        self.counts.redeliver += u64::from(delivery.redelivered);
    }

    /// Gives a message its packet id; none if there is none, or the client has it already.
    fn begin_flight(
        &mut self,
        head: &mut PublishHead<'_>,
        way: &Way,
        source: u16,
        delivery: &Delivery<'_>,
    ) -> Option<Stage> {
        let stage = match (way.qos, way.kept) {
            (1, _) => Stage::AwaitsPuback,
            (_, Some(_)) => Stage::AwaitsPubrec,
            (_, None) => Stage::Tagging,
        };
        let flight = Flight {
            lease: Some(delivery.lease?),
            source,
            stage,
        };
        // What has QoS 2 and no id yet has never been sent.
        head.dup = way.kept.is_some() || way.qos == 1 && delivery.redelivered;
        head.packet_id = match way.kept {
            Some(KeptId { id, .. }) => self.begin_again(id, flight)?,
            None => self.flights.begin(flight)?,
        };
        Some(stage)
    }

    /// Takes up a message under the id that is its own; none if the client has it already.
    fn begin_again(&mut self, id: u16, flight: Flight) -> Option<u16> {
        let Some(before) = self.flights.get_mut(id) else {
            return self.flights.begin_with(id, flight).then_some(id);
        };
        // Its lease has ended while it was on its way.
        if before.stage == Stage::AwaitsPubcomp {
            return None;
        }
        let late = std::mem::replace(before, flight);
        self.tagging.remove(&id);
        // One that has ended counts as held until it is settled, too.
        let late_lease = late.lease.map(|lease| (late.source, lease));
        self.leftovers.done.extend(late_lease);
        Some(id)
    }
}

/// Whether messages keep the flag that they were published with, where that alone is to be known:
/// the packet is the same then for all whose answer is.
#[inline]
fn keeps_retain_of_all(version: Version, from: &Source, delivery: &Delivery<'_>) -> Option<bool> {
    if version.is_5() || delivery.lease.is_some() {
        return None;
    }
    let verdict = from.subscriptions.judge_all()?;
    Some(verdict.retain_as_published)
}

/// How a message goes out, if it does; replaces `ids` by what its subscriptions are called.
#[inline]
fn way(
    from: &Source,
    delivery: &Delivery<'_>,
    outgoing: &Outgoing<'_>,
    candidate: Candidate<'_>,
    ids: &mut Vec<u32>,
) -> Option<Way> {
    let judged = from.subscriptions.judge(candidate, ids);
    let tag = delivery
        .tag
        .filter(|_| from.keeps_ids && delivery.lease.is_some());
    let kept = tag.map(KeptId::of);
    let verdict = match (judged, kept) {
        (Some(verdict), _) => verdict,
        // The client may have it, and has unsubscribed since.
        (None, Some(kept)) => Verdict {
            qos: kept.qos,
            retain_as_published: false,
        },
        (None, None) => return None,
    };
    let qos = match (delivery.lease, kept) {
        (None, _) => 0,
        (Some(_), Some(kept)) => kept.qos,
        (Some(_), None) => outgoing.qos.min(verdict.qos),
    };
    Some(Way {
        qos,
        retain: outgoing.is_replay || outgoing.retain && verdict.retain_as_published,
        kept,
    })
}

/// A PUBLISH in the making.
struct Packet<'a> {
    version: Version,
    head: PublishHead<'a>,
    forward: Forward<'a>,
    payload: &'a [u8],
}

impl Packet<'_> {
    /// How many bytes it leaves of what the client takes; none if it is too large.
    fn room(&self, packet_bytes_max: u32) -> Option<usize> {
        let Packet {
            version,
            head,
            forward,
            payload,
        } = self;
        let bytes = publish_bytes(*version, head, forward, payload.len())?;
        let packet_bytes_max = packet_bytes_max.min(MQTT_PACKET_BYTES_MAX);
        (packet_bytes_max as usize).checked_sub(bytes)
    }

    /// Lets a number stand for the topic, or beside it, if there is room for both.
    fn name(&mut self, aliases: &mut OutAliases, room: usize) {
        if room >= ALIAS_BYTES
            && let Some(alias) = aliases.of(self.head.topic)
        {
            self.forward.topic_alias = Some(alias.number);
            if alias.is_known {
                self.head.topic = b"";
            }
        }
    }

    /// The same for what goes out later, and so after what has made a number known.
    fn name_if_known(&mut self, aliases: &OutAliases, room: usize) {
        if room >= ALIAS_BYTES
            && let Some(number) = aliases.known(self.head.topic)
        {
            self.forward.topic_alias = Some(number);
            self.head.topic = b"";
        }
    }

    /// Appends it, and gives it back as it stands there.
    fn write_to<'o>(&self, out: &'o mut Vec<u8>) -> &'o [u8] {
        let start = out.len();
        self.write(out);
        &out[start..]
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Packet {
            version,
            head,
            forward,
            payload,
        } = self;
        let written = write_publish(out, *version, head, forward, payload, u32::MAX);
        written.expect("it was measured before");
    }
}
