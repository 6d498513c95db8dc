//! A client of MQTT 5 whose session expires: it stays for a while, goes, and comes back in time, or
//! too late.
//!
//! Invariants
//! - CONNACK tells the truth of its session, as far as that is known (`session`).
//! - What was confirmed while its session was there comes, and nothing that was confirmed before a
//!   session began.

mod session;

use std::collections::VecDeque;

use ferry_gateway::testing::Protocol;
use mqtt::{
    Connect, Disconnect, FilterList, Packet, Properties, Puback, Publish, Qos, ReasonCode,
    Subscribe, SubscribeOptions, Subscription, Version, write_properties,
};

use self::session::Session;
use super::client::Client;
use super::desk::{Desk, lodging};
use super::ledger::{Delivered, Place};
use super::line::{Arriving, Line as _, Listener, MaybeLine, MqttLine, listen};
use super::pipe::Pipe;
use crate::{Checked, violated};

/// Clients whose sessions expire.
pub(super) const LODGERS: usize = 2;

/// Longest that a session is kept, in seconds.
const EXPIRY_S_MAX: u64 = 8;

/// How many sessions end with their connection, in percent.
const NOT_KEPT_PERCENT: u64 = 10;

/// How many connections begin anew, in percent.
const ANEW_PERCENT: u64 = 10;

/// How many connections are kept open in a step that might end them, in percent.
const STAY_PERCENT: u64 = 85;

/// How many of those who might come back in a step do not, in percent.
const AWAY_PERCENT: u64 = 92;

/// The packet id of its SUBSCRIBE.
const SUBSCRIBES: u16 = 1;

/// What ends with a connection.
#[derive(Default)]
struct State {
    asked_ms: u64,
    /// How long its session is to be kept.
    expiry_s: u32,
    anew: bool,
    /// SUBSCRIBE is not answered.
    asking: bool,
    /// Deliveries to be answered, oldest first: packet ids and messages.
    unanswered: VecDeque<(u16, u64)>,
    /// It has said DISCONNECT.
    goes: bool,
    /// How long its session is to be kept instead, as that says.
    goes_for_s: Option<u32>,
    /// The other side is about to end the connection, whatever was said.
    is_braced: bool,
}

/// The client.
pub(super) struct Lodger {
    number: usize,
    line: Option<MqttLine>,
    state: State,
    session: Session,
    /// Its subscription was granted, in this session.
    has_subscribed: bool,
    was_in: bool,
}

impl Lodger {
    pub(super) fn new(number: usize) -> Lodger {
        Lodger {
            number,
            line: None,
            state: State::default(),
            session: Session::none(),
            has_subscribed: false,
            was_in: false,
        }
    }

    fn place(&self) -> Place {
        lodging(self.number)
    }

    fn is_in(&self) -> bool {
        self.line.as_ref().is_some_and(MqttLine::is_open)
    }

    fn say_connect(&mut self, desk: &mut Desk<'_>) {
        let expiry_s = match desk.random.chance(NOT_KEPT_PERCENT) {
            true => 0,
            false => 1 + desk.random.below(EXPIRY_S_MAX) as u32,
        };
        let anew = desk.random.chance(ANEW_PERCENT);
        self.state = State {
            asked_ms: desk.now_ms,
            expiry_s,
            anew,
            ..State::default()
        };
        desk.trace
            .line(format!("  is to be kept for {expiry_s} s, anew: {anew}"));
        let mut block = Vec::new();
        let properties = write_properties(&mut block, |writer| {
            writer.session_expiry(expiry_s);
        });
        let connect = Connect {
            version: Version::V5,
            clean_start: anew,
            keep_alive_seconds: 0,
            client_id: &format!("e{}", self.number),
            properties,
            will: None,
            user_name: None,
            password: None,
        };
        if let Some(line) = &mut self.line {
            line.say(Packet::Connect(connect));
        }
        if anew {
            desk.ledger.leak(self.place());
        }
    }

    fn say_subscribe(&mut self) {
        let options = SubscribeOptions {
            qos: Qos::AtLeastOnce,
            ..SubscribeOptions::default()
        };
        let (mut block, filter) = (Vec::new(), format!("e/{}", self.number));
        let filter = filter.as_str();
        if let Some(line) = &mut self.line {
            line.say(Packet::Subscribe(Subscribe {
                packet_id: SUBSCRIBES,
                properties: Properties::EMPTY,
                filters: FilterList::write(&mut block, [Subscription { filter, options }]),
            }));
        }
        self.state.asking = true;
    }

    fn hear_let_in(&mut self, present: bool, desk: &mut Desk<'_>) -> Checked {
        let State {
            asked_ms,
            expiry_s,
            anew,
            ..
        } = self.state;
        let (session, now_ms) = (&mut self.session, desk.now_ms);
        let expected = match anew {
            true => Some(false),
            false => session.expected(asked_ms, now_ms),
        };
        desk.trace
            .line(format!("  session present: {present}, of {expected:?}"));
        if expected.is_some_and(|expected| expected != present) {
            return violated!("session present is {present}, at {now_ms} with {session:?}");
        }
        let was_certain = session.is_certain(now_ms);
        session.let_in(u64::from(expiry_s) * 1000);
        self.was_in = true;
        if !present {
            desk.ledger.vacate(self.place());
        }
        if !present || !was_certain || !self.has_subscribed {
            self.has_subscribed = false;
            self.say_subscribe();
        }
        Ok(())
    }

    fn hear_publish(&mut self, publish: &Publish<'_>, desk: &mut Desk<'_>) -> Checked {
        let topic = format!("e/{}", self.number);
        if publish.topic != topic.as_bytes() || publish.retain {
            return violated!("a message of another topic, or a retained one");
        }
        let (place, life) = (self.place(), self.life().unwrap_or_default());
        let id = desk.ledger.deliver(&Delivered {
            place,
            payload: publish.payload,
            life,
            redelivered: publish.dup,
            reader: &(life, format!("{:?}", publish.qos)),
        })?;
        desk.trace.line(format!("  {} gets {id}", self.name()));
        match publish.qos {
            Qos::AtMostOnce => desk.ledger.consume(place, id),
            Qos::AtLeastOnce => self.state.unanswered.push_back((publish.packet_id, id)),
            Qos::ExactlyOnce => return violated!("{id} comes by a QoS that nobody wants"),
        }
        Ok(())
    }

    /// Answers so many deliveries, the oldest first.
    fn answer(&mut self, count: usize, desk: &mut Desk<'_>) {
        let place = self.place();
        let Some(line) = self.line.as_mut().filter(|_| !self.state.goes) else {
            return;
        };
        let count = count.min(self.state.unanswered.len());
        for (packet_id, id) in self.state.unanswered.drain(..count) {
            desk.ledger.settle(place, id);
            line.say(Packet::Puback(Puback::success(packet_id)));
        }
    }

    /// Its connection is over, as far as it knows.
    fn note_end(&mut self, desk: &mut Desk<'_>) {
        let State {
            expiry_s,
            anew,
            goes,
            ..
        } = self.state;
        match self.is_in() {
            true if goes => {}
            true => self.session.leave(desk.now_ms),
            false => {
                desk.trace.line(format!("  was not let in, anew: {anew}"));
                self.session.doubt(u64::from(expiry_s) * 1000);
            }
        }
    }
}

impl Listener for Lodger {
    type Line = MqttLine;

    fn telling(&mut self) -> Option<&mut MqttLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Arriving<'_>, desk: &mut Desk<'_>) -> Checked {
        match heard {
            Arriving::LetIn(present) => self.hear_let_in(present, desk)?,
            Arriving::Packet(Packet::Suback(suback)) => {
                let reasons: Vec<ReasonCode> = suback.reasons.iter().collect();
                let is_due = std::mem::take(&mut self.state.asking);
                if !is_due || reasons != [ReasonCode::GrantedQos1] {
                    return violated!("{reasons:?}, and an answer is due: {is_due}");
                }
                self.has_subscribed = true;
                desk.ledger.seal(self.place());
            }
            Arriving::Packet(Packet::Publish(publish)) => self.hear_publish(&publish, desk)?,
            Arriving::Packet(packet) => {
                return violated!("{:?}, which nobody waits for", packet.packet_type());
            }
        }
        Ok(())
    }
}

impl Client for Lodger {
    fn protocol(&self) -> Protocol {
        Protocol::Mqtt
    }

    fn name(&self) -> String {
        format!("lodger {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, desk: &mut Desk<'_>) {
        self.line = Some(MqttLine::new(pipe, life, Version::V5));
        self.say_connect(desk);
    }

    /// It stays away for a while, so that its session expires.
    fn stays_away(&self, desk: &mut Desk<'_>) -> bool {
        desk.random.chance(AWAY_PERCENT)
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn lose(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        if self.line.is_some() {
            self.note_end(desk);
        }
        let pipe = self.line.let_go()?;
        let heard = self.state.goes_for_s.take();
        if let Some(expiry_s) = heard.filter(|_| !self.state.is_braced && pipe.is_worked_off()) {
            self.session.keep_exactly(u64::from(expiry_s) * 1000);
        }
        Some(pipe)
    }

    fn brace(&mut self, _desk: &mut Desk<'_>) {
        self.state.is_braced = true;
    }

    fn is_open(&self) -> bool {
        self.is_in() && !self.state.goes
    }

    fn open_ends(&self) -> Option<String> {
        let State {
            asking, unanswered, ..
        } = &self.state;
        let all_said = self.is_open() && !asking && unanswered.is_empty();
        (!all_said).then(|| format!("asks: {asking}, {unanswered:?}"))
    }

    fn is_ready(&self) -> bool {
        self.was_in
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        listen(self, bytes, desk)
    }

    fn publish(&mut self, _desk: &mut Desk<'_>) {}

    fn settle(&mut self, desk: &mut Desk<'_>) {
        let count = 1 + desk.random.below(3);
        self.answer(count as usize, desk);
        if !desk.random.chance(STAY_PERCENT) {
            self.say_goodbye(desk);
        }
    }

    fn settle_all(&mut self, desk: &mut Desk<'_>) {
        self.answer(usize::MAX, desk);
    }

    fn say_goodbye(&mut self, desk: &mut Desk<'_>) -> bool {
        if !self.is_open() {
            return false;
        }
        let count = desk.random.below(4);
        self.answer(count as usize, desk);
        let expiry_s = 1 + desk.random.below(EXPIRY_S_MAX) as u32;
        // Who wanted none kept must not want one now.
        let says_so = self.state.expiry_s > 0 && desk.random.chance(40);
        let mut block = Vec::new();
        let properties = match says_so {
            true => write_properties(&mut block, |writer| {
                writer.session_expiry(expiry_s);
            }),
            false => Properties::EMPTY,
        };
        if says_so {
            desk.trace
                .line(format!("  is to be kept for {expiry_s} s from now"));
            self.session.keep(u64::from(expiry_s) * 1000);
            self.state.goes_for_s = Some(expiry_s);
        }
        if let Some(line) = &mut self.line {
            let reason = ReasonCode::Success;
            line.say(Packet::Disconnect(Disconnect { reason, properties }));
        }
        self.state.goes = true;
        self.session.leave(desk.now_ms);
        true
    }

    fn may_be_taken_over(&self) -> bool {
        true
    }

    fn look_at_clock(&mut self, alone: bool, desk: &mut Desk<'_>) {
        if self.line.is_none() && alone {
            self.session.alone(desk.now_ms);
        }
        if !self.session.is_certain(desk.now_ms) {
            desk.ledger.leak(self.place());
        }
    }

    fn go_down(&mut self, desk: &mut Desk<'_>) {
        self.session.go_down(desk.now_ms);
    }
}
