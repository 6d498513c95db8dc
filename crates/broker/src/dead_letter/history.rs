//! A message's history of deaths, in its headers as RabbitMQ writes it.
//!
//! Invariants
//! - Deaths in the same queue for the same reason are one entry with a count; the latest stands
//!   first.
//! - What a publisher wrote in the place of a history is not one.

use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Message;
use ferry_core::queue::DeadLetterReason;

const HISTORY: &str = "x-death";

/// Drops a history that a publisher made up.
pub(super) fn forget_history(headers: &mut Arguments) {
    headers.remove(HISTORY);
    for when in ["first", "last"] {
        for what in ["exchange", "queue", "reason"] {
            headers.remove(&format!("x-{when}-death-{what}"));
        }
    }
}

/// One death of a message.
pub(super) struct Death<'a> {
    /// Where it died; empty if it never was in a queue.
    pub queue: &'a str,
    pub message: &'a Message<'a>,
    pub reason: DeadLetterReason,
    pub copies: &'a [Vec<u8>],
    pub now: u64,
    pub expiration: Option<String>,
}

fn text(text: impl Into<Vec<u8>>) -> Value {
    Value::Str(text.into())
}

impl Death<'_> {
    /// Adds the death to the message's headers: deaths in the same queue for the same reason are
    /// one entry with a count, the latest stands first.
    pub fn write(&self, headers: &mut Arguments) {
        let mut deaths = match headers.remove(HISTORY) {
            Some(Value::Array(deaths)) => deaths,
            _ => Vec::new(),
        };
        let known = deaths.iter().position(|death| self.is_same(death));
        let entry = match known.map(|index| deaths.remove(index)) {
            Some(Value::Table(mut entry)) => {
                let count = entry.get("count").and_then(Value::as_integer).unwrap_or(0);
                entry.insert("count", Value::I64(i64::try_from(count).unwrap_or(0) + 1));
                entry.insert("time", Value::Timestamp(self.now / 1000));
                entry
            }
            _ => self.entry(),
        };
        deaths.insert(0, Value::Table(entry));
        let first = !headers.contains("x-first-death-reason");
        headers.insert(HISTORY, Value::Array(deaths));
        for (when, wanted) in [("first", first), ("last", true)] {
            if wanted {
                let name = |what: &str| format!("x-{when}-death-{what}");
                headers.insert(name("exchange"), text(self.message.exchange()));
                headers.insert(name("queue"), text(self.queue));
                headers.insert(name("reason"), text(self.reason.name()));
            }
        }
    }

    fn is_same(&self, death: &Value) -> bool {
        let Value::Table(death) = death else {
            return false;
        };
        death.get("queue").and_then(Value::as_bytes) == Some(self.queue.as_bytes())
            && death.get("reason").and_then(Value::as_bytes) == Some(self.reason.name().as_bytes())
    }

    fn entry(&self) -> Arguments {
        let mut entry = Arguments::new();
        entry.insert("count", Value::I64(1));
        entry.insert("reason", text(self.reason.name()));
        entry.insert("queue", text(self.queue));
        entry.insert("time", Value::Timestamp(self.now / 1000));
        entry.insert("exchange", text(self.message.exchange()));
        let keys = std::iter::once(self.message.routing_key().to_vec());
        let keys = keys
            .chain(self.copies.iter().cloned())
            .map(Value::Str)
            .collect();
        entry.insert("routing-keys", Value::Array(keys));
        if let Some(expiration) = &self.expiration {
            entry.insert("original-expiration", text(expiration.as_str()));
        }
        entry
    }
}

/// Whether the history leads from `queue` to here without anybody's rejection.
pub(super) fn in_cycle(queue: &str, headers: &Arguments) -> bool {
    let Some(Value::Array(deaths)) = headers.get(HISTORY) else {
        return false;
    };
    let field = |death: &Value, name: &str| match death {
        Value::Table(death) => death
            .get(name)
            .and_then(Value::as_bytes)
            .map(<[u8]>::to_vec),
        _ => None,
    };
    let here = deaths
        .iter()
        .position(|death| field(death, "queue").as_deref() == Some(queue.as_bytes()));
    here.is_some_and(|here| {
        deaths[..=here]
            .iter()
            .all(|death| field(death, "reason").as_deref() != Some(b"rejected"))
    })
}

pub(super) fn text_list(headers: &Arguments, name: &str) -> Vec<Vec<u8>> {
    match headers.get(name) {
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(|value| value.as_bytes().map(<[u8]>::to_vec))
            .collect(),
        _ => Vec::new(),
    }
}
