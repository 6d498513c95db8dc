//! Publishing: from a publish with its content to the burst.
//!
//! Invariants
//! - A message enters the burst once; nothing is allocated for it unless its properties have to
//!   be changed (direct reply-to, BCC, a delay) or it goes to several keys (CC).
//! - Properties and headers are checked here, so that nothing malformed reaches a consumer.
//! - A return is written before the confirm of the same message can be.

use std::borrow::Cow;

use amqp091::deliver::{Content, write_return};
use amqp091::method::basic;
use amqp091::properties::{Change, Edit, Properties, edit};
use amqp091::{RawTable, ReplyCode, ShortStr};
use ferry_broker::{Burst, ConfirmTag, Metrics, PublishError, Published};
use ferry_core::message::{Draft, FORMAT_AMQP091};

use super::channel::{Channel, Common};
use super::delay::{DELAY, Delay};
use super::errors::{Refusal, access_refused, not_found, not_implemented, precondition_failed};
use super::expiration;
use super::format::View;
use super::gather::Request;
use super::headers::{Noticed, with_headers, without_bcc};
use super::reply_to::REPLY_TO;
use super::settlement::settles;
use super::turn::Turn;

/// The delivery mode of messages that outlive the broker.
pub(crate) const PERSISTENT: u8 = 2;
/// The tag of users who may publish in the name of others.
const IMPERSONATOR: &str = "impersonator";
/// RabbitMQ's hard limit for a message, in bytes.
pub(crate) const BODY_BYTES_MAX: u64 = 512 << 20;

/// A publish, however it came.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'a> {
    /// Where to.
    pub(crate) exchange: &'a [u8],
    /// By which key.
    pub(crate) routing_key: &'a [u8],
    /// Whether it comes back when no queue takes it.
    pub(crate) mandatory: bool,
    /// Not supported.
    pub(crate) immediate: bool,
    /// Flags and values as on the wire.
    pub(crate) properties: &'a [u8],
    /// The body.
    pub(crate) body: &'a [u8],
}

/// What the headers of a publish say.
struct Told<'a> {
    /// Routing keys beside the one in the method.
    keys: &'a [&'a [u8]],
    delay: Delay,
}

impl Channel {
    /// Stages a message.
    pub(crate) fn publish(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        incoming: Incoming<'_>,
    ) -> Result<(), Refusal> {
        if incoming.immediate {
            return Err(not_implemented("immediate=true"));
        }
        if incoming.body.len() as u64 > common.message_bytes_max {
            return Err(too_large(
                incoming.body.len() as u64,
                common.message_bytes_max,
            ));
        }
        let properties = Properties::parse(incoming.properties)?;
        check_user(common, &properties)?;
        match properties.headers() {
            Some(headers) => {
                self.publish_with_headers(common, turn, &incoming, &properties, headers)
            }
            None if settles(incoming.exchange) => {
                self.settle_by_publish(common, turn, &incoming, None)
            }
            None => {
                let block = Cow::Borrowed(incoming.properties);
                self.publish_block(common, turn, &incoming, &properties, block, None)
            }
        }
    }

    /// Goes on with a message whose headers may mean something. Apart, so that one without headers
    /// carries nothing of it.
    #[inline(never)]
    fn publish_with_headers<'a>(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        incoming: &Incoming<'a>,
        properties: &Properties<'a>,
        headers: RawTable<'a>,
    ) -> Result<(), Refusal> {
        properties
            .validate_headers()
            .map_err(|error| Refusal::new(error.reply_code(), error.to_string()))?;
        if settles(incoming.exchange) {
            return self.settle_by_publish(common, turn, incoming, Some(headers));
        }
        let noticed = Noticed::of(headers);
        let keys = noticed.keys()?;
        let now = turn.now(&common.broker);
        let delay = Delay::of(&noticed, now, |header| common.delay_ignored(header))?;
        let block = match keys.has_bcc {
            true => Cow::Owned(without_bcc(incoming.properties)),
            false => Cow::Borrowed(incoming.properties),
        };
        let told = Told {
            keys: &keys.keys,
            delay,
        };
        if !noticed.gathers() {
            return self.publish_block(common, turn, incoming, properties, block, Some(told));
        }
        let Request { gathering, block } = self.request(common, &noticed, properties, &block)?;
        let properties = Properties::parse(&block)?;
        let block = Cow::Borrowed(block.as_slice());
        self.publish_block(common, turn, incoming, &properties, block, Some(told))?;
        self.burst(turn).gather(gathering);
        Ok(())
    }

    /// Where publishes are staged.
    fn burst<'b>(&'b mut self, turn: &'b mut Turn<'_>) -> &'b mut Burst {
        match &mut self.tx {
            Some(tx) => &mut tx.burst,
            None => turn.staging(),
        }
    }

    /// Stages a message with its properties as consumers get them, but for what is `told`.
    #[inline]
    fn publish_block(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        incoming: &Incoming<'_>,
        properties: &Properties<'_>,
        mut block: Cow<'_, [u8]>,
        told: Option<Told<'_>>,
    ) -> Result<(), Refusal> {
        if properties
            .reply_to()
            .is_some_and(|to| to.as_bytes() == REPLY_TO.as_bytes())
        {
            block = Cow::Owned(self.with_reply_key(&block)?);
        }
        let ttl_ms = properties
            .expiration()
            .map(|text| expires(text.as_bytes()))
            .transpose()?;
        let mut draft = Draft {
            format: FORMAT_AMQP091,
            persistent: properties.delivery_mode() == Some(PERSISTENT),
            dead_lettered: false,
            priority: properties.priority().unwrap_or(0),
            ttl_ms,
            published_ms: turn.now(&common.broker),
            deliver_at: None,
            id: None,
            exchange: incoming.exchange,
            routing_key: incoming.routing_key,
            properties: &block,
            body: incoming.body,
        };
        let mandatory = incoming.mandatory.then_some(Incoming {
            properties: &block,
            ..*incoming
        });
        let view = View {
            properties,
            exchange: incoming.exchange,
            routing_key: incoming.routing_key,
        };
        let Some(Told { keys, delay }) = told else {
            return self.stage(common, turn, &draft, view, &[], mandatory);
        };
        draft.deliver_at = delay.deliver_at;
        match delay.negated {
            None => self.stage(common, turn, &draft, view, keys, mandatory),
            Some(value) => {
                let name = ShortStr::lit(DELAY);
                let delivered = with_headers(&block, |headers| headers.set(name, value));
                draft.properties = &delivered;
                self.stage(common, turn, &draft, view, keys, mandatory)
            }
        }
    }

    fn stage(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        draft: &Draft<'_>,
        view: View<'_>,
        more_keys: &[&[u8]],
        mandatory: Option<Incoming<'_>>,
    ) -> Result<(), Refusal> {
        if !self.publishes {
            self.publishes = true;
            Metrics::add(&common.broker.metrics().publishers_opened, 1);
        }
        let confirm = self.next_confirm();
        let burst = match &mut self.tx {
            Some(tx) => {
                tx.check_room(draft.encoded_len())?;
                &mut tx.burst
            }
            None => turn.staging(),
        };
        let published = if more_keys.is_empty() {
            burst.publish(&common.broker, &mut self.publisher, draft, &view, confirm)
        } else {
            let mut all = Vec::with_capacity(more_keys.len() + 1);
            all.push(draft.routing_key);
            all.extend_from_slice(more_keys);
            let publisher = &mut self.publisher;
            burst.publish_many(&common.broker, publisher, draft, &all, &view, confirm)
        };
        if let Some(hold) = burst.take_hold() {
            turn.note_hold(hold);
        }
        let published = published.map_err(|error| refuse(&error))?;
        self.tally.publish.add(1);
        if published == Published::Unroutable {
            self.count_unroutable(mandatory.is_some());
        }
        if let Some(incoming) = mandatory
            && published == Published::Unroutable
        {
            if !draft.routing_key.starts_with(REPLY_TO.as_bytes()) {
                Metrics::add(&common.broker.metrics().messages_returned, 1);
            }
            let code = ReplyCode::NoRoute;
            self.give_back(common, &incoming, code, code.name())?;
        }
        if let Some(confirm) = confirm {
            self.owe_confirm(turn, confirm);
        }
        Ok(())
    }

    fn count_unroutable(&self, returned: bool) {
        if returned {
            self.tally.returned.add(1);
        } else {
            self.tally.dropped.add(1);
        }
    }

    /// What the confirm of the next publish names; none outside confirm mode.
    pub(crate) fn next_confirm(&self) -> Option<ConfirmTag> {
        self.confirm.map(|last| ConfirmTag {
            channel: self.number,
            tag: last + 1,
        })
    }

    /// The publish that was just staged is to be confirmed by that.
    pub(crate) fn owe_confirm(&mut self, turn: &mut Turn<'_>, confirm: ConfirmTag) {
        self.confirm = Some(confirm.tag);
        self.tally.to_confirm.add(1);
        turn.confirm(self.lane, confirm);
    }

    /// Sends a message back; at the commit when in a transaction.
    pub(crate) fn give_back(
        &mut self,
        common: &Common,
        incoming: &Incoming<'_>,
        code: ReplyCode,
        text: &str,
    ) -> Result<(), Refusal> {
        if self.tx.is_none() {
            common.link.with(|state| {
                let out = state.outbox.buffer();
                write_back(out, self.number, common, incoming, code, text);
            });
            return Ok(());
        }
        let frames = self.return_frames(common, incoming, code, text);
        if let Some(tx) = &mut self.tx {
            tx.check_room(frames.len())?;
            tx.returns.extend_from_slice(&frames);
        }
        Ok(())
    }

    /// The frames that send a message back.
    pub(crate) fn return_frames(
        &self,
        common: &Common,
        incoming: &Incoming<'_>,
        code: ReplyCode,
        text: &str,
    ) -> Vec<u8> {
        let mut frames = Vec::new();
        write_back(&mut frames, self.number, common, incoming, code, text);
        frames
    }
}

fn write_back(
    out: &mut Vec<u8>,
    channel: u16,
    common: &Common,
    incoming: &Incoming<'_>,
    code: ReplyCode,
    text: &str,
) {
    let returned = basic::Return {
        reply_code: code.code(),
        reply_text: ShortStr::clipped(text.as_bytes()),
        exchange: ShortStr::clipped(incoming.exchange),
        routing_key: ShortStr::clipped(incoming.routing_key),
    };
    let content = Content {
        properties: incoming.properties,
        body: incoming.body,
    };
    write_return(out, channel, returned, content, common.frame_bytes_max);
}

fn refuse(error: &PublishError) -> Refusal {
    match error {
        PublishError::ExchangeNotFound(_) => not_found(error.to_string()),
        PublishError::ExchangeInternal { .. } | PublishError::AccessRefused(_) => {
            access_refused(error.to_string())
        }
        PublishError::RuleBroken(_) => precondition_failed(error.to_string()),
    }
}

/// The refusal of a message that is too large.
pub(crate) fn too_large(body_bytes: u64, message_bytes_max: u64) -> Refusal {
    let configured = if message_bytes_max == BODY_BYTES_MAX {
        ""
    } else {
        "configured "
    };
    precondition_failed(format!(
        "message size {body_bytes} is larger than {configured}max size {message_bytes_max}"
    ))
}

fn expires(text: &[u8]) -> Result<u64, Refusal> {
    expiration::parse(text).map_err(|error| {
        let text = String::from_utf8_lossy(text);
        precondition_failed(format!("invalid expiration '{text}': {error}"))
    })
}

fn check_user(common: &Common, properties: &Properties<'_>) -> Result<(), Refusal> {
    let Some(user_id) = properties.user_id() else {
        return Ok(());
    };
    let itself = user_id.as_bytes() == common.user.name.as_bytes();
    if itself || common.user.has_tag(IMPERSONATOR) {
        return Ok(());
    }
    Err(precondition_failed(format!(
        "user_id property set to '{}' but authenticated user was '{}'",
        user_id.as_str_lossy(),
        common.user.name
    )))
}

/// Gives a property block another reply-to.
pub(crate) fn with_reply_to(block: &[u8], key: &str) -> Result<Vec<u8>, Refusal> {
    let properties = Properties::parse(block)?;
    let change = Edit {
        reply_to: Change::Set(ShortStr::clipped(key.as_bytes())),
        ..Edit::default()
    };
    let mut out = Vec::with_capacity(block.len() + key.len());
    edit(&properties, &change, &mut out);
    Ok(out)
}
