//! From the arguments of a declaration to a queue's options.
//!
//! Invariants
//! - An argument that the broker knows is checked for type, range and sense, and refused by
//!   name; one that it does not know is kept for comparison and has no effect, as in RabbitMQ.
//! - What is not built is refused, never ignored; so is what can have no effect.
//!
//! Not here: which policy is in force for a queue (`policies`).

mod settings;
mod stream;
#[cfg(test)]
mod tests;
mod values;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::limits::QUEUE_PRIORITY_MAX;
use ferry_core::queue::{DeadLetterStrategy, Options, QueueKind, SyncPolicy};

pub(crate) use settings::{KEYS, Key, Settings};
pub use values::age_ms;
use values::{Checked, count, flag, text};

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
    "x-retry-limit",
    "x-retry-delay",
    "x-retry-factor",
    "x-retry-max-delay",
    "x-retry-jitter",
    "x-lease-timeout",
    "x-message-deduplication",
    "x-cache-size",
    "x-cache-ttl",
    "x-shards",
    "x-shard-key-header",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
    "x-publish-rate",
    "x-publish-byte-rate",
    "x-deliver-rate",
    "x-deliver-byte-rate",
    "x-passport",
    "x-discard-transient",
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

/// What a declaration asks for: a part that a policy may add to, and one that stays.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    settings: Settings,
    fixed: Options,
}

impl Declared {
    /// Classic, quorum or stream.
    pub fn kind(&self) -> QueueKind {
        self.fixed.kind
    }

    /// The options in force, with the settings of the policy that applies.
    pub fn options(&self, policy: Option<&Settings>) -> Options {
        let settings = match policy {
            Some(policy) => self.settings.over(policy),
            None => self.settings.clone(),
        };
        let options = settings.fill(self.fixed.clone());
        match options.kind {
            QueueKind::Stream => stream::fit(options),
            QueueKind::Classic | QueueKind::Quorum => options,
        }
    }
}

struct Reader<'a>(&'a Arguments);

impl Reader<'_> {
    fn read<T>(
        &self,
        argument: &str,
        check: impl FnOnce(&Value) -> Checked<T>,
    ) -> Result<Option<T>, Refused> {
        let checked = self.0.get(argument).map(check).transpose();
        checked.map_err(|why| refused(argument, why))
    }
}

fn refused(argument: &str, why: impl Into<String>) -> Refused {
    Refused::Argument {
        argument: argument.to_owned(),
        why: why.into(),
    }
}

/// Reads what the declaration of a queue asks for.
pub(crate) fn declared(arguments: &Arguments, flags: Flags) -> Result<Declared, Refused> {
    let reader = Reader(arguments);
    let durable = flags.durable && !flags.exclusive;
    let kind = kind(&reader)?;
    fits(&reader, kind, flags)?;
    stream::check_leader(&reader)?;
    let mut settings = Settings::default();
    for key in KEYS {
        reader.read(key.argument, |value| key.read(&mut settings, value))?;
    }
    sensible(&settings, durable)?;
    let fixed = Options {
        durable,
        kind,
        max_priority: max_priority(&reader)?,
        single_active_consumer: reader
            .read("x-single-active-consumer", flag)?
            .unwrap_or(false),
        discards_transient: reader.read("x-discard-transient", flag)?.unwrap_or(false),
        sync: match kind {
            QueueKind::Stream => stream::check(&reader, flags.sync_default)?,
            _ => sync(&reader)?.unwrap_or(flags.sync_default),
        },
        ..Options::default()
    };
    Ok(Declared { settings, fixed })
}

/// Refuses settings that contradict each other, or need one that is not there.
fn sensible(settings: &Settings, durable: bool) -> Result<(), Refused> {
    if settings.dead_letter_routing_key.is_some() && settings.dead_letter_exchange.is_none() {
        let why = "routing_key_but_no_dlx_defined";
        return Err(refused("x-dead-letter-routing-key", why));
    }
    if settings.dead_letter_strategy == Some(DeadLetterStrategy::AtLeastOnce) && !durable {
        let why = "'at-least-once' is for durable queues";
        return Err(refused("x-dead-letter-strategy", why));
    }
    let retried = settings.retry_delay_ms.is_some();
    let deduplicated = settings.deduplication == Some(true);
    let sharded = settings.shards.is_some();
    for (argument, set, needed, there) in [
        (
            "x-retry-factor",
            settings.retry_factor_milli.is_some(),
            "x-retry-delay",
            retried,
        ),
        (
            "x-retry-max-delay",
            settings.retry_max_delay_ms.is_some(),
            "x-retry-delay",
            retried,
        ),
        (
            "x-retry-jitter",
            settings.retry_jitter_percent.is_some(),
            "x-retry-delay",
            retried,
        ),
        (
            "x-cache-size",
            settings.cache_ids_max.is_some(),
            "x-message-deduplication",
            deduplicated,
        ),
        (
            "x-cache-ttl",
            settings.cache_ttl_ms.is_some(),
            "x-message-deduplication",
            deduplicated,
        ),
        (
            "x-shard-key-header",
            settings.shard_key_header.is_some(),
            "x-shards",
            sharded,
        ),
    ] {
        if set && !there {
            return Err(refused(argument, format!("it needs {needed}")));
        }
    }
    match settings.contradiction() {
        Some(why) => Err(refused("x-retry-max-delay", why)),
        None => Ok(()),
    }
}

/// The kind of queue that is asked for, if it is one that no broker makes up a name for.
pub(crate) fn replicated_kind(arguments: &Arguments) -> Option<QueueKind> {
    let kind = kind(&Reader(arguments)).ok()?;
    (kind != QueueKind::Classic).then_some(kind)
}

fn kind(reader: &Reader<'_>) -> Result<QueueKind, Refused> {
    match reader.read("x-queue-type", text)?.as_deref() {
        None | Some("classic") => Ok(QueueKind::Classic),
        Some("quorum") => Ok(QueueKind::Quorum),
        Some("stream") => Ok(QueueKind::Stream),
        Some(other) => Err(refused(
            "x-queue-type",
            format!("\"unsupported queue type '{other}'\""),
        )),
    }
}

fn fits(reader: &Reader<'_>, kind: QueueKind, flags: Flags) -> Result<(), Refused> {
    let unfit: &[&str] = match kind {
        // On a durable one it means what it means on a quorum queue.
        QueueKind::Classic if !flags.durable => &[
            "x-dead-letter-strategy",
            "x-max-age",
            "x-stream-max-segment-size-bytes",
            "x-initial-cluster-size",
        ],
        QueueKind::Classic => &[
            "x-max-age",
            "x-stream-max-segment-size-bytes",
            "x-initial-cluster-size",
        ],
        QueueKind::Quorum => &[
            "x-max-priority",
            "x-queue-mode",
            "x-queue-version",
            "x-max-age",
            "x-stream-max-segment-size-bytes",
            "x-initial-cluster-size",
        ],
        QueueKind::Stream => stream::UNFIT,
    };
    if let Some(argument) = unfit.iter().find(|argument| reader.0.contains(argument)) {
        return Err(Refused::ArgumentOfKind {
            argument: (*argument).to_owned(),
            kind,
        });
    }
    if kind != QueueKind::Classic {
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

fn max_priority(reader: &Reader<'_>) -> Result<u8, Refused> {
    let Some(max) = reader.read("x-max-priority", |value| count(value, u64::MAX))? else {
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

fn sync(reader: &Reader<'_>) -> Result<Option<SyncPolicy>, Refused> {
    let Some(name) = reader.read("x-sync", text)? else {
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
