//! What a client of AMQP hears, and whether it may be so.

use amqp091::content::{Input, Message};
use amqp091::method::channel;
use amqp091::{Frame, Method};

use super::{AmqpClient, CONSUMES, Channel, Connection, Due, PUBLISHES};
use crate::wire::client::Client as _;
use crate::wire::desk::{Desk, LIMITED, UNACKED};
use crate::wire::ledger::{Delivered, Place};
use crate::wire::line::{LIMITS, Line as _, control, frame_of, method_of, take_confirmed};
use crate::{Checked, Violation, body, violated};

/// What a channel exception for an unknown delivery tag says.
const PRECONDITION_FAILED: u16 = 406;

impl AmqpClient {
    /// Reads what has come.
    pub(super) fn hear_bytes(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        let name = self.name();
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let (all, mut at) = (connection.line.end_mut().unread.with(bytes), 0);
        while let Some(frame) = frame_of(&all, &mut at)? {
            connection.hear_frame(frame, desk, &name)?;
        }
        connection.line.end_mut().unread.keep(all, at);
        let declared = |due: &Due| {
            matches!(
                due,
                Due::Method("queue.declare_ok" | "queue.bind_ok" | "exchange.declare_ok")
            )
        };
        self.has_declared |= connection.consuming.channel == Channel::Open
            && !connection.consuming.due.iter().any(declared);
        Ok(())
    }
}

impl Connection {
    fn hear_frame(&mut self, frame: Frame<'_>, desk: &mut Desk<'_>, name: &str) -> Checked {
        if frame.channel == 0 {
            let method = control(&frame)?;
            desk.trace.line(format!("  {name} hears {}", method.name()));
            if self.line.hear_connection(method)? {
                self.begin();
            }
            return Ok(());
        }
        let input = match frame.channel {
            PUBLISHES => &mut self.publishing.input,
            CONSUMES => &mut self.consuming.input,
            other => return violated!("a frame on channel {other}"),
        };
        let input = input.accept(frame, LIMITS);
        match input.map_err(|error| Violation(error.to_string()))? {
            Input::Incomplete => Ok(()),
            Input::Oversized { body_bytes, .. } => violated!("a body of {body_bytes} bytes"),
            Input::Method(method) => {
                desk.trace.line(format!("  {name} hears {}", method.name()));
                match frame.channel {
                    PUBLISHES => self.hear_of_publishing(method, desk),
                    _ => self.hear_of_consuming(method, desk),
                }
            }
            Input::Message(message) => {
                let number = body::message_of(&message.body);
                let method = method_of(&message)?;
                let what = method.name();
                desk.trace.line(format!("  {name} hears {what} {number:?}"));
                match frame.channel {
                    PUBLISHES => self.hear_return(&message),
                    _ => self.hear_delivery(method, &message, desk),
                }
            }
        }
    }

    fn hear_of_publishing(&mut self, method: Method<'_>, desk: &mut Desk<'_>) -> Checked {
        match method {
            Method::BasicAck(ack) => {
                for id in self.hear_confirm(ack.delivery_tag, ack.multiple)? {
                    desk.ledger.confirm(id)?;
                }
                Ok(())
            }
            Method::BasicNack(nack) => {
                for id in self.hear_confirm(nack.delivery_tag, nack.multiple)? {
                    desk.ledger.refuse(id, LIMITED)?;
                }
                Ok(())
            }
            method => match self.publishing.due.pop_front() {
                Some(Due::Method(due)) if due == method.name() => {
                    self.publishing.ready = self.publishing.due.is_empty();
                    Ok(())
                }
                due => violated!("{} where {due:?} is due", method.name()),
            },
        }
    }

    /// Messages that are answered by that.
    fn hear_confirm(&mut self, tag: u64, multiple: bool) -> Checked<Vec<u64>> {
        let publishing = &mut self.publishing;
        let answered = take_confirmed(&mut publishing.unconfirmed, tag, multiple)?;
        let answered: Vec<u64> = answered.into_values().collect();
        match answered
            .iter()
            .find(|id| publishing.returning.contains(*id))
        {
            Some(id) => violated!("{id} is confirmed before it was returned"),
            None => Ok(answered),
        }
    }

    fn hear_return(&mut self, message: &Message) -> Checked {
        let id = body::message_of(&message.body);
        match id.is_some_and(|id| self.publishing.returning.remove(&id)) {
            true => Ok(()),
            false => violated!("{id:?} is returned, and has a place to go"),
        }
    }

    fn hear_of_consuming(&mut self, method: Method<'_>, desk: &mut Desk<'_>) -> Checked {
        let channel = self.consuming.channel;
        match (channel, method) {
            (Channel::Closing, Method::ChannelCloseOk(_)) => {
                self.leak(desk);
                self.open_consuming();
                return Ok(());
            }
            (Channel::Doomed, Method::ChannelClose(close)) => {
                if close.reply_code != PRECONDITION_FAILED {
                    return violated!("a mistake of ours is called {}", close.reply_code);
                }
                self.line.say_on(CONSUMES, channel::CloseOk {});
                self.leak(desk);
                self.open_consuming();
                return Ok(());
            }
            (_, Method::ChannelClose(close)) => {
                let text = close.reply_text.as_str_lossy();
                return violated!("the channel is closed: {} {text}", close.reply_code);
            }
            _ => {}
        }
        let due = self.consuming.due.pop_front();
        match (&due, method) {
            (Some(Due::Method("channel.open_ok")), Method::ChannelOpenOk(_)) => {
                self.consuming.channel = Channel::Open;
            }
            (Some(Due::Get(_)), Method::BasicGetEmpty(_)) => {}
            (Some(Due::Consume(tag)), Method::BasicConsumeOk(ok))
                if ok.consumer_tag.as_bytes() == tag.as_bytes() => {}
            (Some(Due::Cancel(tag)), Method::BasicCancelOk(ok))
                if ok.consumer_tag.as_bytes() == tag.as_bytes() =>
            {
                self.consuming.consumers.remove(tag);
                self.consuming.ending.remove(tag);
            }
            (Some(Due::Method(due)), method) if *due == method.name() => {}
            (due, method) => return violated!("{} where {due:?} is due", method.name()),
        }
        Ok(())
    }

    fn hear_delivery(
        &mut self,
        method: Method<'_>,
        message: &Message,
        desk: &mut Desk<'_>,
    ) -> Checked {
        let is_open = self.consuming.channel == Channel::Open;
        let (tag, redelivered, place, reader) = match method {
            Method::BasicDeliver(deliver) => {
                let consumer = deliver.consumer_tag.as_str_lossy();
                let is_there = |due: &Due| *due == Due::Consume(consumer.to_string());
                let is_due = self.consuming.due.iter().any(is_there);
                let Some(place) = self.consuming.consumers.get(&*consumer).filter(|_| !is_due)
                else {
                    return violated!("a delivery to {consumer}, which is not there");
                };
                let consumer = consumer.into_owned();
                (deliver.delivery_tag, deliver.redelivered, *place, consumer)
            }
            Method::BasicGetOk(got) => {
                let place = self.hear_get()?;
                (got.delivery_tag, got.redelivered, place, String::new())
            }
            method => return violated!("{} with a content", method.name()),
        };
        self.consuming.tag += 1;
        if tag != self.consuming.tag {
            return violated!("delivery tag {tag} after {}", self.consuming.tag - 1);
        }
        // What comes on a channel that we have closed goes back.
        if !is_open {
            return Ok(());
        }
        let life = self.line.end().life;
        let id = desk.ledger.deliver(&Delivered {
            place,
            payload: &message.body,
            life,
            redelivered,
            reader: &(life, reader),
        })?;
        match place {
            UNACKED => desk.ledger.settle(place, id),
            _ => {
                self.consuming.held.insert(tag, (place, id));
            }
        }
        Ok(())
    }

    fn hear_get(&mut self) -> Checked<Place> {
        match self.consuming.due.pop_front() {
            Some(Due::Get(place)) => Ok(place),
            due => violated!("basic.get_ok where {due:?} is due"),
        }
    }
}
