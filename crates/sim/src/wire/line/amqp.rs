//! A connection of AMQP 0-9-1 with one channel.
//!
//! Invariants
//! - It says goodbye only once, and nothing after that.
//! - Answers come in the order of what they answer, and no others come.

use std::collections::{BTreeMap, VecDeque};

use amqp091::content::{ContentLimits, Input, Message};
use amqp091::method::{basic, channel, connection};
use amqp091::properties::Properties;
use amqp091::{ChannelInput, Frame, FrameKind, LongStr, Method, ShortStr, frame};

use super::{End, Line, Telling};
use crate::wire::pipe::Pipe;
use crate::{Checked, Violation, violated};

/// Largest frame that it takes, in bytes: bodies come in several.
const FRAME_BYTES_MAX: u32 = 4096;

/// What it takes of a message.
pub(in crate::wire) const LIMITS: ContentLimits = ContentLimits {
    message_bytes_max: 1 << 20,
    body_bytes_max: 1 << 20,
};

/// The channel that it opens.
pub(in crate::wire) const CHANNEL: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Tuning,
    Entering,
    Open,
    Leaving,
    Gone,
}

/// A connection.
pub(in crate::wire) struct AmqpLine {
    end: End,
    stage: Stage,
    input: ChannelInput,
    /// The names of answers that its client is to hear.
    due: VecDeque<&'static str>,
}

/// Something that is for the client.
pub(in crate::wire) enum Heard<'a> {
    /// The channel may be opened: it has said so already.
    Opened,
    /// What was published is safe.
    Confirm(basic::Ack),
    /// The answer that was due.
    Answer(Method<'a>),
    Content(Message),
}

/// The next frame, behind `at`.
pub(in crate::wire) fn frame_of<'a>(all: &'a [u8], at: &mut usize) -> Checked<Option<Frame<'a>>> {
    let parsed = frame::parse(&all[*at..], FRAME_BYTES_MAX);
    let parsed = parsed.map_err(|error| Violation(error.to_string()))?;
    *at += parsed.as_ref().map_or(0, |frame| frame.size);
    Ok(parsed)
}

/// What a frame of channel 0 says.
pub(in crate::wire) fn control<'a>(frame: &Frame<'a>) -> Checked<Method<'a>> {
    if frame.kind != FrameKind::Method {
        return violated!("a {:?} on channel 0", frame.kind);
    }
    Method::decode(frame.payload).map_err(|error| Violation(error.to_string()))
}

/// What an ack of a tag means of `open`.
pub(in crate::wire) fn take_tags<T>(
    open: &mut BTreeMap<u64, T>,
    tag: u64,
    multiple: bool,
) -> BTreeMap<u64, T> {
    let later = open.split_off(&(tag + 1));
    let meant = open.split_off(if multiple { &0 } else { &tag });
    open.extend(later);
    meant
}

/// What a confirm means of what is not confirmed: something that is waited for.
pub(in crate::wire) fn take_confirmed<T>(
    unconfirmed: &mut BTreeMap<u64, T>,
    tag: u64,
    multiple: bool,
) -> Checked<BTreeMap<u64, T>> {
    match unconfirmed.contains_key(&tag) {
        true => Ok(take_tags(unconfirmed, tag, multiple)),
        false => violated!("a confirm of {tag}, which is not waited for"),
    }
}

/// The method that a content belongs to.
pub(in crate::wire) fn method_of(message: &Message) -> Checked<Method<'_>> {
    message
        .method()
        .map_err(|error| Violation(error.to_string()))
}

/// A header, if it is there and a number.
pub(in crate::wire) fn number_of(message: &Message, header: &[u8]) -> Checked<Option<i64>> {
    let properties = Properties::parse(&message.properties);
    let properties = properties.map_err(|error| Violation(error.to_string()))?;
    let value = (properties.headers()).and_then(|headers| headers.get(header));
    let number = value.map(|value| value.decode().ok()?.as_i64());
    match number {
        Some(None) => violated!("{} is no number", header.escape_ascii()),
        number => Ok(number.flatten()),
    }
}

pub(in crate::wire) fn short(text: &str) -> ShortStr<'_> {
    ShortStr::clipped(text.as_bytes())
}

impl AmqpLine {
    pub(in crate::wire) fn new(mut pipe: Pipe, life: u64) -> AmqpLine {
        pipe.out().extend_from_slice(&amqp091::handshake::REPLY);
        AmqpLine {
            end: End::new(pipe, life),
            stage: Stage::Greeting,
            input: ChannelInput::default(),
            due: VecDeque::new(),
        }
    }

    /// Says something on its channel.
    pub(in crate::wire) fn say<'a>(&mut self, method: impl Into<Method<'a>>) {
        self.say_on(CHANNEL, method);
    }

    /// Says something on its channel that is answered by the method of that name.
    pub(in crate::wire) fn ask<'a>(&mut self, method: impl Into<Method<'a>>, due: &'static str) {
        self.due.push_back(due);
        self.say(method);
    }

    /// The names of answers that are due, the next one first.
    pub(in crate::wire) fn due(&self) -> &VecDeque<&'static str> {
        &self.due
    }

    /// Whether it is open, and nothing is due.
    pub(in crate::wire) fn is_quiet(&self) -> bool {
        self.is_open() && self.due.is_empty()
    }

    fn hear_answer(&mut self, name: &str) -> Checked {
        match self.due.pop_front() {
            Some(due) if due == name => Ok(()),
            due => violated!("{name} where {due:?} is due"),
        }
    }

    /// Says something on any channel.
    pub(in crate::wire) fn say_on<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        method.into().write_frame(self.end.pipe.out(), channel);
    }

    /// Publishes a durable message to a queue.
    pub(in crate::wire) fn publish(&mut self, queue: &str, body: &[u8]) {
        let publish = basic::Publish {
            routing_key: short(queue),
            ..basic::Publish::default()
        };
        self.publish_as(publish, true, body);
    }

    /// Publishes a message in any way.
    pub(in crate::wire) fn publish_as(
        &mut self,
        publish: basic::Publish<'_>,
        persistent: bool,
        body: &[u8],
    ) {
        let delivery_mode = if persistent { 2 } else { 1 };
        self.publish_with(publish, &[0x10, 0, delivery_mode], body);
    }

    /// Publishes a message with any properties.
    pub(in crate::wire) fn publish_with(
        &mut self,
        publish: basic::Publish<'_>,
        properties: &[u8],
        body: &[u8],
    ) {
        self.say(publish);
        let (out, class_id) = (self.end.pipe.out(), basic::Publish::CLASS_ID);
        frame::write_header(out, CHANNEL, class_id, body.len() as u64, properties);
        frame::write_body(out, CHANNEL, body, FRAME_BYTES_MAX);
    }

    /// Says goodbye.
    pub(in crate::wire) fn say_goodbye(&mut self) {
        let close = connection::Close {
            reply_code: 200,
            ..connection::Close::default()
        };
        self.say_on(0, close);
        self.stage = Stage::Leaving;
    }

    /// Whether it is open now: its channel may be used.
    pub(in crate::wire) fn hear_connection(&mut self, method: Method<'_>) -> Checked<bool> {
        let mut say = |method: Method<'_>| method.write_frame(self.end.pipe.out(), 0);
        match (self.stage, method) {
            (Stage::Greeting, Method::ConnectionStart(_)) => {
                say(Method::from(connection::StartOk {
                    mechanism: ShortStr::lit("EXTERNAL"),
                    response: LongStr::EMPTY,
                    locale: ShortStr::lit("en_US"),
                    ..connection::StartOk::default()
                }));
                self.stage = Stage::Tuning;
            }
            (Stage::Tuning, Method::ConnectionTune(_)) => {
                say(Method::from(connection::TuneOk {
                    channel_max: 10,
                    frame_max: FRAME_BYTES_MAX,
                    heartbeat: 0,
                }));
                say(Method::from(connection::Open {
                    virtual_host: ShortStr::lit("/"),
                    ..connection::Open::default()
                }));
                self.stage = Stage::Entering;
            }
            (Stage::Entering, Method::ConnectionOpenOk(_)) => {
                self.stage = Stage::Open;
                self.say(channel::Open::default());
                return Ok(true);
            }
            (_, Method::ConnectionClose(close)) => {
                let text = close.reply_text.as_str_lossy();
                say(Method::from(connection::CloseOk {}));
                self.end.closed = Some(format!("{} {text}", close.reply_code));
            }
            (Stage::Leaving, Method::ConnectionCloseOk(_)) => self.stage = Stage::Gone,
            (stage, method) => return violated!("{} while it is {stage:?}", method.name()),
        }
        Ok(false)
    }
}

impl Line for AmqpLine {
    fn end(&self) -> &End {
        &self.end
    }

    fn end_mut(&mut self) -> &mut End {
        &mut self.end
    }

    fn into_end(self) -> End {
        self.end
    }

    fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    fn is_gone(&self) -> bool {
        self.stage == Stage::Gone
    }
}

impl Telling for AmqpLine {
    type Heard<'a> = Heard<'a>;

    fn next<'a>(&mut self, all: &'a [u8], at: &mut usize) -> Checked<Option<Heard<'a>>> {
        loop {
            let Some(frame) = frame_of(all, at)? else {
                return Ok(None);
            };
            if frame.channel == 0 {
                match self.hear_connection(control(&frame)?)? {
                    true => {
                        self.due.push_back("channel.open_ok");
                        return Ok(Some(Heard::Opened));
                    }
                    false => continue,
                }
            }
            let input = self.input.accept(frame, LIMITS);
            match input.map_err(|error| Violation(error.to_string()))? {
                Input::Incomplete => {}
                Input::Oversized { body_bytes, .. } => {
                    return violated!("a body of {body_bytes} bytes");
                }
                Input::Method(Method::ChannelClose(close)) => {
                    let text = close.reply_text.as_str_lossy();
                    return violated!("the channel is closed: {} {text}", close.reply_code);
                }
                // What comes behind a goodbye is not looked at.
                _ if self.stage == Stage::Leaving => {}
                Input::Method(Method::BasicAck(ack)) => return Ok(Some(Heard::Confirm(ack))),
                Input::Method(method) => {
                    self.hear_answer(method.name())?;
                    return Ok(Some(Heard::Answer(method)));
                }
                Input::Message(message) => return Ok(Some(Heard::Content(message))),
            }
        }
    }
}
