//! Clients of MQTT that retain messages, and one that looks at what is retained.
//!
//! Invariants
//! - Who retains says nothing again: a value that was not answered may be there or not.
//! - Who looks begins anew each time, and knows at its SUBSCRIBE what was confirmed by then.

mod book;
mod looker;

use std::collections::BTreeMap;

use ferry_broker::Vhost;
use ferry_core::message::Message;
use ferry_gateway::testing::Protocol;
use mqtt::{Connect, Packet, Properties, Publish, Qos, Version};

pub(super) use self::book::RetainedBook;
use self::book::TOPICS;
pub(super) use self::looker::Looker;
use super::client::Client;
use super::desk::Desk;
use super::line::{Arriving, Line as _, Listener, MaybeLine, MqttLine, listen};
use super::pipe::Pipe;
use crate::body::message_of;
use crate::{Checked, body, violated};

/// Clients that retain; each has its own topics.
pub(super) const RETAINERS: usize = 2;

/// Packet ids of publishes, and the most that are not answered.
const PACKET_IDS: u16 = 6;

/// How many values are empty, in percent.
const EMPTY_PERCENT: u64 = 30;

/// A client.
pub(super) struct Retainer {
    number: usize,
    version: Version,
    line: Option<MqttLine>,
    /// What is not answered: topic and place, by packet id.
    flights: BTreeMap<u16, (usize, usize)>,
    was_in: bool,
}

/// CONNECT of a client whose session ends with its connection.
fn connect_of(client_id: &str, version: Version) -> Packet<'_> {
    Packet::Connect(Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id,
        properties: Properties::EMPTY,
        will: None,
        user_name: None,
        password: None,
    })
}

/// What a node has retained: numbers by topic.
pub(super) fn found(vhost: &Vhost) -> Checked<BTreeMap<usize, u64>> {
    let mut found = BTreeMap::new();
    for topic in 0..TOPICS {
        let Some(stored) = vhost.retained().read(format!("r.{topic}").as_bytes()) else {
            continue;
        };
        match Message::parse(&stored).map(|message| message_of(message.body())) {
            Ok(Some(id)) => found.insert(topic, id),
            _ => return violated!("what r/{topic} retains is not whole"),
        };
    }
    Ok(found)
}

impl Retainer {
    pub(super) fn new(number: usize) -> Retainer {
        Retainer {
            number,
            version: [Version::V5, Version::V4][number % 2],
            line: None,
            flights: BTreeMap::new(),
            was_in: false,
        }
    }
}

impl Listener for Retainer {
    type Line = MqttLine;

    fn telling(&mut self) -> Option<&mut MqttLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Arriving<'_>, desk: &mut Desk<'_>) -> Checked {
        match heard {
            Arriving::LetIn(_) => self.was_in = true,
            Arriving::Packet(Packet::Puback(puback)) => {
                let (packet_id, reason) = (puback.packet_id, puback.reason);
                let Some((topic, place)) = self.flights.remove(&packet_id) else {
                    return violated!("PUBACK of {packet_id}, which is nothing");
                };
                if reason.is_error() {
                    return violated!("PUBACK of {packet_id}: {reason}");
                }
                desk.books.retained.confirm(topic, place);
            }
            Arriving::Packet(packet) => {
                return violated!("{:?}, which nobody waits for", packet.packet_type());
            }
        }
        Ok(())
    }
}

impl Client for Retainer {
    fn protocol(&self) -> Protocol {
        Protocol::Mqtt
    }

    fn name(&self) -> String {
        format!("retainer {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, _desk: &mut Desk<'_>) {
        let mut line = MqttLine::new(pipe, life, self.version);
        line.say(connect_of(&self.name().replace(' ', ""), self.version));
        self.line = Some(line);
        self.flights.clear();
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn open_ends(&self) -> Option<String> {
        let all_said = self.is_open() && self.flights.is_empty();
        (!all_said).then(|| format!("not answered: {:?}", self.flights))
    }

    fn is_ready(&self) -> bool {
        self.was_in
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        listen(self, bytes, desk)
    }

    fn publish(&mut self, desk: &mut Desk<'_>) {
        let Some(line) = self.line.as_mut().filter(|line| line.is_open()) else {
            return;
        };
        let mut free = (1..=PACKET_IDS).filter(|id| !self.flights.contains_key(id));
        let Some(packet_id) = free.next() else {
            return;
        };
        let own = TOPICS / RETAINERS;
        let topic = self.number * own + desk.random.below(own as u64) as usize;
        let is_empty = desk.random.chance(EMPTY_PERCENT);
        let (id, place) = desk.books.retained.set(topic, is_empty);
        let payload = match is_empty {
            true => Vec::new(),
            false => body::body(id, desk.body_bytes()),
        };
        desk.trace
            .line(format!("  r/{topic} is to have {id}, empty: {is_empty}"));
        line.say(Packet::Publish(Publish {
            topic: format!("r/{topic}").as_bytes(),
            qos: Qos::AtLeastOnce,
            packet_id,
            dup: false,
            retain: true,
            properties: Properties::EMPTY,
            payload: &payload,
        }));
        self.flights.insert(packet_id, (topic, place));
    }

    fn settle(&mut self, _desk: &mut Desk<'_>) {}

    fn settle_all(&mut self, _desk: &mut Desk<'_>) {}

    fn may_be_taken_over(&self) -> bool {
        true
    }
}
