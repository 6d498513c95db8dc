//! A client of MQTT that is there for its will: it comes with a new one each time, and goes in
//! every way there is.
//!
//! Invariants
//! - It neither publishes nor subscribes: whoever has subscribed to wills sees what came of it.

mod book;

use ferry_gateway::testing::Protocol;
use mqtt::{Connect, Disconnect, Packet, Properties, Qos, ReasonCode, Version, write_properties};

pub(super) use self::book::Wills;
use self::book::{Asked, Before};
use super::client::Client;
use super::desk::{Desk, WATCHER, session};
use super::ledger::Sent;
use super::line::{Arriving, Line as _, Listener, MaybeLine, MqttLine, listen};
use super::pipe::Pipe;
use crate::{Checked, body, violated};

/// Authors of wills, each of one: their order is that of their ends.
const AUTHORS: u64 = 2_000_000;

/// Longest delay of a will, in seconds.
const DELAY_S_MAX: u64 = 8;

/// How many wills have one, where that can be said, in percent.
const DELAYED_PERCENT: u64 = 60;

/// How many sessions begin anew, in percent.
const ANEW_PERCENT: u64 = 25;

/// How many connections are kept open in a step that might end them, in percent.
const STAY_PERCENT: u64 = 90;

/// A client.
pub(super) struct WillClient {
    number: usize,
    version: Version,
    line: Option<MqttLine>,
    /// The number of its will.
    will: u64,
    before: Option<Before>,
    asked: Asked,
    /// It has said DISCONNECT, and whether that asks for its will.
    goodbye: Option<bool>,
    was_in: bool,
    /// It comes without a will from now on.
    retired: bool,
}

impl WillClient {
    pub(super) fn new(number: usize) -> WillClient {
        WillClient {
            number,
            version: [Version::V5, Version::V4][number % 2],
            line: None,
            will: 0,
            before: None,
            asked: Asked {
                at_ms: 0,
                now_ms: 0,
                anew: false,
            },
            goodbye: None,
            was_in: false,
            retired: false,
        }
    }

    fn say_connect(&mut self, desk: &mut Desk<'_>) {
        let is_5 = self.version == Version::V5;
        let delay_s = match is_5 && desk.random.chance(DELAYED_PERCENT) {
            true => 1 + desk.random.below(DELAY_S_MAX),
            false => 0,
        };
        let anew = desk.random.chance(ANEW_PERCENT);
        let places = vec![session(WATCHER)];
        let (author, now_ms) = (AUTHORS + desk.ledger.count(), desk.now_ms);
        if self.retired {
            return self.say_bare_connect(desk);
        }
        self.will = desk.ledger.publish(Sent::new(author, places));
        self.asked = Asked {
            at_ms: now_ms,
            now_ms,
            anew,
        };
        let (wills, delay_ms) = (&mut desk.books.wills, delay_s * 1000);
        wills.ask(self.will, self.number, delay_ms, self.asked);
        let (id, size) = (self.will, desk.body_bytes());
        desk.trace
            .line(format!("  will {id}, after {delay_s} s, anew: {anew}"));
        let (mut block, mut will_block) = (Vec::new(), Vec::new());
        let (mut properties, mut of_will) = (Properties::EMPTY, Properties::EMPTY);
        if is_5 {
            properties = write_properties(&mut block, |writer| {
                writer.session_expiry(u32::MAX);
            });
            of_will = write_properties(&mut will_block, |writer| {
                writer.will_delay(delay_s as u32);
            });
        }
        let (topic, payload) = (format!("l/{}", self.number), body::body(id, size));
        let client_id = format!("l{}", self.number);
        let connect = Connect {
            version: self.version,
            clean_start: anew,
            keep_alive_seconds: 0,
            client_id: &client_id,
            properties,
            will: Some(mqtt::Will {
                qos: Qos::AtLeastOnce,
                retain: false,
                topic: &topic,
                payload: &payload,
                properties: of_will,
            }),
            user_name: None,
            password: None,
        };
        if let Some(line) = &mut self.line {
            line.say(Packet::Connect(connect));
        }
    }

    /// Without a will: what becomes of the one before it is not looked at.
    fn say_bare_connect(&mut self, desk: &mut Desk<'_>) {
        desk.books.wills.doubt(self.number, desk.now_ms);
        self.before = None;
        let connect = Connect {
            version: self.version,
            clean_start: false,
            keep_alive_seconds: 0,
            client_id: &format!("l{}", self.number),
            properties: Properties::EMPTY,
            will: None,
            user_name: None,
            password: None,
        };
        (self.will, self.asked.anew) = (0, false);
        if let Some(line) = &mut self.line {
            line.say(Packet::Connect(connect));
        }
    }

    fn disconnect(&mut self, wants_will: bool, desk: &mut Desk<'_>) {
        let reason = match wants_will {
            true => ReasonCode::DisconnectWithWill,
            false => ReasonCode::Success,
        };
        let properties = Properties::EMPTY;
        let packet = Packet::Disconnect(Disconnect { reason, properties });
        if let Some(line) = &mut self.line {
            line.say(packet);
        }
        desk.trace
            .line(format!("  {} wants its will: {wants_will}", self.will));
        match wants_will {
            true => desk.books.wills.want(self.will, desk.now_ms),
            false => desk.books.wills.withhold(self.will),
        }
        self.goodbye = Some(wants_will);
    }
}

impl Listener for WillClient {
    type Line = MqttLine;

    fn telling(&mut self) -> Option<&mut MqttLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Arriving<'_>, desk: &mut Desk<'_>) -> Checked {
        match heard {
            Arriving::LetIn(present) if present && self.asked.anew => {
                return violated!("a session that begins anew goes on");
            }
            Arriving::LetIn(_) => {
                self.was_in = true;
                self.asked.now_ms = desk.now_ms;
                desk.trace.line(format!("  {} is let in", self.will));
                let wills = &mut desk.books.wills;
                wills.let_in(self.will, self.before.take(), self.asked);
            }
            Arriving::Packet(packet) => {
                return violated!("{:?}, which nobody waits for", packet.packet_type());
            }
        }
        Ok(())
    }
}

impl Client for WillClient {
    fn protocol(&self) -> Protocol {
        Protocol::Mqtt
    }

    fn name(&self) -> String {
        format!("will {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, desk: &mut Desk<'_>) {
        self.line = Some(MqttLine::new(pipe, life, self.version));
        self.goodbye = None;
        self.say_connect(desk);
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn lose(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        let id = self.will;
        let line = self.line.take()?;
        let wills = &mut desk.books.wills;
        wills.lose(id, desk.now_ms);
        self.before = line.is_open().then_some(Before { id, stale: false });
        let (is_open, pipe) = (line.is_open(), line.into_end().pipe);
        if !is_open || !pipe.is_worked_off() {
            wills.doubt(self.number, self.asked.at_ms);
        }
        Some(pipe)
    }

    fn forget(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        let id = self.will;
        let line = self.line.take()?;
        let wills = &mut desk.books.wills;
        let (is_open, pipe) = (line.is_open(), line.into_end().pipe);
        self.before = match (is_open, self.goodbye) {
            (true, None) => Some(wills.forget(id)),
            // What has been carried is heard before the next one is let in.
            (true, Some(false)) if pipe.is_carried() => Some(false),
            _ => {
                wills.doubt(self.number, self.asked.at_ms);
                None
            }
        }
        .map(|stale| Before { id, stale });
        Some(pipe)
    }

    fn is_open(&self) -> bool {
        self.line.as_ref().is_some_and(MqttLine::is_open) && self.goodbye.is_none()
    }

    fn open_ends(&self) -> Option<String> {
        (!self.is_open()).then(|| "not let in".to_owned())
    }

    fn is_ready(&self) -> bool {
        self.was_in
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        let heard = listen(self, bytes, desk);
        if self.retired && self.will != 0 {
            self.say_goodbye(desk);
        }
        heard
    }

    fn publish(&mut self, _desk: &mut Desk<'_>) {}

    fn settle(&mut self, desk: &mut Desk<'_>) {
        if self.is_open() && !desk.random.chance(STAY_PERCENT) {
            let wants_will = self.version == Version::V5 && desk.random.chance(30);
            self.disconnect(wants_will, desk);
        }
    }

    fn settle_all(&mut self, _desk: &mut Desk<'_>) {}

    fn say_goodbye(&mut self, desk: &mut Desk<'_>) -> bool {
        if !self.is_open() {
            return false;
        }
        self.disconnect(false, desk);
        true
    }

    fn may_be_taken_over(&self) -> bool {
        true
    }

    /// What it has asked and has not heard of may take back the will before, or may not.
    fn brace(&mut self, desk: &mut Desk<'_>) {
        if self.line.as_ref().is_some_and(|line| !line.is_open()) {
            desk.books.wills.doubt(self.number, self.asked.at_ms);
        }
    }

    fn go_down(&mut self, _desk: &mut Desk<'_>) {
        self.before = None;
    }

    fn retire(&mut self, desk: &mut Desk<'_>) {
        self.retired = true;
        self.say_goodbye(desk);
    }
}
