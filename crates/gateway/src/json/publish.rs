//! What a client publishes.
//!
//! Invariants
//! - While publishers are held a publish is refused, not kept: the client knows best what to do
//!   with it.
//! - A topic is published as MQTT would: its levels become the words of a routing key.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_broker::{BlockReason, ConfirmTag, PublishError, Published, SETTLE_EXCHANGE};
use ferry_core::limits::NAME_BYTES_MAX;
use ferry_core::message::{Draft, FORMAT_AMQP091};
use mqtt::topic;

use super::answer::Problem;
use super::open::Open;
use super::request::Publish;
use super::turn::Turn;
use super::wire::Confirm;

/// The exchange of all topics.
pub(super) const TOPIC_EXCHANGE: &str = "amq.topic";

/// Topics that are for the broker alone.
const SYSTEM: &str = "$SYS";

/// Where a message goes.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    exchange: String,
    key: Vec<u8>,
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Problem {
        let code = match error {
            PublishError::ExchangeNotFound(_) => "not_found",
            PublishError::AccessRefused(_) => "access_refused",
            PublishError::ExchangeInternal { .. } | PublishError::RuleBroken(_) => "refused",
        };
        Problem::new(code, error.to_string())
    }
}

fn way(publish: &mut Publish) -> Result<Way, Problem> {
    let (exchange, key) = (publish.exchange.take(), publish.key.take());
    match (exchange, key, publish.topic.take()) {
        (None, None, Some(name)) => {
            topic::check_name(name.as_bytes()).map_err(|error| Problem::bad(error.to_string()))?;
            if name == SYSTEM || name.starts_with("$SYS/") {
                let text = format!("topic '{name}' is for the broker alone to publish");
                return Err(Problem::new("access_refused", text));
            }
            let mut key = Vec::new();
            topic::to_key(name.as_bytes(), &mut key);
            let exchange = TOPIC_EXCHANGE.to_owned();
            Ok(Way { exchange, key })
        }
        (exchange, Some(key), None) if key.len() <= NAME_BYTES_MAX => {
            let exchange = exchange.unwrap_or_default();
            if exchange == SETTLE_EXCHANGE {
                return Err(Problem::bad("messages are settled by ack and nack"));
            }
            let key = key.into_bytes();
            Ok(Way { exchange, key })
        }
        (_, Some(_), None) => {
            let text = format!("key has at most {NAME_BYTES_MAX} bytes");
            Err(Problem::bad(text))
        }
        _ => Err(Problem::bad(
            "either key, with an exchange, or topic is needed",
        )),
    }
}

fn body(publish: &mut Publish) -> Result<Vec<u8>, Problem> {
    match (publish.body.take(), publish.body_base64.take()) {
        (text, None) => Ok(text.unwrap_or_default().into_bytes()),
        (None, Some(text)) => BASE64_STANDARD
            .decode(text)
            .map_err(|error| Problem::bad(format!("body_base64: {error}"))),
        (Some(_), Some(_)) => Err(Problem::bad("either body or body_base64 is needed")),
    }
}

impl Open {
    /// Refuses while publishers are held.
    fn check_holds(&mut self) -> Result<(), Problem> {
        let now = self.broker.now();
        if let Some(reason) = self.broker.memory().blocked() {
            let text = match reason {
                BlockReason::Memory => "low on memory",
                BlockReason::Disk => "low on disk",
            };
            return Err(Problem::new("held", text));
        }
        self.pacing.release(now);
        if self.pacing.is_metered() {
            self.pacing.begin(now);
        }
        match self.pacing.reason() {
            Some(reason) => Err(Problem::new("held", reason)),
            None => Ok(()),
        }
    }

    /// Publishes; the answer comes when it is safe.
    pub(super) fn publish(
        &mut self,
        mut publish: Publish,
        turn: &mut Turn<'_>,
    ) -> Result<(), Problem> {
        self.publishes = true;
        self.check_holds()?;
        let id = publish.id;
        let Way { exchange, key } = way(&mut publish)?;
        let body = body(&mut publish)?;
        let body_bytes_max = self.message_bytes_max;
        if body.len() as u64 > body_bytes_max {
            let text = format!("a body has at most {body_bytes_max} bytes");
            return Err(Problem::bad(text));
        }
        let properties = publish.properties.typed(&self.user.name)?;
        let format = self.broker.format(FORMAT_AMQP091);
        let format = format.ok_or_else(|| Problem::new("internal", "there is no format"))?;
        let block = format.compose(&properties);
        let block = block.map_err(|error| Problem::bad(error.to_string()))?;
        let basics = format.basics(&block);
        let basics = basics.ok_or_else(|| Problem::bad("the properties can not be used"))?;
        let now = self.broker.now();
        let draft = Draft {
            format: FORMAT_AMQP091,
            persistent: basics.persistent,
            dead_lettered: false,
            priority: basics.priority,
            ttl_ms: basics.ttl_ms,
            published_ms: now,
            deliver_at: None,
            id: None,
            exchange: exchange.as_bytes(),
            routing_key: &key,
            properties: &block,
            body: &body,
        };
        self.last_confirm += 1;
        let tag = ConfirmTag {
            channel: 0,
            tag: self.last_confirm,
        };
        let confirm = id.map(|_| tag);
        let burst = turn.staging();
        let staged =
            burst.publish_unseen(&self.broker, &mut self.publisher, &draft, &[&key], confirm);
        let hold = burst.take_hold();
        let routed = staged? == Published::Routed;
        if self.pacing.is_metered() || hold.is_some() {
            self.pacing.charge(body.len(), hold, now);
        }
        self.link.with(|state| {
            state.wire.counts.publish += 1;
            state.wire.counts.drop_unroutable += u64::from(!routed);
        });
        if let Some(id) = id {
            turn.confirm(Confirm { tag, id, routed });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(fields: &[(&str, &str)]) -> Publish {
        let map: serde_json::Map<_, _> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        serde_json::from_value(map.into()).unwrap()
    }

    #[test]
    fn a_message_goes_to_a_key_or_to_a_topic() {
        let long = "x".repeat(256);
        for (fields, expected) in [
            (vec![("key", "q")], Ok(("", "q"))),
            (vec![("key", ""), ("exchange", "e")], Ok(("e", ""))),
            (vec![("topic", "a/b.c")], Ok(("amq.topic", "a.b/c"))),
            (vec![("topic", "$SYSTEM")], Ok(("amq.topic", "$SYSTEM"))),
            (vec![], Err("bad_request")),
            (vec![("exchange", "e")], Err("bad_request")),
            (vec![("key", "k"), ("topic", "t")], Err("bad_request")),
            (vec![("topic", "a/#")], Err("bad_request")),
            (vec![("topic", "")], Err("bad_request")),
            (vec![("topic", "$SYS/x")], Err("access_refused")),
            (vec![("key", long.as_str())], Err("bad_request")),
            (
                vec![("exchange", SETTLE_EXCHANGE), ("key", "")],
                Err("bad_request"),
            ),
        ] {
            let found = way(&mut publish(&fields));
            let expected = expected.map(|(exchange, key)| Way {
                exchange: exchange.to_owned(),
                key: key.as_bytes().to_vec(),
            });
            assert_eq!(
                found.map_err(|problem| problem.code),
                expected,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn a_body_is_text_or_base64() {
        for (fields, expected) in [
            (vec![], Some(&b""[..])),
            (vec![("body", "\u{e4}\0")], Some(b"\xc3\xa4\0")),
            (vec![("body_base64", "/wA=")], Some(b"\xff\0")),
            (vec![("body_base64", "/wA")], None),
            (vec![("body", ""), ("body_base64", "")], None),
        ] {
            let found = body(&mut publish(&fields)).ok();
            assert_eq!(found.as_deref(), expected, "{fields:?}");
        }
    }
}
