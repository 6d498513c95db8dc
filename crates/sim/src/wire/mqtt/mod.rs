//! A client of MQTT with a session that stays: it publishes with every QoS, and receives.
//!
//! Invariants
//! - It says only what a client may: what is not answered is sent again when it comes back, with
//!   the same packet id, and deliveries are answered in their order.
//! - Every answer is the one that is due: PUBACK, PUBREC and PUBCOMP each in the order of what they
//!   answer, no more in flight than it takes, and its session is there when it comes back.
//!
//! Not here: what it says (`say`), what it hears (`hear`).

mod hear;
mod say;

use std::collections::{BTreeMap, VecDeque};

use ferry_gateway::testing::Protocol;
use mqtt::{Qos, Version};

use super::client::Client;
use super::desk::{Desk, MQTT_CLIENTS};
use super::line::{MaybeLine, MqttLine, listen};
use super::pipe::Pipe;
use crate::Checked;

/// Most deliveries with an acknowledgement that it takes at a time, if it can say so.
const RECEIVE_MAX: u16 = 5;

/// What each client speaks.
const VERSIONS: [Version; MQTT_CLIENTS] = [
    Version::V4,
    Version::V5,
    Version::V4,
    Version::V5,
    Version::V5,
];

/// The packet id of its only SUBSCRIBE.
const SUBSCRIBES: u16 = 999;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Connecting,
    Subscribing,
    Open,
    /// It has said DISCONNECT, and says nothing more.
    Leaving,
}

/// A publish that is not answered to its end.
struct Flight {
    packet_id: u16,
    id: u64,
    qos: Qos,
    topic: String,
    /// The body, to be sent again.
    body: Vec<u8>,
    /// PUBREC has come, PUBREL is sent.
    released: bool,
    /// It was said once more, and may have been heard before.
    again: bool,
}

/// A delivery that is to be answered.
struct Delivery {
    packet_id: u16,
    id: u64,
    qos: Qos,
}

/// What ends with a connection.
#[derive(Default)]
struct State {
    stage: Stage,
    /// Deliveries to be answered, oldest first.
    unanswered: VecDeque<Delivery>,
    /// PINGREQs that are not answered.
    pings: u32,
}

/// A client.
pub(super) struct MqttClient {
    number: usize,
    version: Version,
    line: Option<MqttLine>,
    state: State,
    /// Its subscription was granted once.
    has_subscribed: bool,
    /// What was published and is not answered to its end, oldest first.
    flights: VecDeque<Flight>,
    next_packet_id: u16,
    /// Deliveries of QoS 2 that are not released: messages by packet id.
    received: BTreeMap<u16, u64>,
}

impl MqttClient {
    pub(super) fn new(number: usize) -> MqttClient {
        MqttClient {
            number,
            version: VERSIONS[number],
            line: None,
            state: State::default(),
            has_subscribed: false,
            flights: VecDeque::new(),
            next_packet_id: 1,
            received: BTreeMap::new(),
        }
    }
}

impl Client for MqttClient {
    fn protocol(&self) -> Protocol {
        Protocol::Mqtt
    }

    fn name(&self) -> String {
        format!("mqtt {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, _desk: &mut Desk<'_>) {
        self.line = Some(MqttLine::new(pipe, life, self.version));
        self.state = State::default();
        self.say_connect();
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn is_open(&self) -> bool {
        self.line.is_some() && self.state.stage == Stage::Open
    }

    fn open_ends(&self) -> Option<String> {
        let State {
            stage,
            unanswered,
            pings,
        } = &self.state;
        let (flights, received) = (&self.flights, &self.received);
        let all_said = self.is_open()
            && unanswered.is_empty()
            && *pings == 0
            && flights.is_empty()
            && received.is_empty();
        (!all_said).then(|| {
            let flights = flights
                .iter()
                .map(|flight| (flight.packet_id, flight.released));
            let flights: Vec<_> = flights.collect();
            format!(
                "{stage:?}, {} unanswered, {pings} pings, flights {flights:?}, \
                 received {received:?}",
                unanswered.len()
            )
        })
    }

    fn is_ready(&self) -> bool {
        self.has_subscribed
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        listen(self, bytes, desk)
    }

    fn publish(&mut self, desk: &mut Desk<'_>) {
        self.publish_one(desk);
    }

    fn settle(&mut self, desk: &mut Desk<'_>) {
        let count = 1 + desk.random.below(3);
        self.answer(count as usize, desk);
    }

    fn settle_all(&mut self, desk: &mut Desk<'_>) {
        self.answer(usize::MAX, desk);
    }

    fn ask(&mut self, _desk: &mut Desk<'_>) {
        self.ping();
    }

    fn say_goodbye(&mut self, desk: &mut Desk<'_>) -> bool {
        self.disconnect(desk)
    }

    fn may_be_taken_over(&self) -> bool {
        true
    }

    /// What it shares may go to another one, who hears of it first.
    fn brace(&mut self, desk: &mut Desk<'_>) {
        if let Some(life) = self.life() {
            desk.ledger.lose(life);
        }
    }
}
