//! Settings that an argument of a queue or a policy may make, and which of the two counts.
//!
//! Invariants
//! - A queue's own setting counts before the policy's; of two limits the lower one counts.
//! - Options that come of settings never contradict themselves: where own and policy settings
//!   do together, the policy's gives way.

use ferry_core::arguments::Value;
use ferry_core::limits::{
    DEDUPLICATION_IDS_DEFAULT, DEDUPLICATION_IDS_MAX, DEDUPLICATION_TTL_MS_DEFAULT, DELAY_MS_MAX,
    QUORUM_DELIVERY_LIMIT, RATE_MAX, SHARDS_MAX, SHARDS_MIN, STREAM_SEGMENT_BYTES_MAX, TTL_MS_MAX,
};
use ferry_core::queue::{
    DeadLetterStrategy, DeadLetterTarget, Deduplication, Options, Overflow, QueueKind, Rate,
    Retention, Retry, Shards,
};

use super::values::{
    Checked, age, choice, count, integer, name, positive, thousandths, truth, within,
};

/// What each wait is longer than the one before by, if nothing is said, in thousandths.
const RETRY_FACTOR_MILLI_DEFAULT: u32 = 2000;
/// Largest factor.
const RETRY_FACTOR_MAX: u32 = 1000;
/// By how much a wait differs either way, if nothing is said.
const RETRY_JITTER_PERCENT_DEFAULT: u8 = 10;

/// After how many returns a message is dead-lettered; never is the highest limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DeliveryLimit {
    After(u32),
    Never,
}

/// What was said; nothing of it has a default yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub message_ttl_ms: Option<u64>,
    pub expires_ms: Option<u64>,
    pub max_length: Option<u64>,
    pub max_length_bytes: Option<u64>,
    pub overflow: Option<Overflow>,
    pub delivery_limit: Option<DeliveryLimit>,
    pub retry_limit: Option<u32>,
    pub retry_delay_ms: Option<u64>,
    pub retry_factor_milli: Option<u32>,
    pub retry_max_delay_ms: Option<u64>,
    pub retry_jitter_percent: Option<u8>,
    pub lease_timeout_ms: Option<u64>,
    pub deduplication: Option<bool>,
    pub cache_ids_max: Option<u64>,
    pub cache_ttl_ms: Option<u64>,
    pub dead_letter_exchange: Option<String>,
    pub dead_letter_routing_key: Option<String>,
    pub dead_letter_strategy: Option<DeadLetterStrategy>,
    pub shards: Option<u16>,
    pub shard_key_header: Option<String>,
    pub max_age_ms: Option<u64>,
    pub segment_bytes: Option<u64>,
    pub publish_rate: Rate,
    pub deliver_rate: Rate,
    pub passport: Option<bool>,
}

/// One setting by its name.
pub(crate) struct Key {
    /// Its name as an argument; a policy leaves the `x-` out.
    pub argument: &'static str,
    /// What a bad value is called in the refusal of a policy.
    pub words: &'static str,
    /// Whether RabbitMQ knows it, and so has the words for a refusal.
    pub known: bool,
    read: fn(&mut Settings, &Value) -> Checked<()>,
}

impl Key {
    /// Notes a value, or says in the words of an argument what is wrong with it.
    pub fn read(&self, settings: &mut Settings, value: &Value) -> Checked<()> {
        (self.read)(settings, value)
    }

    /// Its name in a policy.
    pub fn in_policy(&self) -> &'static str {
        self.argument.strip_prefix("x-").unwrap_or(self.argument)
    }
}

type Read = fn(&mut Settings, &Value) -> Checked<()>;

const fn known(argument: &'static str, words: &'static str, read: Read) -> Key {
    Key {
        argument,
        words,
        known: true,
        read,
    }
}

const fn ours(argument: &'static str, words: &'static str, read: Read) -> Key {
    Key {
        argument,
        words,
        known: false,
        read,
    }
}

fn put<T>(slot: &mut Option<T>, checked: Checked<T>) -> Checked<()> {
    *slot = Some(checked?);
    Ok(())
}

/// Every setting, in the order in which they are checked.
pub(crate) const KEYS: &[Key] = &[
    known("x-dead-letter-strategy", "dead letter strategy", |s, v| {
        put(&mut s.dead_letter_strategy, strategy(v))
    }),
    known("x-expires", "queue expiry", |s, v| {
        put(&mut s.expires_ms, positive(v, TTL_MS_MAX))
    }),
    known("x-queue-mode", "queue-mode value", |_, v| queue_mode(v)),
    known("x-queue-version", "queue-version value", |_, v| {
        queue_version(v)
    }),
    known("x-message-ttl", "message TTL", |s, v| {
        put(&mut s.message_ttl_ms, count(v, TTL_MS_MAX))
    }),
    known("x-max-length", "maximum length", |s, v| {
        put(&mut s.max_length, count(v, u64::MAX))
    }),
    known("x-max-length-bytes", "maximum length in bytes", |s, v| {
        put(&mut s.max_length_bytes, count(v, u64::MAX))
    }),
    known("x-overflow", "overflow value", |s, v| {
        put(&mut s.overflow, overflow(v))
    }),
    known("x-delivery-limit", "delivery limit", |s, v| {
        put(&mut s.delivery_limit, delivery_limit(v))
    }),
    known(
        "x-dead-letter-exchange",
        "dead letter exchange name",
        |s, v| put(&mut s.dead_letter_exchange, name(v)),
    ),
    known(
        "x-dead-letter-routing-key",
        "dead letter routing key",
        |s, v| put(&mut s.dead_letter_routing_key, name(v)),
    ),
    ours("x-retry-limit", "retry limit", |s, v| {
        put(&mut s.retry_limit, within(v, 1..=u32::MAX))
    }),
    ours("x-retry-delay", "retry delay", |s, v| {
        put(&mut s.retry_delay_ms, within(v, 0..=DELAY_MS_MAX))
    }),
    ours("x-retry-factor", "retry factor", |s, v| {
        put(
            &mut s.retry_factor_milli,
            thousandths(v, 1..=RETRY_FACTOR_MAX),
        )
    }),
    ours("x-retry-max-delay", "longest retry delay", |s, v| {
        put(&mut s.retry_max_delay_ms, within(v, 0..=DELAY_MS_MAX))
    }),
    ours("x-retry-jitter", "retry jitter", |s, v| {
        put(&mut s.retry_jitter_percent, within(v, 0..=100))
    }),
    ours("x-lease-timeout", "lease timeout", |s, v| {
        put(&mut s.lease_timeout_ms, within(v, 1..=DELAY_MS_MAX))
    }),
    ours(
        "x-message-deduplication",
        "message-deduplication value",
        |s, v| put(&mut s.deduplication, truth(v)),
    ),
    ours("x-cache-size", "cache size", |s, v| {
        put(&mut s.cache_ids_max, within(v, 1..=DEDUPLICATION_IDS_MAX))
    }),
    ours("x-cache-ttl", "cache TTL", |s, v| {
        put(&mut s.cache_ttl_ms, within(v, 1..=DELAY_MS_MAX))
    }),
    ours("x-shards", "number of shards", |s, v| {
        put(&mut s.shards, within(v, SHARDS_MIN..=SHARDS_MAX))
    }),
    ours("x-shard-key-header", "shard key header", |s, v| {
        put(&mut s.shard_key_header, name(v))
    }),
    known("x-max-age", "max age", |s, v| {
        put(&mut s.max_age_ms, age(v))
    }),
    known("x-stream-max-segment-size-bytes", "segment size", |s, v| {
        put(&mut s.segment_bytes, count(v, STREAM_SEGMENT_BYTES_MAX))
    }),
    ours("x-publish-rate", "publish rate", |s, v| {
        put(&mut s.publish_rate.messages, within(v, 1..=RATE_MAX))
    }),
    ours("x-publish-byte-rate", "publish byte rate", |s, v| {
        put(&mut s.publish_rate.bytes, within(v, 1..=RATE_MAX))
    }),
    ours("x-deliver-rate", "deliver rate", |s, v| {
        put(&mut s.deliver_rate.messages, within(v, 1..=RATE_MAX))
    }),
    ours("x-deliver-byte-rate", "deliver byte rate", |s, v| {
        put(&mut s.deliver_rate.bytes, within(v, 1..=RATE_MAX))
    }),
    ours("x-passport", "passport value", |s, v| {
        put(&mut s.passport, truth(v))
    }),
];

fn strategy(value: &Value) -> Checked<DeadLetterStrategy> {
    let strategies = [
        ("at-most-once", DeadLetterStrategy::AtMostOnce),
        ("at-least-once", DeadLetterStrategy::AtLeastOnce),
    ];
    choice(value, &strategies, |_| "invalid_dlx_strategy".to_owned())
}

fn overflow(value: &Value) -> Checked<Overflow> {
    let overflow = [
        ("drop-head", Overflow::DropHead),
        ("reject-publish", Overflow::RejectPublish),
        ("reject-publish-dlx", Overflow::RejectPublishDlx),
    ];
    choice(value, &overflow, |_| "invalid_overflow".to_owned())
}

/// There is one mode here: long queues go to the disk by themselves.
fn queue_mode(value: &Value) -> Checked<()> {
    choice(value, &[("default", ()), ("lazy", ())], |mode| {
        format!("\"unsupported queue mode '{mode}'\"")
    })
}

/// Both versions of a classic queue are one here.
fn queue_version(value: &Value) -> Checked<()> {
    match integer(value)? {
        1 | 2 => Ok(()),
        version if version < 0 => Err(format!("{{value_negative,{version}}}")),
        version => Err(format!("\"unsupported queue version '{version}'\"")),
    }
}

fn delivery_limit(value: &Value) -> Checked<DeliveryLimit> {
    match integer(value)? {
        -1 => Ok(DeliveryLimit::Never),
        limit if limit < 0 => Err(format!("{{value_negative,{limit}}}")),
        limit => Ok(DeliveryLimit::After(
            u32::try_from(limit).unwrap_or(u32::MAX),
        )),
    }
}

fn lower<T: Ord + Copy>(own: Option<T>, policy: Option<T>) -> Option<T> {
    match (own, policy) {
        (Some(own), Some(policy)) => Some(own.min(policy)),
        (own, policy) => own.or(policy),
    }
}

fn lower_rate(own: Rate, policy: Rate) -> Rate {
    Rate {
        messages: lower(own.messages, policy.messages),
        bytes: lower(own.bytes, policy.bytes),
    }
}

impl Settings {
    /// What is wrong with settings that were made together.
    pub fn contradiction(&self) -> Option<String> {
        let (delay_ms, max_ms) = (self.retry_delay_ms?, self.retry_max_delay_ms?);
        (max_ms < delay_ms).then(|| format!("{max_ms} is not in {delay_ms}..{DELAY_MS_MAX}"))
    }

    /// A queue's own settings together with those of the policy that applies to it.
    pub fn over(&self, policy: &Settings) -> Settings {
        let own = self.clone();
        let mut both = Settings {
            message_ttl_ms: lower(own.message_ttl_ms, policy.message_ttl_ms),
            expires_ms: lower(own.expires_ms, policy.expires_ms),
            max_length: lower(own.max_length, policy.max_length),
            max_length_bytes: lower(own.max_length_bytes, policy.max_length_bytes),
            overflow: own.overflow.or(policy.overflow),
            delivery_limit: lower(own.delivery_limit, policy.delivery_limit),
            retry_limit: lower(own.retry_limit, policy.retry_limit),
            retry_delay_ms: own.retry_delay_ms.or(policy.retry_delay_ms),
            retry_factor_milli: own.retry_factor_milli.or(policy.retry_factor_milli),
            retry_max_delay_ms: own.retry_max_delay_ms.or(policy.retry_max_delay_ms),
            retry_jitter_percent: own.retry_jitter_percent.or(policy.retry_jitter_percent),
            lease_timeout_ms: lower(own.lease_timeout_ms, policy.lease_timeout_ms),
            deduplication: own.deduplication.or(policy.deduplication),
            cache_ids_max: own.cache_ids_max.or(policy.cache_ids_max),
            cache_ttl_ms: own.cache_ttl_ms.or(policy.cache_ttl_ms),
            dead_letter_exchange: own
                .dead_letter_exchange
                .or_else(|| policy.dead_letter_exchange.clone()),
            dead_letter_routing_key: own
                .dead_letter_routing_key
                .or_else(|| policy.dead_letter_routing_key.clone()),
            dead_letter_strategy: own.dead_letter_strategy.or(policy.dead_letter_strategy),
            shards: own.shards.or(policy.shards),
            shard_key_header: own
                .shard_key_header
                .or_else(|| policy.shard_key_header.clone()),
            max_age_ms: lower(own.max_age_ms, policy.max_age_ms),
            segment_bytes: own.segment_bytes.or(policy.segment_bytes),
            publish_rate: lower_rate(own.publish_rate, policy.publish_rate),
            deliver_rate: lower_rate(own.deliver_rate, policy.deliver_rate),
            passport: own.passport.or(policy.passport),
        };
        if both.contradiction().is_some() {
            match self.retry_delay_ms {
                Some(_) => both.retry_max_delay_ms = both.retry_delay_ms,
                None => both.retry_delay_ms = both.retry_max_delay_ms,
            }
        }
        both
    }

    /// The options, with the defaults for what was not said. `fixed` has what no policy changes.
    pub fn fill(self, fixed: Options) -> Options {
        let strategy = match (fixed.durable, self.dead_letter_strategy) {
            (false, _) => DeadLetterStrategy::AtMostOnce,
            (true, strategy) => strategy.unwrap_or(DeadLetterStrategy::UntilTaken),
        };
        let delivery_limit = match self.delivery_limit {
            Some(DeliveryLimit::After(limit)) => Some(limit),
            Some(DeliveryLimit::Never) => None,
            None if fixed.kind == QueueKind::Quorum && self.retry_limit.is_none() => {
                Some(QUORUM_DELIVERY_LIMIT)
            }
            None => None,
        };
        let deduplication = Deduplication {
            ids_max: self.cache_ids_max.unwrap_or(DEDUPLICATION_IDS_DEFAULT),
            ttl_ms: Some(self.cache_ttl_ms.unwrap_or(DEDUPLICATION_TTL_MS_DEFAULT)),
        };
        let routing_key = self.dead_letter_routing_key;
        let key_header = self.shard_key_header;
        Options {
            message_ttl_ms: self.message_ttl_ms,
            expires_ms: self.expires_ms,
            max_length: self.max_length,
            max_length_bytes: self.max_length_bytes,
            overflow: self.overflow.unwrap_or_default(),
            delivery_limit,
            retry: Retry {
                limit: self.retry_limit,
                delay_ms: self.retry_delay_ms.unwrap_or(0),
                factor_milli: self
                    .retry_factor_milli
                    .unwrap_or(RETRY_FACTOR_MILLI_DEFAULT),
                max_delay_ms: self.retry_max_delay_ms,
                jitter_percent: self
                    .retry_jitter_percent
                    .unwrap_or(RETRY_JITTER_PERCENT_DEFAULT),
            },
            lease_timeout_ms: self.lease_timeout_ms,
            deduplication: (self.deduplication == Some(true)).then_some(deduplication),
            dead_letter: self.dead_letter_exchange.map(|exchange| DeadLetterTarget {
                exchange,
                routing_key,
            }),
            dead_letter_strategy: strategy,
            shards: self.shards.map(|count| Shards { count, key_header }),
            retention: Retention {
                max_age_ms: self.max_age_ms,
                segment_bytes: self.segment_bytes,
            },
            publish_rate: self.publish_rate,
            deliver_rate: self.deliver_rate,
            passport: self.passport == Some(true),
            ..fixed
        }
    }
}
