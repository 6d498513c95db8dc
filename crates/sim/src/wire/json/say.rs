//! What a client of `ferrymq.json` says.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Due, Flight, Held, JsonClient, Source, Subscription, Watch};
use crate::body;
use crate::wire::client::Client as _;
use crate::wire::desk::{Desk, QUEUES, TOPICS, UNACKED, lodging, places_of};
use crate::wire::ledger::Sent;
use crate::wire::lodger::LODGERS;

/// Most publishes at a time.
const BURST_MAX: u64 = 4;

/// Most subscriptions at a time.
const SUBSCRIPTIONS_MAX: usize = 5;

/// How many requests have an answer, where that is left open, in percent.
const ANSWERED_PERCENT: u64 = 50;

/// How many publishes have one.
const CONFIRMED_PERCENT: u64 = 90;

/// Where something is published to.
struct Target {
    /// The field that names it, and what stands there.
    field: &'static str,
    name: String,
    sent: Sent,
    routed: Option<bool>,
}

impl JsonClient {
    fn next_id(&mut self) -> u64 {
        self.state.id += 1;
        self.state.id
    }

    fn say(&mut self, what: &Value) {
        if let Some(line) = &mut self.line {
            line.say(what);
        }
    }

    /// Says something that may be answered, as chance will have it.
    fn say_or_ask(&mut self, mut what: Value, desk: &mut Desk<'_>) {
        if desk.random.chance(ANSWERED_PERCENT) {
            let id = self.next_id();
            what["id"] = id.into();
            self.state.due.push_back(Due::Done(id));
        }
        self.say(&what);
    }

    fn target(&self, desk: &mut Desk<'_>) -> Target {
        let author = self.life().unwrap_or_default();
        let to = |field, name: String, sent, routed| Target {
            field,
            name,
            sent,
            routed,
        };
        match desk.random.below(10) {
            0 => {
                let sent = Sent::new(author, Vec::new());
                to("key", "nobody".to_owned(), sent, Some(false))
            }
            1..=3 => {
                let topic = desk.random.below(TOPICS as u64) as usize;
                let sent = Sent {
                    topic: Some(topic),
                    ..Sent::new(author, places_of(topic))
                };
                to("topic", format!("t/{topic}"), sent, Some(true))
            }
            4 | 5 => {
                let lodger = desk.random.below(LODGERS as u64) as usize;
                let sent = Sent::new(author, vec![lodging(lodger)]);
                // Whether somebody lives there is not for publishers to know.
                to("topic", format!("e/{lodger}"), sent, None)
            }
            _ => {
                let place = desk.random.below(QUEUES as u64) as usize;
                let sent = Sent::new(author, vec![place]);
                to("key", format!("w{place}"), sent, Some(true))
            }
        }
    }

    /// Publishes a few messages.
    pub(super) fn publish_some(&mut self, desk: &mut Desk<'_>) {
        if !self.may_talk() {
            return;
        }
        for _ in 0..=desk.random.below(BURST_MAX) {
            let Target {
                field,
                name,
                mut sent,
                routed,
            } = self.target(desk);
            sent.persistent = desk.random.chance(85);
            sent.assured = sent.persistent;
            let mode = if sent.persistent { 2 } else { 1 };
            let message = desk.ledger.publish(sent);
            let body = body::body(message, desk.body_bytes());
            let mut says = json!({
                "op": "publish",
                field: name,
                "body_base64": BASE64_STANDARD.encode(body),
                "properties": {"delivery_mode": mode, "message_id": message.to_string()},
            });
            if desk.random.chance(CONFIRMED_PERCENT) {
                let id = self.next_id();
                says["id"] = id.into();
                let flight = Flight { message, routed };
                self.state.unconfirmed.insert(id, flight);
            } else {
                self.state.published_blindly = true;
            }
            desk.trace
                .line(format!("  {message} is published to {name}"));
            self.say(&says);
        }
    }

    /// Accepts, refuses or gives back one of what it has.
    pub(super) fn settle_one(&mut self, desk: &mut Desk<'_>) {
        if !self.may_talk() || self.state.held.is_empty() {
            return;
        }
        let nth = desk.random.below(self.state.held.len() as u64) as usize;
        let Some((tag, held)) = self
            .state
            .held
            .iter()
            .nth(nth)
            .map(|(tag, held)| (*tag, *held))
        else {
            return;
        };
        self.state.held.remove(&tag);
        let Held { place, message, .. } = held;
        let says = match desk.random.below(5) {
            0 => {
                desk.ledger.give_back(place, message);
                json!({"op": "nack", "tag": tag})
            }
            1 => {
                desk.ledger.settle(place, message);
                json!({"op": "nack", "tag": tag, "requeue": false})
            }
            _ => {
                desk.ledger.settle(place, message);
                json!({"op": "ack", "tag": tag})
            }
        };
        desk.trace
            .line(format!("  {} says {says} of {message}", self.name()));
        self.say_or_ask(says, desk);
    }

    /// Accepts everything.
    pub(super) fn accept_all(&mut self, desk: &mut Desk<'_>) {
        if !self.may_talk() {
            return;
        }
        for (tag, Held { place, message, .. }) in std::mem::take(&mut self.state.held) {
            desk.ledger.settle(place, message);
            self.say(&json!({"op": "ack", "tag": tag}));
        }
    }

    /// Asks for a sign of life; or for something that can not be.
    pub(super) fn ask_something(&mut self, desk: &mut Desk<'_>) {
        if !self.may_talk() {
            return;
        }
        let id = self.next_id();
        let (says, code) = match desk.random.below(5) {
            0 => (json!({"op": "fly", "id": id}), "bad_request"),
            1 => (
                json!({"op": "ack", "id": id, "tag": self.state.tag + 1_000_000}),
                "unknown_tag",
            ),
            2 => (
                json!({"op": "unsubscribe", "id": id, "subscription": id}),
                "not_found",
            ),
            _ => {
                self.state.due.push_back(Due::Done(id));
                return self.say(&json!({"op": "ping", "id": id}));
            }
        };
        self.state.due.push_back(Due::Wrong(id, code));
        self.say(&says);
    }

    /// Begins to take from a queue, or to watch a topic.
    pub(super) fn subscribe(&mut self, desk: &mut Desk<'_>) {
        if !self.may_talk() || self.state.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return;
        }
        let id = self.next_id();
        let (says, source) = match desk.random.chance(30) {
            true => {
                let topic = desk.random.below(TOPICS as u64) as usize;
                let watch = Watch {
                    topic,
                    ..Watch::default()
                };
                let says = json!({"op": "subscribe", "id": id, "topic": format!("t/{topic}")});
                (says, Source::Topic(watch))
            }
            false => {
                let place = desk.random.below(QUEUES as u64) as usize;
                let prefetch = 1 + desk.random.below(10) as usize;
                self.state.takes_unacked |= place == UNACKED;
                let says = json!({
                    "op": "subscribe",
                    "id": id,
                    "queue": format!("w{place}"),
                    "no_ack": place == UNACKED,
                    "prefetch": prefetch,
                });
                (says, Source::Queue { place, prefetch })
            }
        };
        let subscription = Subscription {
            source,
            begun: false,
            ending: false,
        };
        self.state.subscriptions.insert(id, subscription);
        self.state.due.push_back(Due::Begun(id));
        self.say(&says);
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&mut self) {
        if !self.may_talk() {
            return;
        }
        let id = self.next_id();
        let mut all = self.state.subscriptions.iter_mut();
        let Some((own, subscription)) = all.find(|(_, one)| one.begun && !one.ending) else {
            return;
        };
        subscription.ending = true;
        let own = *own;
        self.state.due.push_back(Due::Over(id, own));
        self.say(&json!({"op": "unsubscribe", "id": id, "subscription": own}));
    }
}
