//! Which messages are looked for.
//!
//! Invariants
//! - All conditions that are given must hold; without any, every message is looked for.
//! - What a publisher wrote in the place of a history is no death.

use std::ops::RangeInclusive;

use ferry_core::Millis;
use ferry_core::arguments::{Arguments, Value};
use ferry_core::filter::Filter as Selector;
use ferry_core::message::Message;
use ferry_core::queue::DeadLetterReason;
use memchr::memmem;

use super::list::Standing;
use crate::Broker;

/// What a message must be like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// The publisher's name for it.
    pub message_id: Option<String>,
    /// Headers that it has, each of that value: numbers compare whatever their width.
    pub headers: Arguments,
    /// The exchange that it was published to.
    pub exchange: Option<String>,
    /// The routing key that it was published with.
    pub routing_key: Option<Vec<u8>>,
    /// Bytes that stand somewhere in its body.
    pub body: Option<Vec<u8>>,
    /// Why it died, the last time.
    pub death: Option<DeadLetterReason>,
    /// When the broker took it, in milliseconds since the Unix epoch.
    pub published_ms: Option<RangeInclusive<Millis>>,
    /// What its properties and headers must satisfy.
    pub selector: Option<Selector>,
}

impl Filter {
    /// Whether the message is looked for.
    pub(crate) fn matches(
        &self,
        broker: &Broker,
        standing: &Standing,
        message: &Message<'_>,
    ) -> bool {
        let Filter {
            exchange,
            routing_key,
            body,
            published_ms,
            ..
        } = self;
        let text = |wanted: &Option<String>, found: &[u8]| {
            wanted.as_ref().is_none_or(|text| text.as_bytes() == found)
        };
        let published = message.published_ms();
        text(exchange, message.exchange())
            && routing_key
                .as_ref()
                .is_none_or(|key| key == message.routing_key())
            && published_ms
                .as_ref()
                .is_none_or(|range| range.contains(&published))
            && self.properties_match(broker, standing, message)
            && body
                .as_ref()
                .is_none_or(|wanted| memmem::find(message.body(), wanted).is_some())
    }

    fn properties_match(
        &self,
        broker: &Broker,
        standing: &Standing,
        message: &Message<'_>,
    ) -> bool {
        let Filter {
            message_id,
            headers,
            death,
            selector,
            ..
        } = self;
        let plain = headers.is_empty() && death.is_none();
        if message_id.is_none() && plain && selector.is_none() {
            return true;
        }
        let Some(format) = broker.options.formats.get(message.format()) else {
            return false;
        };
        if let Some(selector) = selector {
            let mut wanted = false;
            format.view(message, &mut |view| wanted = selector.matches(view));
            if !wanted {
                return false;
            }
        }
        let properties = message.properties();
        let named = message_id.as_ref().is_none_or(|id| {
            let basics = format.basics(properties);
            basics.and_then(|basics| basics.message_id).as_ref() == Some(id)
        });
        if !named || plain {
            return named;
        }
        let found = format.headers(properties);
        let died = |wanted: DeadLetterReason| match standing {
            Standing::Pending { reason, .. } => *reason == wanted,
            _ => message.dead_lettered() && died_for(&found, wanted),
        };
        headers.iter().all(|(name, value)| {
            let header = found.get(name);
            header.is_some_and(|header| header.equals_by_value(value))
        }) && death.is_none_or(died)
    }
}

/// Whether the latest death of a history was for that reason.
fn died_for(headers: &Arguments, reason: DeadLetterReason) -> bool {
    let Some(Value::Array(deaths)) = headers.get("x-death") else {
        return false;
    };
    let latest = deaths.first().and_then(Value::as_table);
    latest
        .and_then(|death| death.get("reason"))
        .and_then(Value::as_bytes)
        == Some(reason.name().as_bytes())
}
