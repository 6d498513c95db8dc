//! What a client of MQTT hears, and whether it may be so.

use mqtt::{Packet, Pubcomp, Publish, Pubrel, Qos, ReasonCode, Version};

use super::{Delivery, MqttClient, RECEIVE_MAX, SUBSCRIBES, Stage};
use crate::wire::client::Client as _;
use crate::wire::desk::{
    Desk, LIMITED, LIMITED_TOPIC, SUBSCRIBED, TOPICS, WATCHER, is_shared, session,
};
use crate::wire::ledger::Delivered;
use crate::wire::line::{Arriving, Listener, MqttLine};
use crate::{Checked, body, violated};

impl Listener for MqttClient {
    type Line = MqttLine;

    fn telling(&mut self) -> Option<&mut MqttLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Arriving<'_>, desk: &mut Desk<'_>) -> Checked {
        let name = self.name();
        match heard {
            Arriving::LetIn(present) => {
                desk.trace.line(format!("  {name} is let in"));
                self.hear_let_in(present, desk)
            }
            Arriving::Packet(packet) => {
                let number = match &packet {
                    Packet::Publish(publish) => body::message_of(publish.payload),
                    _ => None,
                };
                let what = packet.packet_type();
                desk.trace
                    .line(format!("  {name} hears {what:?} {number:?}"));
                self.hear_packet(&packet, desk)
            }
        }
    }
}

impl MqttClient {
    fn hear_let_in(&mut self, present: bool, desk: &mut Desk<'_>) -> Checked {
        if self.has_subscribed && !present {
            return violated!("its session is lost");
        }
        if self.has_subscribed {
            self.state.stage = Stage::Open;
            self.say_again(desk);
        } else {
            self.state.stage = Stage::Subscribing;
            self.say_subscribe();
        }
        Ok(())
    }

    fn hear_packet(&mut self, packet: &Packet<'_>, desk: &mut Desk<'_>) -> Checked {
        match (self.state.stage, packet) {
            (Stage::Subscribing, Packet::Suback(suback)) => {
                let granted: Vec<u8> = suback.reasons.iter().map(ReasonCode::byte).collect();
                let wanted = SUBSCRIBED[self.number].1;
                if suback.packet_id != SUBSCRIBES || granted != [wanted] {
                    return violated!("granted are {granted:?}, and not {wanted}");
                }
                self.state.stage = Stage::Open;
                self.has_subscribed = true;
                Ok(())
            }
            (_, Packet::Pingresp) if self.state.pings > 0 => {
                self.state.pings -= 1;
                Ok(())
            }
            // What comes behind a goodbye comes again, perhaps to another one.
            (Stage::Leaving, Packet::Publish(_)) => Ok(()),
            (_, Packet::Publish(publish)) => self.hear_publish(publish, desk),
            (_, Packet::Pubrel(pubrel)) => {
                self.received.remove(&pubrel.packet_id);
                if let Some((line, _)) = self.open() {
                    let answer = Pubcomp::success(pubrel.packet_id);
                    line.say(Packet::Pubcomp(answer));
                }
                Ok(())
            }
            (_, packet) => self.hear_answer(packet, desk),
        }
    }

    /// The next that is due of its kind, and that alone.
    fn hear_answer(&mut self, packet: &Packet<'_>, desk: &mut Desk<'_>) -> Checked {
        let (qos, released, packet_id, reason) = match packet {
            Packet::Puback(puback) => (Qos::AtLeastOnce, false, puback.packet_id, puback.reason),
            Packet::Pubrec(pubrec) => (Qos::ExactlyOnce, false, pubrec.packet_id, pubrec.reason),
            Packet::Pubcomp(pubcomp) => (Qos::ExactlyOnce, true, pubcomp.packet_id, pubcomp.reason),
            packet => return violated!("{:?}, which nobody waits for", packet.packet_type()),
        };
        let of_kind =
            |flight: &&mut super::Flight| (flight.qos, flight.released) == (qos, released);
        let next = self.flights.iter_mut().find(of_kind);
        let what = packet.packet_type();
        let Some(flight) = next.filter(|flight| flight.packet_id == packet_id) else {
            return violated!("{what:?} of {packet_id}, where another one is due");
        };
        // A PUBREL that was heard before the connection was lost.
        let forgotten = reason == ReasonCode::PacketIdentifierNotFound;
        let is_full = reason == ReasonCode::QuotaExceeded && flight.topic == LIMITED_TOPIC;
        if is_full && !released {
            let (id, again) = (flight.id, flight.again);
            desk.trace.line(format!("  {id} is refused"));
            self.flights.retain(|flight| flight.packet_id != packet_id);
            // What was sent once more may have been taken before.
            return match qos == Qos::AtLeastOnce && again {
                true => Ok(()),
                false => desk.ledger.refuse(id, LIMITED),
            };
        }
        if reason.is_error() && !(forgotten && released && flight.again) {
            return violated!("{what:?} of {packet_id}: {reason}");
        }
        if !released {
            desk.ledger.confirm(flight.id)?;
        }
        if qos == Qos::ExactlyOnce && !released {
            flight.released = true;
            if let Some((line, _)) = self.open() {
                line.say(Packet::Pubrel(Pubrel::success(packet_id)));
            }
        } else {
            self.flights.retain(|flight| flight.packet_id != packet_id);
        }
        Ok(())
    }

    fn hear_publish(&mut self, publish: &Publish<'_>, desk: &mut Desk<'_>) -> Checked {
        let (place, life) = (session(self.number), self.life().unwrap_or_default());
        let known = match self.number == WATCHER {
            true => publish.topic.starts_with(b"l/"),
            false => (0..TOPICS).any(|topic| publish.topic == format!("t/{topic}").as_bytes()),
        };
        if !known || publish.retain {
            return violated!("a message of another topic, or a retained one");
        }
        let packet_id = publish.packet_id;
        let answer = |id| Delivery {
            packet_id,
            id,
            qos: publish.qos,
        };
        // Once more what it has had: the same message, and nothing new.
        if publish.qos == Qos::ExactlyOnce
            && let Some(id) = self.received.get(&packet_id).copied()
        {
            if !publish.dup || body::message_of(publish.payload) != Some(id) {
                return violated!("another message by the packet id {packet_id} of {id}");
            }
            self.state.unanswered.push_back(answer(id));
            return Ok(());
        }
        let id = desk.ledger.deliver(&Delivered {
            place,
            payload: publish.payload,
            life,
            // What comes back to those who share may be new to whom it comes now.
            redelivered: publish.dup || is_shared(place),
            // Messages keep their order among those of the same QoS.
            reader: &(life, format!("{:?}", publish.qos)),
        })?;
        if self.number == WATCHER {
            desk.books.wills.arrive(id, desk.now_ms)?;
        }
        match publish.qos {
            Qos::AtMostOnce => desk.ledger.consume(place, id),
            Qos::AtLeastOnce => self.state.unanswered.push_back(answer(id)),
            Qos::ExactlyOnce => {
                desk.ledger.consume(place, id);
                self.received.insert(packet_id, id);
                self.state.unanswered.push_back(answer(id));
            }
        }
        let of_once = |delivery: &&Delivery| delivery.qos == Qos::AtLeastOnce;
        let flying = self.state.unanswered.iter().filter(of_once).count() + self.received.len();
        if self.version == Version::V5 && flying > usize::from(RECEIVE_MAX) {
            return violated!("{flying} deliveries at a time, and it takes {RECEIVE_MAX}");
        }
        Ok(())
    }
}
