//! From the arguments of a declaration to a queue's options.
//!
//! Invariants
//! - An argument that the broker knows is checked for type, range and sense, and refused by
//!   name; one that it does not know is kept for comparison and has no effect, as in RabbitMQ.
//! - What is not built is refused, never ignored.

use ferry_core::arguments::{Arguments, Value};
use ferry_core::limits::{QUEUE_PRIORITY_MAX, QUORUM_DELIVERY_LIMIT, TTL_MS_MAX};
use ferry_core::queue::{DeadLetterTarget, Options, Overflow, QueueKind, SyncPolicy};

/// Arguments that two declarations of a queue must agree on.
pub(crate) const COMPARED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-type",
    "x-single-active-consumer",
    "x-sync",
];

/// What was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// An argument makes no sense.
    Argument { argument: String, why: String },
    /// An argument makes no sense for this kind of queue.
    ArgumentOfKind { argument: String, kind: QueueKind },
    /// A property makes no sense for this kind of queue.
    Property(&'static str),
}

/// What a declaration says besides its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flags {
    pub durable: bool,
    pub exclusive: bool,
    pub auto_delete: bool,
    pub sync_default: SyncPolicy,
}

struct Reader<'a>(&'a Arguments);

impl Reader<'_> {
    fn integer(&self, name: &str) -> Result<Option<i128>, Refused> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let why = || format!("\"expected integer, got {}\"", value.type_name());
        value
            .as_integer()
            .map(Some)
            .ok_or_else(|| refused(name, why()))
    }

    fn count(&self, name: &str, max: u64) -> Result<Option<u64>, Refused> {
        let Some(integer) = self.integer(name)? else {
            return Ok(None);
        };
        if integer < 0 {
            return Err(refused(name, format!("{{value_negative,{integer}}}")));
        }
        match u64::try_from(integer) {
            Ok(count) if count <= max => Ok(Some(count)),
            _ => Err(refused(name, format!("{{value_too_large,{integer}}}"))),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, Refused> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        match value {
            Value::Str(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
            _ => Err(unacceptable_type(name, value)),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.0.get(name) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| unacceptable_type(name, value)),
        }
    }

    fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
        otherwise: impl Fn(&str) -> String,
    ) -> Result<Option<T>, Refused> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(choice, _)| *choice == text);
        chosen
            .map(|(_, value)| Some(*value))
            .ok_or_else(|| refused(name, otherwise(&text)))
    }
}

fn refused(argument: &str, why: String) -> Refused {
    Refused::Argument {
        argument: argument.to_owned(),
        why,
    }
}

fn unacceptable_type(argument: &str, value: &Value) -> Refused {
    refused(
        argument,
        format!("{{unacceptable_type,{}}}", value.type_name()),
    )
}

/// Reads the options of a queue.
pub(crate) fn options(arguments: &Arguments, flags: Flags) -> Result<Options, Refused> {
    let reader = Reader(arguments);
    let kind = kind(&reader)?;
    fits(&reader, kind, flags)?;
    // Dead letters leave their queue after they have arrived, which serves both.
    let strategies = [("at-most-once", ()), ("at-least-once", ())];
    reader.choice("x-dead-letter-strategy", &strategies, |_| {
        "invalid_dlx_strategy".to_owned()
    })?;
    let expires_ms = reader.count("x-expires", TTL_MS_MAX)?;
    if expires_ms == Some(0) {
        return Err(refused("x-expires", "{value_zero,0}".to_owned()));
    }
    let overflow = [
        ("drop-head", Overflow::DropHead),
        ("reject-publish", Overflow::RejectPublish),
        ("reject-publish-dlx", Overflow::RejectPublishDlx),
    ];
    let modes = [("default", ()), ("lazy", ())];
    reader.choice("x-queue-mode", &modes, |mode| {
        format!("\"unsupported queue mode '{mode}'\"")
    })?;
    version(&reader)?;
    Ok(Options {
        durable: flags.durable && !flags.exclusive,
        kind,
        message_ttl_ms: reader.count("x-message-ttl", TTL_MS_MAX)?,
        expires_ms,
        max_length: reader.count("x-max-length", u64::MAX)?,
        max_length_bytes: reader.count("x-max-length-bytes", u64::MAX)?,
        overflow: reader
            .choice("x-overflow", &overflow, |_| "invalid_overflow".to_owned())?
            .unwrap_or_default(),
        max_priority: max_priority(&reader)?,
        single_active_consumer: reader.flag("x-single-active-consumer")?,
        delivery_limit: delivery_limit(&reader, kind)?,
        dead_letter: dead_letter(&reader)?,
        sync: sync(&reader)?.unwrap_or(flags.sync_default),
    })
}

fn kind(reader: &Reader<'_>) -> Result<QueueKind, Refused> {
    match reader.text("x-queue-type")?.as_deref() {
        None | Some("classic") => Ok(QueueKind::Classic),
        Some("quorum") => Ok(QueueKind::Quorum),
        Some("stream") => Err(refused(
            "x-queue-type",
            "queue type 'stream' is not supported yet".to_owned(),
        )),
        Some(other) => Err(refused(
            "x-queue-type",
            format!("\"unsupported queue type '{other}'\""),
        )),
    }
}

fn fits(reader: &Reader<'_>, kind: QueueKind, flags: Flags) -> Result<(), Refused> {
    let unfit: &[&str] = match kind {
        QueueKind::Classic => &["x-dead-letter-strategy"],
        QueueKind::Quorum => &["x-max-priority", "x-queue-mode", "x-queue-version"],
    };
    if let Some(argument) = unfit.iter().find(|argument| reader.0.contains(argument)) {
        return Err(Refused::ArgumentOfKind {
            argument: (*argument).to_owned(),
            kind,
        });
    }
    if kind == QueueKind::Quorum {
        for (property, set) in [
            ("auto-delete", flags.auto_delete),
            ("exclusive-owner", flags.exclusive),
            ("non-durable", !flags.durable),
        ] {
            if set {
                return Err(Refused::Property(property));
            }
        }
    }
    Ok(())
}

/// Both versions of a classic queue are one here.
fn version(reader: &Reader<'_>) -> Result<(), Refused> {
    match reader.integer("x-queue-version")? {
        None | Some(1 | 2) => Ok(()),
        Some(version) => {
            let why = format!("\"unsupported queue version '{version}'\"");
            Err(refused("x-queue-version", why))
        }
    }
}

fn max_priority(reader: &Reader<'_>) -> Result<u8, Refused> {
    let Some(max) = reader.count("x-max-priority", u64::MAX)? else {
        return Ok(0);
    };
    match u8::try_from(max) {
        Ok(level) if max <= u64::from(QUEUE_PRIORITY_MAX) => Ok(level),
        _ => Err(refused(
            "x-max-priority",
            format!("{{max_value_exceeded,{max}}}"),
        )),
    }
}

fn delivery_limit(reader: &Reader<'_>, kind: QueueKind) -> Result<Option<u32>, Refused> {
    match reader.integer("x-delivery-limit")? {
        None if kind == QueueKind::Quorum => Ok(Some(QUORUM_DELIVERY_LIMIT)),
        None | Some(-1) => Ok(None),
        Some(limit) if limit < 0 => Err(refused(
            "x-delivery-limit",
            format!("{{value_negative,{limit}}}"),
        )),
        Some(limit) => Ok(Some(u32::try_from(limit).unwrap_or(u32::MAX))),
    }
}

fn dead_letter(reader: &Reader<'_>) -> Result<Option<DeadLetterTarget>, Refused> {
    let exchange = reader.text("x-dead-letter-exchange")?;
    let routing_key = reader.text("x-dead-letter-routing-key")?;
    match (exchange, routing_key) {
        (Some(exchange), routing_key) => Ok(Some(DeadLetterTarget {
            exchange,
            routing_key,
        })),
        (None, Some(_)) => {
            let why = "routing_key_but_no_dlx_defined".to_owned();
            Err(refused("x-dead-letter-routing-key", why))
        }
        (None, None) => Ok(None),
    }
}

fn sync(reader: &Reader<'_>) -> Result<Option<SyncPolicy>, Refused> {
    let Some(name) = reader.text("x-sync")? else {
        return Ok(None);
    };
    let why = || {
        refused(
            "x-sync",
            format!("'{name}' is none of sync, written, memory"),
        )
    };
    SyncPolicy::from_name(&name).map(Some).ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: Flags = Flags {
        durable: true,
        exclusive: false,
        auto_delete: false,
        sync_default: SyncPolicy::Sync,
    };

    fn read(pairs: &[(&str, Value)]) -> Result<Options, Refused> {
        let mut arguments = Arguments::new();
        for (name, value) in pairs {
            arguments.insert(*name, value.clone());
        }
        options(&arguments, FLAGS)
    }

    fn text(text: &str) -> Value {
        Value::Str(text.as_bytes().to_vec())
    }

    #[test]
    fn bad_arguments_are_refused_by_name() {
        for (name, value, why) in [
            ("x-message-ttl", Value::I32(-1), "{value_negative,-1}"),
            (
                "x-message-ttl",
                text("5"),
                "\"expected integer, got longstr\"",
            ),
            (
                "x-message-ttl",
                Value::I64(1 << 40),
                "{value_too_large,1099511627776}",
            ),
            ("x-expires", Value::I32(0), "{value_zero,0}"),
            (
                "x-max-priority",
                Value::I32(1_000_000),
                "{max_value_exceeded,1000000}",
            ),
            (
                "x-max-length",
                Value::Bool(true),
                "\"expected integer, got bool\"",
            ),
            ("x-overflow", text("explode"), "invalid_overflow"),
            (
                "x-queue-mode",
                text("eager"),
                "\"unsupported queue mode 'eager'\"",
            ),
            (
                "x-dead-letter-routing-key",
                text("k"),
                "routing_key_but_no_dlx_defined",
            ),
            (
                "x-sync",
                text("later"),
                "'later' is none of sync, written, memory",
            ),
        ] {
            let refused = read(&[(name, value)]).unwrap_err();
            assert_eq!(refused, super::refused(name, why.to_owned()));
        }
    }

    #[test]
    fn a_quorum_queue_limits_deliveries_unless_told_otherwise() {
        let quorum = ("x-queue-type", text("quorum"));
        assert_eq!(
            read(std::slice::from_ref(&quorum)).unwrap().delivery_limit,
            Some(20)
        );
        let unlimited = read(&[quorum, ("x-delivery-limit", Value::I32(-1))]).unwrap();
        assert_eq!(
            (unlimited.delivery_limit, unlimited.kind),
            (None, QueueKind::Quorum)
        );
    }

    #[test]
    fn options_take_what_the_arguments_say() {
        let options = read(&[
            ("x-message-ttl", Value::I32(0)),
            ("x-max-length", Value::I64(5)),
            ("x-overflow", text("reject-publish")),
            ("x-dead-letter-exchange", text("dlx")),
            ("x-max-priority", Value::U8(10)),
            ("x-unknown", Value::Void),
        ])
        .unwrap();
        assert_eq!(options.message_ttl_ms, Some(0));
        assert_eq!((options.max_length, options.max_priority), (Some(5), 10));
        assert_eq!(options.overflow, Overflow::RejectPublish);
        assert_eq!(options.dead_letter.unwrap().exchange, "dlx");
    }
}
