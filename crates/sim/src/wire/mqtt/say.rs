//! What a client of MQTT says.

use mqtt::{
    Connect, Disconnect, FilterList, Packet, Properties, Puback, Publish, Pubrec, Pubrel, Qos,
    ReasonCode, Subscribe, SubscribeOptions, Subscription, Version, write_properties,
};

use super::{Delivery, Flight, MqttClient, RECEIVE_MAX, SUBSCRIBES, Stage, State};
use crate::body;
use crate::wire::client::Client as _;
use crate::wire::desk::{
    Desk, LAST_WORDS_PERCENT, LIMITED, LIMITED_TOPIC, SUBSCRIBED, TOPICS, places_of, session,
};
use crate::wire::ledger::Sent;
use crate::wire::line::MqttLine;

/// Most publishes that are not answered.
const FLIGHTS_MAX: usize = 6;

/// How many publishes go where they may be refused, in percent.
const LIMITED_PERCENT: u64 = 15;

/// Packet ids of publishes.
const PACKET_IDS: u16 = 40;

fn publish(flight: &Flight, dup: bool) -> Packet<'_> {
    Packet::Publish(Publish {
        topic: flight.topic.as_bytes(),
        qos: flight.qos,
        packet_id: flight.packet_id,
        dup,
        retain: false,
        properties: Properties::EMPTY,
        payload: &flight.body,
    })
}

impl MqttClient {
    fn say(&mut self, packet: Packet<'_>) {
        if let Some(line) = &mut self.line {
            line.say(packet);
        }
    }

    pub(super) fn say_connect(&mut self) {
        let mut block = Vec::new();
        let properties = match self.version {
            Version::V5 => write_properties(&mut block, |writer| {
                writer.session_expiry(u32::MAX).receive_maximum(RECEIVE_MAX);
            }),
            _ => Properties::EMPTY,
        };
        let client_id = format!("m{}", self.number);
        let connect = Connect {
            version: self.version,
            clean_start: false,
            keep_alive_seconds: 0,
            client_id: &client_id,
            properties,
            will: None,
            user_name: None,
            password: None,
        };
        self.say(Packet::Connect(connect));
    }

    pub(super) fn say_subscribe(&mut self) {
        let (filter, qos) = SUBSCRIBED[self.number];
        let options = SubscribeOptions {
            qos: Qos::from_bits(qos).expect("a quality of service"),
            ..SubscribeOptions::default()
        };
        let mut block = Vec::new();
        let subscribe = Subscribe {
            packet_id: SUBSCRIBES,
            properties: Properties::EMPTY,
            filters: FilterList::write(&mut block, [Subscription { filter, options }]),
        };
        self.say(Packet::Subscribe(subscribe));
    }

    /// What was not answered is said once more.
    pub(super) fn say_again(&mut self, desk: &mut Desk<'_>) {
        let Some(line) = &mut self.line else {
            return;
        };
        for flight in &mut self.flights {
            flight.again = true;
            let (released, id) = (flight.released, flight.id);
            desk.trace
                .line(format!("  {id} again, released: {released}"));
            let packet = match flight.released {
                true => Packet::Pubrel(Pubrel::success(flight.packet_id)),
                false => publish(flight, true),
            };
            if flight.qos == Qos::AtLeastOnce {
                desk.ledger.send_again(flight.id);
            }
            line.say(packet);
        }
    }

    /// Publishes a message.
    pub(super) fn publish_one(&mut self, desk: &mut Desk<'_>) {
        let author = 1_000_000 + self.number as u64;
        if !self.is_open() || self.flights.len() >= FLIGHTS_MAX {
            return;
        }
        // Only version 5 is told that something is refused; others are closed.
        let is_limited = self.version == Version::V5 && desk.random.chance(LIMITED_PERCENT);
        let topic = desk.random.below(TOPICS as u64) as usize;
        let (watched, places, topic) = match is_limited {
            true => (None, vec![LIMITED], LIMITED_TOPIC.to_owned()),
            false => (Some(topic), places_of(topic), format!("t/{topic}")),
        };
        let qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
        let qos = qos[[0, 1, 1, 2, 2][desk.random.below(5) as usize]];
        let assured = qos != Qos::AtMostOnce;
        let id = desk.ledger.publish(Sent {
            persistent: assured,
            assured,
            once: qos != Qos::AtLeastOnce,
            topic: watched,
            ..Sent::new(author, places)
        });
        let mut flight = Flight {
            packet_id: 0,
            id,
            qos,
            topic,
            body: body::body(id, desk.body_bytes()),
            released: false,
            again: false,
        };
        if !assured {
            return self.say(publish(&flight, false));
        }
        flight.packet_id = self.free_packet_id();
        let (who, number) = (self.name(), flight.packet_id);
        desk.trace
            .line(format!("  {who} publishes {id} by {qos:?} as {number}"));
        self.say(publish(&flight, false));
        self.flights.push_back(flight);
    }

    fn free_packet_id(&mut self) -> u16 {
        loop {
            self.next_packet_id = self.next_packet_id % PACKET_IDS + 1;
            let wanted = self.next_packet_id;
            if self.flights.iter().all(|flight| flight.packet_id != wanted) {
                return wanted;
            }
        }
    }

    /// Its line, and what ends with that, if it may do as it likes.
    pub(super) fn open(&mut self) -> Option<(&mut MqttLine, &mut State)> {
        let (line, state) = (self.line.as_mut()?, &mut self.state);
        (state.stage == Stage::Open).then_some((line, state))
    }

    /// Answers so many deliveries, the oldest first.
    pub(super) fn answer(&mut self, count: usize, desk: &mut Desk<'_>) {
        let place = session(self.number);
        let Some((line, state)) = self.open() else {
            return;
        };
        for _ in 0..count {
            let Some(Delivery { packet_id, id, qos }) = state.unanswered.pop_front() else {
                return;
            };
            let packet = match qos {
                Qos::ExactlyOnce => Packet::Pubrec(Pubrec::success(packet_id)),
                _ => {
                    desk.ledger.settle(place, id);
                    Packet::Puback(Puback::success(packet_id))
                }
            };
            line.say(packet);
        }
    }

    /// Says that it goes, if it can; often right behind something else.
    pub(super) fn disconnect(&mut self, desk: &mut Desk<'_>) -> bool {
        while desk.random.chance(LAST_WORDS_PERCENT) {
            self.answer(1, desk);
        }
        let place = session(self.number);
        let Some((line, state)) = self.open() else {
            return false;
        };
        for Delivery { id, .. } in state.unanswered.drain(..) {
            desk.ledger.give_back(place, id);
        }
        let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
        let packet = Packet::Disconnect(Disconnect { reason, properties });
        line.say(packet);
        state.stage = Stage::Leaving;
        true
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        if let Some((line, state)) = self.open() {
            state.pings += 1;
            line.say(Packet::Pingreq);
        }
    }
}
