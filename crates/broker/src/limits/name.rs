//! The names of limits, what each is for, and the values that it takes.
//!
//! Invariants
//! - A refusal that RabbitMQ knows begins with RabbitMQ's words.

use std::sync::Arc;

use ferry_core::arguments::Value;
use ferry_core::limits::RATE_MAX;
use serde::{Deserialize, Serialize};

use super::LimitError;
use crate::policies::Term;

/// What a limit is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LimitsOf {
    /// A virtual host.
    Vhost(Arc<str>),
    /// A user.
    User(Arc<str>),
}

impl LimitsOf {
    /// The name of the virtual host or user.
    pub fn name(&self) -> &str {
        match self {
            LimitsOf::Vhost(name) | LimitsOf::User(name) => name,
        }
    }
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Publish,
    Deliver,
}

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LimitName {
    /// Most connections at a time.
    MaxConnections,
    /// Most queues; of a virtual host.
    MaxQueues,
    /// Most channels at a time, over all connections; of a user.
    MaxChannels,
    /// Messages that are published in a second.
    PublishRate,
    /// Bytes of bodies that are published in a second.
    PublishByteRate,
    /// Messages that are delivered in a second.
    DeliverRate,
    /// Bytes of bodies that are delivered in a second.
    DeliverByteRate,
    /// Messages that each connection may publish in a second.
    ConnectionPublishRate,
    /// Bytes of bodies that each connection may publish in a second.
    ConnectionPublishByteRate,
    /// Messages that each connection may get in a second.
    ConnectionDeliverRate,
    /// Bytes of bodies that each connection may get in a second.
    ConnectionDeliverByteRate,
}

/// How many limits there are.
pub(super) const LIMITS: usize = 11;

const NAMES: [(LimitName, &str); LIMITS] = [
    (LimitName::MaxConnections, "max-connections"),
    (LimitName::MaxQueues, "max-queues"),
    (LimitName::MaxChannels, "max-channels"),
    (LimitName::PublishRate, "publish-rate"),
    (LimitName::PublishByteRate, "publish-byte-rate"),
    (LimitName::DeliverRate, "deliver-rate"),
    (LimitName::DeliverByteRate, "deliver-byte-rate"),
    (LimitName::ConnectionPublishRate, "connection-publish-rate"),
    (
        LimitName::ConnectionPublishByteRate,
        "connection-publish-byte-rate",
    ),
    (LimitName::ConnectionDeliverRate, "connection-deliver-rate"),
    (
        LimitName::ConnectionDeliverByteRate,
        "connection-deliver-byte-rate",
    ),
];

impl LimitName {
    /// The name in requests and answers.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    fn is_for(self, of: &LimitsOf) -> bool {
        match self {
            LimitName::MaxQueues => matches!(of, LimitsOf::Vhost(_)),
            LimitName::MaxChannels => matches!(of, LimitsOf::User(_)),
            _ => true,
        }
    }

    pub(super) fn is_rate(self) -> bool {
        !matches!(
            self,
            LimitName::MaxConnections | LimitName::MaxQueues | LimitName::MaxChannels
        )
    }

    /// The limit of that name, if there is one for a virtual host or a user.
    pub(super) fn find(of: &LimitsOf, name: &str) -> Option<LimitName> {
        let known = NAMES
            .iter()
            .find(|(limit, known)| *known == name && limit.is_for(of));
        known.map(|(limit, _)| *limit)
    }

    /// The messages and the bytes of the rates that all share, and of each connection's own.
    pub(super) fn rates(direction: Direction) -> [[LimitName; 2]; 2] {
        match direction {
            Direction::Publish => [
                [LimitName::PublishRate, LimitName::PublishByteRate],
                [
                    LimitName::ConnectionPublishRate,
                    LimitName::ConnectionPublishByteRate,
                ],
            ],
            Direction::Deliver => [
                [LimitName::DeliverRate, LimitName::DeliverByteRate],
                [
                    LimitName::ConnectionDeliverRate,
                    LimitName::ConnectionDeliverByteRate,
                ],
            ],
        }
    }
}

/// Reads a limit by its name; below 0 the value means none.
pub(super) fn read(
    of: &LimitsOf,
    name: &str,
    value: &Value,
) -> Result<(LimitName, i64), LimitError> {
    let Some(limit) = LimitName::find(of, name) else {
        let what = match of {
            LimitsOf::Vhost(_) => "limits",
            LimitsOf::User(_) => "user-limits",
        };
        let known = NAMES.iter().filter(|(limit, _)| limit.is_for(of));
        let known: Vec<_> = known.map(|(_, name)| *name).collect();
        let (term, known) = (Term(value), known.join(", "));
        let why =
            format!("Unrecognised terms [{{<<\"{name}\">>,{term}}}] in {what}; known: {known}");
        return Err(LimitError::invalid(of, why));
    };
    let term = Term(value);
    let Some(integer) = value.as_integer() else {
        let why = format!("{name} should be a number, actually was {term}");
        return Err(LimitError::invalid(of, why));
    };
    let fits =
        |value: &i64| *value < 0 || !limit.is_rate() || (1..=RATE_MAX as i64).contains(value);
    match i64::try_from(integer.max(-1)).ok().filter(fits) {
        Some(value) => Ok((limit, value)),
        None => {
            let (min, max) = match limit.is_rate() {
                true => (1, RATE_MAX),
                false => (0, i64::MAX as u64),
            };
            let why = format!(
                "{name} should be from {min} to {max}, or -1 for none, actually was {term}"
            );
            Err(LimitError::invalid(of, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_name() {
        let (vhost, user) = (LimitsOf::Vhost("/".into()), LimitsOf::User("guest".into()));
        for (place, (limit, name)) in NAMES.iter().enumerate() {
            assert_eq!((*limit as usize, limit.name()), (place, *name));
            let found = [&vhost, &user].map(|of| LimitName::find(of, name).is_some());
            let expected = match *name {
                "max-queues" => [true, false],
                "max-channels" => [false, true],
                _ => [true, true],
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn values_are_checked() {
        let of = LimitsOf::Vhost("/".into());
        for (name, value, expected) in [
            ("max-queues", Value::I64(7), Ok(7)),
            ("max-queues", Value::I64(0), Ok(0)),
            ("max-queues", Value::I64(-1), Ok(-1)),
            ("max-queues", Value::I64(-7), Ok(-1)),
            (
                "max-queues",
                Value::U64(u64::MAX),
                Err(
                    "max-queues should be from 0 to 9223372036854775807, or -1 for none, actually \
                     was 18446744073709551615",
                ),
            ),
            (
                "max-queues",
                Value::Void,
                Err("max-queues should be a number, actually was null"),
            ),
            (
                "publish-rate",
                Value::F64(1.5),
                Err("publish-rate should be a number, actually was 1.5"),
            ),
            (
                "deliver-rate",
                Value::I64(0),
                Err(
                    "deliver-rate should be from 1 to 1099511627776, or -1 for none, actually \
                     was 0",
                ),
            ),
            ("publish-rate", Value::I64(1 << 40), Ok(1 << 40)),
            ("connection-deliver-byte-rate", Value::I64(-1), Ok(-1)),
        ] {
            let found = read(&of, name, &value).map(|(_, value)| value);
            let expected = expected.map_err(|why: &str| LimitError::invalid(&of, why.to_owned()));
            assert_eq!(found, expected, "{name} {value:?}");
        }
        let unknown = read(&of, "max-channels", &Value::I64(1))
            .unwrap_err()
            .to_string();
        assert!(
            unknown
                .contains("Unrecognised terms [{<<\"max-channels\">>,1}] in limits; known: max-c"),
            "{unknown}"
        );
    }
}
