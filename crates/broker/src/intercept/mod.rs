//! Rules of an exchange for messages on their way in: what is changed, and what is asked of them.
//!
//! First headers are removed, then set, then stamped; the message as it is then is what the other
//! rules look at, and what is routed and stored.
//!
//! Invariants
//! - A message is refused before anything of it is staged.
//! - A message that no rule changes keeps its properties byte for byte.
//! - Rules are read once, when their policy is set. What checking one message costs is bounded by
//!   its size and by a limit on the schema that it is held against (`cost`).
//!
//! Not here: for which exchanges (`policies`), when they are asked (`publisher`), how headers look
//! on a wire (the formats).

mod body;
mod cost;
mod keys;
mod kind;
mod parts;
mod require;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use ferry_core::Millis;
use ferry_core::arguments::Value;
use ferry_core::message::Draft;
use ferry_core::view::{MessageView, Operand, Property};

use crate::Amendment;
use body::Schemas;
pub(crate) use kind::Kind;
use require::Field;

/// When the message came in, in milliseconds; the name that RabbitMQ gives it.
const TIMESTAMP_IN_MS: &str = "timestamp_in_ms";
const ORIGIN_USER: &str = "x-origin-user";
const ORIGIN_ADDRESS: &str = "x-origin-address";
const ORIGIN_EXCHANGE: &str = "x-origin-exchange";

/// Longest reason in a refusal, in bytes.
const WHY_BYTES_MAX: usize = 160;

/// Who publishes, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user.
    pub user: String,
    /// The address of the peer.
    pub address: String,
}

/// A message breaks a rule of the exchange that it was published to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("exchange '{exchange}' in vhost '{vhost}' refuses the message: {rule}: {why}")]
pub struct RuleBroken {
    /// The exchange.
    pub exchange: String,
    /// Its virtual host.
    pub vhost: String,
    /// The rule, as its policy names it.
    pub rule: &'static str,
    /// What is wrong with the message.
    pub why: String,
}

/// A rule that a message breaks, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub rule: &'static str,
    pub why: String,
}

fn broken(rule: &'static str, why: impl Into<String>) -> Broken {
    let why = clipped(why.into(), WHY_BYTES_MAX);
    Broken { rule, why }
}

/// What messages are stamped with.
pub(crate) struct Stamps<'a> {
    /// Who publishes, where that is known.
    pub origin: Option<&'a Origin>,
    /// The time.
    pub now: Millis,
    /// Makes up an id that no other message has.
    pub id: &'a dyn Fn() -> String,
}

/// The rules of an exchange.
#[derive(Debug, Default)]
pub(crate) struct Interceptor {
    set: Vec<(String, Value)>,
    removed: Vec<String>,
    stamp_time: bool,
    stamp_id: bool,
    stamp_origin: bool,
    message_bytes_max: Option<u64>,
    required: Vec<Field>,
    schemas: Schemas,
    kind_strict: bool,
}

impl Interceptor {
    /// Whether there is a rule at all.
    pub fn acts(&self) -> bool {
        let changes = !self.set.is_empty()
            || !self.removed.is_empty()
            || self.stamp_time
            || self.stamp_id
            || self.stamp_origin;
        let asks = self.message_bytes_max.is_some()
            || !self.required.is_empty()
            || self.schemas.any()
            || self.kind_strict;
        changes || asks
    }

    /// What is changed of a message; none if it stays as it is.
    pub fn amendment(
        &self,
        draft: &Draft<'_>,
        view: &dyn MessageView,
        stamps: Stamps<'_>,
    ) -> Option<Amendment<'_>> {
        let mut amendment = Amendment::default();
        let there = |name: &&str| view.has_header(name);
        let removed = self.removed.iter().map(String::as_str);
        amendment.removed.extend(removed.filter(there));
        let set = self.set.iter();
        let set = set.map(|(name, value)| (name.as_str(), Cow::Borrowed(value)));
        amendment.set.extend(set);
        if self.stamp_time {
            stamp_time(&mut amendment, view, stamps.now);
        }
        if self.stamp_id && !view.has(Property::MessageId) {
            amendment.message_id = Some((stamps.id)());
        }
        if self.stamp_origin {
            stamp_origin(&mut amendment, draft.exchange, stamps.origin);
        }
        (amendment != Amendment::default()).then_some(amendment)
    }

    /// Holds a message against the rules. Says what kind it is, where that is asked for.
    pub fn check(&self, body: &[u8], view: &dyn MessageView) -> Result<Option<Kind>, Broken> {
        if let Some(max) = self.message_bytes_max
            && body.len() as u64 > max
        {
            let why = format!("{} bytes are more than {max}", body.len());
            return Err(broken(keys::MAX_MESSAGE_BYTES, why));
        }
        if let Some(field) = self.required.iter().find(|field| !field.is_in(view)) {
            return Err(broken(keys::REQUIRE, format!("{field} is missing")));
        }
        let kind = match self.kind_strict {
            true => Kind::of(view)?,
            false => None,
        };
        self.schemas.check(body, self.message_bytes_max, view)?;
        Ok(kind)
    }
}

/// What the publisher says counts, unless a rule removes it.
fn stamp_time(amendment: &mut Amendment<'_>, view: &dyn MessageView, now: Millis) {
    let kept = view.has_header(TIMESTAMP_IN_MS) && !amendment.removed.contains(&TIMESTAMP_IN_MS);
    let mut set = amendment.set.iter();
    if !kept && !set.any(|(name, _)| *name == TIMESTAMP_IN_MS) {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let stamp = Cow::Owned(Value::I64(now));
        amendment.set.push((TIMESTAMP_IN_MS, stamp));
    }
    if !view.has(Property::Timestamp) {
        amendment.timestamp = Some(now / 1000);
    }
}

/// What is not known of the origin is not there, whatever the publisher says.
fn stamp_origin(amendment: &mut Amendment<'_>, exchange: &[u8], origin: Option<&Origin>) {
    let user = origin.map(|origin| origin.user.as_bytes());
    let address = origin.map(|origin| origin.address.as_bytes());
    for (name, known) in [
        (ORIGIN_USER, user),
        (ORIGIN_ADDRESS, address),
        (ORIGIN_EXCHANGE, Some(exchange)),
    ] {
        match known {
            Some(bytes) => {
                let stamp = Cow::Owned(Value::Str(bytes.to_vec()));
                amendment.set.push((name, stamp));
            }
            None => amendment.removed.push(name),
        }
    }
}

/// A header that has to be text, if it is there. The error is for one that is something else.
fn text<'a>(view: &'a dyn MessageView, name: &str) -> Result<Option<Cow<'a, str>>, ()> {
    match view.header(name) {
        Some(Operand::Text(bytes)) => Ok(Some(String::from_utf8_lossy(bytes))),
        Some(_) => Err(()),
        None if view.has_header(name) => Err(()),
        None => Ok(None),
    }
}

/// At most so many bytes, whole characters.
fn clipped(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - 3));
        text.push_str("...");
    }
    text
}
