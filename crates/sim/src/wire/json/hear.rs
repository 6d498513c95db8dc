//! What a client of `ferrymq.json` hears, and whether it may be so.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Due, Held, JsonClient, Source, Watch};
use crate::wire::client::Client as _;
use crate::wire::desk::{Desk, LIMITED, UNACKED};
use crate::wire::ledger::Delivered;
use crate::wire::line::{Answer, Arrived, JsonLine, Listener, Told};
use crate::{Checked, body, violated};

impl Listener for JsonClient {
    type Line = JsonLine;

    fn telling(&mut self) -> Option<&mut JsonLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Answer, desk: &mut Desk<'_>) -> Checked {
        let told = match heard {
            Answer::LetIn => {
                // At the beginning the queues are not there yet.
                if std::mem::replace(&mut self.was_in, true) {
                    for _ in 0..=desk.random.below(2) {
                        self.subscribe(desk);
                    }
                }
                return Ok(());
            }
            Answer::Told(told) => told,
        };
        match told {
            Told::Ok { id, routed } => self.hear_ok(id, routed, desk),
            Told::Error { id, code, text } => self.hear_error(id, &code, &text, desk),
            Told::Message(arrived) => self.hear_message(&arrived, desk),
        }
    }
}

impl JsonClient {
    fn hear_ok(&mut self, id: u64, routed: Option<bool>, desk: &mut Desk<'_>) -> Checked {
        desk.trace
            .line(format!("  {} hears that {id} is done", self.name()));
        if let Some(flight) = self.state.unconfirmed.get(&id) {
            let (message, wanted) = (flight.message, flight.routed);
            if routed.is_none() || wanted.is_some_and(|wanted| routed != Some(wanted)) {
                return violated!("{message} is routed: {routed:?}, and not {wanted:?}");
            }
            self.answer_publish(id)?;
            return desk.ledger.confirm(message);
        }
        let due = self.state.due.pop_front();
        match due {
            Some(Due::Done(wanted)) if wanted == id => {}
            Some(Due::Begun(wanted)) if wanted == id => {
                if let Some(subscription) = self.state.subscriptions.get_mut(&id) {
                    subscription.begun = true;
                    if let Source::Topic(watch) = &mut subscription.source {
                        watch.floor = desk.ledger.count();
                    }
                }
            }
            Some(Due::Over(wanted, own)) if wanted == id => {
                self.state.subscriptions.remove(&own);
            }
            due => return violated!("{id} is done where {due:?} is due"),
        }
        match routed {
            None => Ok(()),
            Some(_) => violated!("{id} is no publish, and is routed"),
        }
    }

    /// A publish is answered: it is the oldest that was not.
    fn answer_publish(&mut self, id: u64) -> Checked {
        match self.state.unconfirmed.pop_first() {
            Some((oldest, _)) if oldest == id => Ok(()),
            oldest => violated!("{id} is answered before {oldest:?}"),
        }
    }

    fn hear_error(
        &mut self,
        id: Option<u64>,
        code: &str,
        text: &str,
        desk: &mut Desk<'_>,
    ) -> Checked {
        desk.trace
            .line(format!("  {} hears {code} of {id:?}: {text}", self.name()));
        let Some(id) = id else {
            return match code == "held" && self.state.published_blindly {
                true => Ok(()),
                false => violated!("{code}, and nobody knows of what: {text}"),
            };
        };
        if let Some(flight) = self.state.unconfirmed.get(&id) {
            let message = flight.message;
            return match code {
                "held" => {
                    self.state.unconfirmed.remove(&id);
                    desk.ledger.withdraw(message)
                }
                "rejected" => {
                    self.answer_publish(id)?;
                    desk.ledger.refuse(message, LIMITED)
                }
                code => violated!("the publish of {message} is refused: {code} {text}"),
            };
        }
        match self.state.due.pop_front() {
            Some(Due::Wrong(wanted, known)) if (wanted, known) == (id, code) => Ok(()),
            due => violated!("{id} is {code} where {due:?} is due: {text}"),
        }
    }

    fn hear_message(&mut self, arrived: &Arrived, desk: &mut Desk<'_>) -> Checked {
        let body = body_of(arrived)?;
        let Some(message) = body::message_of(&body) else {
            return violated!("{} bytes that nobody has published", body.len());
        };
        let Arrived {
            subscription: id,
            redelivered,
            ..
        } = *arrived;
        let who = self.name();
        desk.trace.line(format!("  {who} gets {message} by {id}"));
        let named = arrived.properties.get("message_id");
        if named.is_some_and(|name| name.as_str() != Some(&message.to_string())) {
            return violated!("{message} is called {named:?}");
        }
        let life = self.life().unwrap_or_default();
        let state = &mut self.state;
        let subscription = state.subscriptions.get_mut(&id).filter(|one| one.begun);
        let Some(subscription) = subscription else {
            return violated!("{message} comes by {id}, which is no subscription");
        };
        let (place, prefetch) = match &mut subscription.source {
            Source::Queue { place, prefetch } => (*place, *prefetch),
            Source::Topic(watch) => return hear_watched(watch, message, arrived, desk),
        };
        let tag = (place != UNACKED).then_some(state.tag + 1);
        if arrived.tag != tag || arrived.topic.is_some() {
            return violated!("{message} comes as {arrived:?}, and {tag:?} is due");
        }
        state.tag += u64::from(tag.is_some());
        // What comes from now on goes back.
        if state.is_deaf {
            return Ok(());
        }
        let known = desk.ledger.deliver(&Delivered {
            place,
            payload: &body,
            life,
            redelivered,
            reader: &(life, id.to_string()),
        })?;
        let Some(tag) = tag else {
            desk.ledger.settle(place, known);
            return Ok(());
        };
        let held = Held {
            subscription: id,
            place,
            message,
        };
        state.held.insert(tag, held);
        let unsettled = state.held.values().filter(|held| held.subscription == id);
        let unsettled = unsettled.count();
        match unsettled <= prefetch {
            true => Ok(()),
            false => violated!("{unsettled} are not settled by {id}, and {prefetch} may be"),
        }
    }
}

fn body_of(arrived: &Arrived) -> Checked<Vec<u8>> {
    match (&arrived.body, &arrived.body_base64) {
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(text)) => match BASE64_STANDARD.decode(text) {
            Ok(bytes) if std::str::from_utf8(&bytes).is_err() => Ok(bytes),
            Ok(_) => violated!("a text is told as bytes"),
            Err(error) => violated!("{text:?} is no base64: {error}"),
        },
        _ => violated!("a message with two bodies, or none"),
    }
}

/// A message of a topic that is watched.
fn hear_watched(
    watch: &mut Watch,
    message: u64,
    arrived: &Arrived,
    desk: &mut Desk<'_>,
) -> Checked {
    let topic = watch.topic;
    let (name, key) = (format!("t/{topic}"), format!("t.{topic}"));
    let Arrived {
        tag,
        exchange,
        key: its_key,
        ..
    } = arrived;
    let is_told = arrived.topic.as_ref() == Some(&name) && *its_key == key;
    if !is_told || exchange != "amq.topic" || tag.is_some() || arrived.redelivered {
        return violated!("{message} of {name} comes as {arrived:?}");
    }
    let Some((author, single)) = desk.ledger.of_topic(topic, message) else {
        return violated!("{message} comes by {name}, and was not published there");
    };
    let is_new = watch.seen.insert(message);
    if !single {
        return Ok(());
    }
    let last = watch.last.insert(author, message).unwrap_or_default();
    match is_new && message > last {
        true => Ok(()),
        false => violated!("{message} of {name} comes after {last} of the same publisher"),
    }
}
