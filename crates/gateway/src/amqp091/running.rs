//! An open connection: frames to channels, and what other threads leave for it.
//!
//! Invariants
//! - All frames of one read are worked through before anything is submitted, unless a method has
//!   to see the effect of those before it.
//! - An error of a channel ends that channel; a hard one ends the connection.
//! - When it ends, for whatever reason, everything that its channels hold is given back.

mod pace;
mod renew;

use amqp091::content::{ContentLimits, Input};
use amqp091::method::{basic, channel as methods, connection};
use amqp091::{
    FastPublish, Frame, FrameKind, InputError, Method, ReplyCode, ShortStr, parse_publish_fast,
};
use ferry_broker::{BlockReason, Kept, KeptFor, Metrics, Outcome};

use super::channel::{Channel, Common, open_ok};
use super::channels::Channels;
use super::errors::{Refusal, channel_error, not_allowed};
use super::handshake::Client;
use super::publish::{BODY_BYTES_MAX, Incoming, too_large};
use super::settlement::settles;
use super::throttle::{Held, Verdict};
use super::turn::Turn;
use crate::pacing::Pacing;

/// How an open connection comes to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// We close it, and wait for the client's word.
    Close(Refusal),
    /// We close it and read no more: the bytes make no sense.
    CloseAtOnce(Refusal),
    /// The client has closed it.
    ByClient,
}

/// An open connection.
pub(crate) struct Running {
    /// What all channels share.
    pub(crate) common: Common,
    client: Client,
    channel_max: usize,
    pub(super) channels: Channels,
    held: Held,
    /// Messages that have come to their end and are not submitted.
    arrived: Kept,
    publishes: bool,
    told_blocked: bool,
    blocked: Option<BlockReason>,
    pacing: Pacing,
    /// Whether publishes of this read are counted.
    metered: bool,
}

impl Running {
    /// A connection that was just opened.
    pub(crate) fn new(common: Common, client: Client, channel_max: u16) -> Running {
        let blocked = common.broker.memory().blocked();
        common.limit_unacked();
        let channel_max = if channel_max == 0 {
            usize::from(u16::MAX)
        } else {
            channel_max.into()
        };
        let pacing = Pacing::new(common.limits.clone());
        let held = Held::new(&common.broker);
        let arrived = Kept::new(&common.broker, KeptFor::Arriving);
        Running {
            common,
            client,
            channel_max,
            channels: Channels::default(),
            held,
            arrived,
            publishes: false,
            told_blocked: false,
            blocked,
            pacing,
            metered: false,
        }
    }

    /// Whether the client has published anything.
    pub(crate) fn publishes(&self) -> bool {
        self.publishes
    }

    /// Whether there is room for more from the socket.
    pub(crate) fn wants_more(&self) -> bool {
        self.held.is_empty() || !self.held.is_full(self.is_amid_message())
    }

    fn is_amid_message(&self) -> bool {
        let mut channels = self.channels.iter();
        channels.any(|channel| channel.arriving.bytes() > 0)
    }

    /// Submits what has come: from then on it counts where it is.
    pub(crate) fn submit(&mut self, turn: &mut Turn<'_>) {
        turn.submit(&self.common);
        self.arrived.set(0);
    }

    /// Works through what has come; gives how much of it was used.
    pub(crate) fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<usize, End> {
        self.begin_read(turn);
        let mut at = 0;
        while at < bytes.len() {
            match self.step(&bytes[at..], turn)? {
                0 => break,
                used => at += used,
            }
        }
        Ok(at)
    }

    /// Works off one publish or one frame; gives its size, 0 if it is not complete.
    #[inline]
    fn step(&mut self, rest: &[u8], turn: &mut Turn<'_>) -> Result<usize, End> {
        let limit = self.common.frame_bytes_max;
        if !self.is_holding()
            && let Ok(Some(publish)) = parse_publish_fast(rest, limit)
            && self.publish_fast(&publish, turn)?
        {
            return Ok(publish.size);
        }
        let frame =
            amqp091::frame::parse(rest, limit).map_err(|error| End::CloseAtOnce(error.into()))?;
        let Some(frame) = frame else {
            return Ok(0);
        };
        let size = frame.size;
        if !self.hold(&frame, &rest[..size], turn) {
            self.on_frame(frame, turn)?;
        }
        Ok(size)
    }

    /// Holds a frame if publishers are held and it is one that has to wait.
    fn hold(&mut self, frame: &Frame<'_>, bytes: &[u8], turn: &mut Turn<'_>) -> bool {
        if !self.is_holding() {
            return false;
        }
        let channel = self.channels.get(frame.channel);
        let (in_content, in_tx) = channel.map_or((false, false), |channel| {
            (!channel.input.is_idle(), channel.tx.is_some())
        });
        let verdict = self.held.judge(frame, in_content, in_tx);
        if verdict == Verdict::HoldFirst {
            self.publishes = true;
            self.tell_blocked();
            self.tell_held(turn.now(&self.common.broker));
        }
        if verdict != Verdict::Pass {
            self.held.keep(frame, bytes);
        }
        verdict != Verdict::Pass
    }

    /// Publishes what came in one piece; `false` if its channel is not ready for that.
    fn publish_fast(
        &mut self,
        publish: &FastPublish<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<bool, End> {
        let Some(channel) = self.channels.get(publish.channel) else {
            return Ok(false);
        };
        if channel.closing {
            return Ok(true);
        }
        if !channel.input.is_idle() {
            return Ok(false);
        }
        let incoming = Incoming {
            exchange: publish.exchange,
            routing_key: publish.routing_key,
            mandatory: publish.mandatory,
            immediate: publish.immediate,
            properties: publish.properties,
            body: publish.body,
        };
        let publishes = !settles(incoming.exchange);
        self.publishes |= publishes;
        let result = channel.publish(&self.common, turn, incoming);
        if publishes && result.is_ok() {
            self.charge(publish.body.len(), turn);
        }
        if let Err(refusal) = result {
            self.refuse(publish.channel, by_publish(refusal), turn)?;
        }
        Ok(true)
    }

    fn on_frame(&mut self, frame: Frame<'_>, turn: &mut Turn<'_>) -> Result<(), End> {
        let number = frame.channel;
        if number == 0 {
            return self.on_connection_frame(&frame, turn);
        }
        let limits = ContentLimits {
            message_bytes_max: self.common.message_bytes_max,
            body_bytes_max: BODY_BYTES_MAX,
        };
        let Some(channel) = self.channels.get(number) else {
            return self.on_unknown_channel(&frame);
        };
        if channel.closing {
            return self.on_closing_channel(&frame);
        }
        let accepted = channel.input.accept(frame, limits);
        let arriving = channel.input.announced_bytes(limits);
        if channel.arriving.bytes() > arriving {
            self.arrived.take_over(&mut channel.arriving);
        }
        if channel.arriving.set(arriving) && self.blocked.is_none() {
            // The event comes after this read, which may bring the begin of many more.
            self.blocked = self.common.broker.memory().blocked();
        }
        let result = match accepted {
            Ok(Input::Incomplete) => return Ok(()),
            Ok(Input::Method(Method::ChannelClose(_))) => {
                self.close_channel(number, turn);
                return Ok(());
            }
            Ok(Input::Method(method)) => {
                let ids = method.class_method();
                let result = channel.on_method(&self.common, turn, method);
                result.map_err(|refusal| refusal.by(ids))
            }
            Ok(Input::Message(message)) => {
                let publishes = &mut self.publishes;
                let published = publish_slow(channel, &self.common, turn, &message, publishes);
                if let Ok(Some(bytes)) = published {
                    self.charge(bytes, turn);
                }
                published.map(|_| ())
            }
            Ok(Input::Oversized {
                class_method,
                body_bytes,
            }) => {
                let refusal = too_large(body_bytes, self.common.message_bytes_max);
                Err(refusal.by(class_method))
            }
            Err(error) => return Err(End::Close(refuse_input(&error))),
        };
        match result {
            Ok(()) => Ok(()),
            Err(refusal) => self.refuse(number, refusal, turn),
        }
    }

    fn on_unknown_channel(&mut self, frame: &Frame<'_>) -> Result<(), End> {
        let number = frame.channel;
        if frame.kind != FrameKind::Method {
            let error = match frame.kind {
                FrameKind::Heartbeat => "heartbeat on a channel".to_owned(),
                _ => InputError::ExpectedMethod.to_string(),
            };
            return Err(End::Close(Refusal::new(ReplyCode::UnexpectedFrame, error)));
        }
        let method = Method::decode(frame.payload).map_err(|error| End::Close(error.into()))?;
        if !matches!(method, Method::ChannelOpen(_)) {
            let refusal = channel_error("expected 'channel.open'");
            return Err(End::Close(refusal.by(method.class_method())));
        }
        let (open, max) = (self.channels.len(), self.channel_max);
        if open >= max {
            return Err(End::Close(not_allowed(format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
            ))));
        }
        let seat = self.common.limits.open_channel();
        let seat = seat.map_err(|limit| End::Close(not_allowed(limit.to_string())))?;
        let channel = Channel::open(&self.common, number, seat);
        channel.reply(&self.common, ferry_broker::Promise::Now, open_ok());
        self.channels.insert(channel);
        Metrics::add(&self.common.broker.metrics().channels_opened, 1);
        Ok(())
    }

    /// Between our `channel.close` and the client's `close-ok`.
    fn on_closing_channel(&mut self, frame: &Frame<'_>) -> Result<(), End> {
        let number = frame.channel;
        if frame.kind != FrameKind::Method {
            return Ok(());
        }
        match Method::decode(frame.payload) {
            Ok(Method::ChannelCloseOk(_)) => {
                self.channels.remove(number);
            }
            Ok(Method::ChannelClose(_)) => self.common.link.with(|state| {
                Method::ChannelCloseOk(methods::CloseOk {})
                    .write_frame(state.outbox.buffer(), number);
            }),
            _ => {}
        }
        Ok(())
    }

    /// The client closes a channel.
    fn close_channel(&mut self, number: u16, turn: &mut Turn<'_>) {
        let Some(mut channel) = self.channels.remove(number) else {
            return;
        };
        channel.release(&self.common, turn, |out| {
            Method::ChannelCloseOk(methods::CloseOk {}).write_frame(out, number);
        });
        Metrics::add(&self.common.broker.metrics().channels_closed, 1);
    }

    /// Closes the channel, or asks for the end of the connection: a method was refused.
    #[cold]
    fn refuse(&mut self, number: u16, refusal: Refusal, turn: &mut Turn<'_>) -> Result<(), End> {
        if refusal.code.is_hard() {
            return Err(End::Close(refusal));
        }
        let Some(channel) = self.channels.get(number) else {
            return Ok(());
        };
        tracing::error!(
            peer = self.common.origin.address,
            channel = number,
            vhost = self.common.vhost.name(),
            user = self.common.user.name,
            reason = refusal.text(),
            "channel error"
        );
        channel.closing = true;
        channel.release(&self.common, turn, |out| {
            refusal.write_channel_close(out, number)
        });
        Metrics::add(&self.common.broker.metrics().channels_closed, 1);
        Ok(())
    }

    fn on_connection_frame(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<(), End> {
        match frame.kind {
            FrameKind::Heartbeat => return Ok(()),
            FrameKind::Method => {}
            FrameKind::Header | FrameKind::Body => {
                let text = format!("type {}, unexpected on channel 0", frame.kind as u8);
                return Err(End::Close(Refusal::new(ReplyCode::UnexpectedFrame, text)));
            }
        }
        let method = Method::decode(frame.payload).map_err(|error| End::Close(error.into()))?;
        match method {
            Method::ConnectionClose(_) => {
                turn.submit(&self.common);
                Err(End::ByClient)
            }
            Method::ConnectionUpdateSecret(update) => {
                self.renew(&update)?;
                let ok = Method::ConnectionUpdateSecretOk(connection::UpdateSecretOk {});
                self.common
                    .link
                    .with(|state| ok.write_frame(state.outbox.buffer(), 0));
                Ok(())
            }
            method => {
                let refusal = channel_error("unexpected method in connection state running");
                Err(End::Close(refusal.by(method.class_method())))
            }
        }
    }

    /// Publishers are held or free again.
    pub(crate) fn on_pressure(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        self.blocked = self.common.broker.memory().blocked();
        self.common.limit_unacked();
        if self.blocked.is_some() {
            self.tell_blocked();
            return Ok(());
        }
        self.tell_unblocked();
        self.replay(turn)
    }

    /// Tells a client that publishes and wants to know that publishers are held.
    fn tell_blocked(&mut self) {
        let Some(reason) = self.blocked else {
            return;
        };
        if !self.publishes || !self.client.notify_blocked || self.told_blocked {
            return;
        }
        self.write_blocked(match reason {
            BlockReason::Memory => ShortStr::lit("low on memory"),
            BlockReason::Disk => ShortStr::lit("low on disk"),
        });
    }

    /// There is room again: lets the consumers go on that were refused.
    pub(crate) fn resume_starved(&mut self) {
        let starved = self.channels.iter_mut().flat_map(Channel::take_starved);
        let handles: Vec<_> = starved.collect();
        if !handles.is_empty() {
            self.common.broker.resume(&handles);
        }
    }

    /// Takes up what other threads have left: leases of closed channels, dropped consumers.
    pub(crate) fn take_leftovers(&mut self, turn: &mut Turn<'_>) {
        let leftovers = self
            .common
            .link
            .with(|state| std::mem::take(&mut state.wire.leftovers));
        for (queue, lease) in leftovers.leases {
            turn.staging().settle(&queue, lease, Outcome::Requeue);
        }
        for (lane, tag) in leftovers.cancelled {
            if let Some(channel) = self
                .channels
                .iter_mut()
                .find(|channel| channel.lane == lane)
            {
                channel.consumer_dropped(&self.common, &tag);
            }
        }
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self, turn: &mut Turn<'_>) {
        turn.submit(&self.common);
        for channel in self.channels.iter_mut().filter(|channel| !channel.closing) {
            channel.release(&self.common, turn, |_| {});
            Metrics::add(&self.common.broker.metrics().channels_closed, 1);
        }
        self.channels = Channels::default();
        self.take_leftovers(turn);
        turn.submit(&self.common);
        self.common.broker.connection_closed(self.common.connection);
    }
}

fn by_publish(refusal: Refusal) -> Refusal {
    refusal.by((basic::Publish::CLASS_ID, basic::Publish::METHOD_ID))
}

/// Gives the bytes that count for rates, if the message does.
fn publish_slow(
    channel: &mut Channel,
    common: &Common,
    turn: &mut Turn<'_>,
    message: &amqp091::content::Message,
    publishes: &mut bool,
) -> Result<Option<usize>, Refusal> {
    let method = message.method()?;
    let Method::BasicPublish(publish) = method else {
        let refusal = Refusal::new(ReplyCode::CommandInvalid, "unimplemented method");
        return Err(refusal.by(method.class_method()));
    };
    let incoming = Incoming {
        exchange: publish.exchange.as_bytes(),
        routing_key: publish.routing_key.as_bytes(),
        mandatory: publish.mandatory,
        immediate: publish.immediate,
        properties: &message.properties,
        body: &message.body,
    };
    let counts = !settles(incoming.exchange);
    *publishes |= counts;
    channel
        .publish(common, turn, incoming)
        .map_err(by_publish)?;
    Ok(counts.then_some(incoming.body.len()))
}

fn refuse_input(error: &InputError) -> Refusal {
    Refusal::new(error.reply_code(), error.to_string()).by(error.failed_method())
}
