//! Publishing: from a publish with its content to the burst.
//!
//! Invariants
//! - A message enters the burst once; nothing is allocated for it unless its properties have to
//!   be changed (direct reply-to, BCC) or it goes to several keys (CC).
//! - Properties and headers are checked here, so that nothing malformed reaches a consumer.
//! - A return is written before the confirm of the same message can be.

use std::borrow::Cow;

use amqp091::deliver::{Content, write_return};
use amqp091::method::basic;
use amqp091::properties::{Change, Edit, Properties, edit};
use amqp091::{RawTable, RawValue, ReplyCode, ShortStr};
use ferry_broker::{ConfirmTag, PublishError, Published};
use ferry_core::limits::NAME_BYTES_MAX;
use ferry_core::message::{Draft, FORMAT_AMQP091};

use super::channel::{Channel, Common};
use super::errors::{Refusal, access_refused, not_found, not_implemented, precondition_failed};
use super::expiration;
use super::format::LazyHeaders;
use super::reply_to::REPLY_TO;
use super::turn::Turn;

const PERSISTENT: u8 = 2;
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
        let headers = properties.headers();
        let mut block = Cow::Borrowed(incoming.properties);
        let mut keys = Keys::default();
        if let Some(headers) = headers {
            properties
                .validate_headers()
                .map_err(|error| Refusal::new(error.reply_code(), error.to_string()))?;
            keys = Keys::of(headers)?;
            if keys.has_bcc {
                block = Cow::Owned(without_bcc(&properties, headers));
            }
        }
        if properties
            .reply_to()
            .is_some_and(|to| to.as_bytes() == REPLY_TO.as_bytes())
        {
            block = Cow::Owned(self.with_reply_key(&block)?);
        }
        check_user(common, &properties)?;
        let ttl_ms = properties
            .expiration()
            .map(|text| expires(text.as_bytes()))
            .transpose()?;
        let draft = Draft {
            format: FORMAT_AMQP091,
            persistent: properties.delivery_mode() == Some(PERSISTENT),
            dead_lettered: false,
            priority: properties.priority().unwrap_or(0),
            ttl_ms,
            published_ms: turn.now(&common.broker),
            exchange: incoming.exchange,
            routing_key: incoming.routing_key,
            properties: &block,
            body: incoming.body,
        };
        self.stage(
            common,
            turn,
            &draft,
            LazyHeaders(headers),
            &keys.keys,
            incoming.mandatory,
        )
    }

    fn stage(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        draft: &Draft<'_>,
        headers: LazyHeaders<'_>,
        more_keys: &[&[u8]],
        mandatory: bool,
    ) -> Result<(), Refusal> {
        let confirm = self.confirm.map(|last| ConfirmTag {
            channel: self.number,
            tag: last + 1,
        });
        let burst = match &mut self.tx {
            Some(tx) => {
                tx.check_room(draft)?;
                &mut tx.burst
            }
            None => turn.staging(),
        };
        let published = if more_keys.is_empty() {
            burst.publish(
                &common.broker,
                &mut self.publisher,
                draft,
                &headers,
                confirm,
            )
        } else {
            let mut all = Vec::with_capacity(more_keys.len() + 1);
            all.push(draft.routing_key);
            all.extend_from_slice(more_keys);
            let publisher = &mut self.publisher;
            burst.publish_many(&common.broker, publisher, draft, &all, &headers, confirm)
        };
        let published = published.map_err(|error| refuse(&error))?;
        if mandatory && published == Published::Unroutable {
            self.give_back(common, draft);
        }
        if let Some(confirm) = confirm {
            self.confirm = Some(confirm.tag);
            turn.confirm(self.lane, confirm);
        }
        Ok(())
    }

    /// Returns a message that no queue takes; at the commit when in a transaction.
    fn give_back(&mut self, common: &Common, draft: &Draft<'_>) {
        let returned = basic::Return {
            reply_code: ReplyCode::NoRoute.code(),
            reply_text: ShortStr::lit(ReplyCode::NoRoute.name()),
            exchange: ShortStr::clipped(draft.exchange),
            routing_key: ShortStr::clipped(draft.routing_key),
        };
        let content = Content {
            properties: draft.properties,
            body: draft.body,
        };
        let (number, frame_bytes_max) = (self.number, common.frame_bytes_max);
        match &mut self.tx {
            Some(tx) => write_return(&mut tx.returns, number, returned, content, frame_bytes_max),
            None => common.link.with(|state| {
                let out = state.outbox.buffer();
                write_return(out, number, returned, content, frame_bytes_max);
            }),
        }
    }
}

fn refuse(error: &PublishError) -> Refusal {
    match error {
        PublishError::ExchangeNotFound(_) => not_found(error.to_string()),
        PublishError::ExchangeInternal { .. } => access_refused(error.to_string()),
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
    if user_id.as_bytes() == common.user.name.as_bytes() {
        return Ok(());
    }
    Err(precondition_failed(format!(
        "user_id property set to '{}' but authenticated user was '{}'",
        user_id.as_str_lossy(),
        common.user.name
    )))
}

/// Routing keys beside the one in the method.
#[derive(Default)]
struct Keys<'a> {
    keys: Vec<&'a [u8]>,
    has_bcc: bool,
}

impl<'a> Keys<'a> {
    fn of(headers: RawTable<'a>) -> Result<Keys<'a>, Refusal> {
        let mut found = Keys::default();
        for name in ["CC", "BCC"] {
            match headers.get(name.as_bytes()) {
                None => {}
                Some(RawValue::Array(routes)) => {
                    found.has_bcc |= name == "BCC";
                    found
                        .keys
                        .extend(routes.iter().map_while(Result::ok).filter_map(|route| {
                            match route {
                                // No binding has a longer key than a short string holds.
                                RawValue::LongStr(key) if key.len() <= NAME_BYTES_MAX => Some(key),
                                _ => None,
                            }
                        }));
                }
                Some(other) => {
                    let kind = super::arguments::type_name(other);
                    return Err(precondition_failed(format!(
                        "invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}"
                    )));
                }
            }
        }
        Ok(found)
    }
}

fn without_bcc(properties: &Properties<'_>, headers: RawTable<'_>) -> Vec<u8> {
    let Ok(mut table) = headers.decode() else {
        return properties.as_bytes().to_vec();
    };
    table.remove(b"BCC");
    let bytes = table.to_bytes();
    let change = Edit {
        headers: Change::Set(RawTable::new(&bytes)),
        ..Edit::default()
    };
    let mut out = Vec::with_capacity(properties.as_bytes().len());
    edit(properties, &change, &mut out);
    out
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
