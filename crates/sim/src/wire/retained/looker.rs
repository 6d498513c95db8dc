//! Who looks: it subscribes, sees what is retained and what comes after that, and subscribes again.
//!
//! Invariants
//! - What was retained is not older than what was confirmed when SUBSCRIBE was said: the first one
//!   of a connection, as what that has brought may come late.
//! - What comes after that comes in order; once everything has come, it has seen what is there.

use ferry_gateway::testing::Protocol;
use mqtt::{
    Disconnect, FilterList, Packet, Properties, Puback, Publish, Qos, ReasonCode, Subscribe,
    SubscribeOptions, Subscription, Version,
};

use super::book::TOPICS;
use super::connect_of;
use crate::wire::client::Client;
use crate::wire::desk::Desk;
use crate::wire::line::{Arriving, Line as _, Listener, MaybeLine, MqttLine, listen};
use crate::wire::pipe::Pipe;
use crate::{Checked, body, violated};

/// How many of those who might subscribe again do not, in percent.
const STAY_PERCENT: u64 = 85;

/// What it has seen since it was told that it is subscribed.
#[derive(Default)]
struct Seen {
    /// What nothing that was retained may be older than, by topic.
    floor: [usize; TOPICS],
    /// The newest of each topic, retained or not.
    newest: [usize; TOPICS],
    /// The newest of each topic that came when it was published.
    live: [usize; TOPICS],
}

/// The client.
#[derive(Default)]
pub(in crate::wire) struct Looker {
    line: Option<MqttLine>,
    /// The packet id of its SUBSCRIBE, if that is not answered.
    asking: Option<u16>,
    subscribed: u16,
    seen: Seen,
    unanswered: Vec<u16>,
    was_in: bool,
    /// It has said DISCONNECT.
    goes: bool,
}

impl Looker {
    fn subscribe(&mut self, desk: &mut Desk<'_>) {
        let Some(line) = self.line.as_mut().filter(|_| !self.goes) else {
            return;
        };
        self.subscribed += 1;
        let options = SubscribeOptions {
            qos: Qos::AtLeastOnce,
            ..SubscribeOptions::default()
        };
        let mut block = Vec::new();
        let filter = "r/#";
        line.say(Packet::Subscribe(Subscribe {
            packet_id: self.subscribed,
            properties: Properties::EMPTY,
            filters: FilterList::write(&mut block, [Subscription { filter, options }]),
        }));
        self.asking = Some(self.subscribed);
        if self.subscribed == 1 {
            self.seen.floor = desk.books.retained.floor();
        }
        desk.trace
            .line(format!("  asks for all from {:?}", self.seen.floor));
    }

    fn hear_publish(&mut self, publish: &Publish<'_>, desk: &mut Desk<'_>) -> Checked {
        let topic = publish.topic.strip_prefix(b"r/").and_then(<[u8]>::first);
        let topic = topic.map(|digit| usize::from(digit.wrapping_sub(b'0')));
        let Some(topic) = topic.filter(|topic| *topic < TOPICS) else {
            return violated!("a message of another topic");
        };
        if publish.qos == Qos::AtLeastOnce {
            self.unanswered.push(publish.packet_id);
        }
        if publish.payload.is_empty() {
            return match publish.retain {
                true => violated!("an empty message is retained"),
                false => Ok(()),
            };
        }
        let Some(id) = body::message_of(publish.payload) else {
            return violated!("what r/{topic} has is not whole");
        };
        let place = desk.books.retained.place(topic, id)?;
        desk.trace.line(format!(
            "  r/{topic} has {id}, retained: {}",
            publish.retain
        ));
        let Seen {
            floor,
            newest,
            live,
        } = &mut self.seen;
        match publish.retain {
            true if place < floor[topic] => {
                return violated!("r/{topic} has {id} ({place}), and has had {}", floor[topic]);
            }
            true => {}
            false if place <= live[topic] => {
                return violated!("{id} of r/{topic} ({place}) comes after {}", live[topic]);
            }
            false => live[topic] = place,
        }
        newest[topic] = newest[topic].max(place);
        Ok(())
    }
}

impl Listener for Looker {
    type Line = MqttLine;

    fn telling(&mut self) -> Option<&mut MqttLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Arriving<'_>, desk: &mut Desk<'_>) -> Checked {
        match heard {
            Arriving::LetIn(_) => {
                self.was_in = true;
                self.subscribe(desk);
            }
            Arriving::Packet(Packet::Suback(suback)) => {
                let reasons: Vec<ReasonCode> = suback.reasons.iter().collect();
                let due = self.asking.take();
                if due != Some(suback.packet_id) || reasons != [ReasonCode::GrantedQos1] {
                    return violated!("{reasons:?} where {due:?} is due");
                }
            }
            Arriving::Packet(Packet::Publish(publish)) => self.hear_publish(&publish, desk)?,
            Arriving::Packet(packet) => {
                return violated!("{:?}, which nobody waits for", packet.packet_type());
            }
        }
        Ok(())
    }
}

impl Client for Looker {
    fn protocol(&self) -> Protocol {
        Protocol::Mqtt
    }

    fn name(&self) -> String {
        "looker".to_owned()
    }

    fn connect(&mut self, pipe: Pipe, life: u64, _desk: &mut Desk<'_>) {
        let mut line = MqttLine::new(pipe, life, Version::V5);
        line.say(connect_of("looker", Version::V5));
        *self = Looker {
            line: Some(line),
            was_in: self.was_in,
            ..Looker::default()
        };
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn is_open(&self) -> bool {
        self.line.as_ref().is_some_and(MqttLine::is_open) && !self.goes
    }

    fn open_ends(&self) -> Option<String> {
        let all_said = self.is_open()
            && self.subscribed > 0
            && self.asking.is_none()
            && self.unanswered.is_empty();
        (!all_said).then(|| format!("asks {:?}, {:?}", self.asking, self.unanswered))
    }

    fn is_ready(&self) -> bool {
        self.was_in
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        listen(self, bytes, desk)
    }

    fn publish(&mut self, _desk: &mut Desk<'_>) {}

    fn settle(&mut self, desk: &mut Desk<'_>) {
        self.settle_all(desk);
        if !self.is_open() || self.asking.is_some() || desk.random.chance(STAY_PERCENT) {
            return;
        }
        match desk.random.chance(30) {
            true => self.subscribe(desk),
            false => drop(self.say_goodbye(desk)),
        }
    }

    fn settle_all(&mut self, _desk: &mut Desk<'_>) {
        if let Some(line) = self.line.as_mut().filter(|_| !self.goes) {
            for packet_id in self.unanswered.drain(..) {
                line.say(Packet::Puback(Puback::success(packet_id)));
            }
        }
    }

    fn say_goodbye(&mut self, _desk: &mut Desk<'_>) -> bool {
        if !self.is_open() {
            return false;
        }
        if let Some(line) = &mut self.line {
            line.say(Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            }));
        }
        self.goes = true;
        true
    }

    fn may_be_taken_over(&self) -> bool {
        true
    }

    fn check_calm(&self, desk: &Desk<'_>) -> Checked {
        if self.open_ends().is_some() {
            return Ok(());
        }
        for (topic, newest) in self.seen.newest.iter().enumerate() {
            let certain = desk.books.retained.certain(topic);
            if let Some((place, true)) = certain.filter(|(place, _)| place != newest) {
                return violated!("r/{topic} has {place}, and {newest} was seen last");
            }
        }
        Ok(())
    }
}
