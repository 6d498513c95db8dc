//! What is different in the declaration of a stream.
//!
//! Invariants
//! - What RabbitMQ takes for a stream is taken, what it refuses is refused, and so is what only we
//!   know and a stream can not do.

use ferry_core::queue::{Options, SyncPolicy};

use super::values::{choice, positive};
use super::{Reader, Refused, refused, sync};

/// Arguments that make no sense for a stream.
pub(super) const UNFIT: &[&str] = &[
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-overflow",
    "x-max-priority",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-queue-master-locator",
    "x-quorum-initial-group-size",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-retry-limit",
    "x-retry-delay",
    "x-retry-factor",
    "x-retry-max-delay",
    "x-retry-jitter",
    "x-lease-timeout",
    "x-shards",
    "x-shard-key-header",
];

/// Where a leader may be; there is one node here.
const LOCATORS: &[(&str, ())] = &[
    ("client-local", ()),
    ("balanced", ()),
    ("least-leaders", ()),
    ("random", ()),
];

/// Checks where a leader is wanted, which any queue may say.
pub(super) fn check_leader(reader: &Reader<'_>) -> Result<(), Refused> {
    let invalid = |_: &str| "invalid_queue_locator_arg".to_owned();
    reader.read("x-queue-leader-locator", |value| {
        choice(value, LOCATORS, invalid)
    })?;
    Ok(())
}

/// Checks what only a stream has, and says when its messages are safe.
pub(super) fn check(reader: &Reader<'_>, default: SyncPolicy) -> Result<SyncPolicy, Refused> {
    reader.read("x-initial-cluster-size", |value| positive(value, u64::MAX))?;
    match (sync(reader)?, default) {
        (Some(SyncPolicy::Memory), _) => {
            let why = "a stream is never kept in memory only";
            Err(refused("x-sync", why))
        }
        (Some(sync), _) => Ok(sync),
        (None, SyncPolicy::Memory) => Ok(SyncPolicy::Written),
        (None, sync) => Ok(sync),
    }
}

/// Leaves out what a policy may say and a stream has no use for.
pub(super) fn fit(all: Options) -> Options {
    Options {
        durable: all.durable,
        kind: all.kind,
        sync: all.sync,
        max_length_bytes: all.max_length_bytes,
        deduplication: all.deduplication,
        retention: all.retention,
        publish_rate: all.publish_rate,
        deliver_rate: all.deliver_rate,
        passport: all.passport,
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use ferry_core::arguments::{Arguments, Value};
    use ferry_core::queue::{QueueKind, Retention};

    use super::*;
    use crate::arguments::{Flags, Settings, declared};

    const FLAGS: Flags = Flags {
        durable: true,
        exclusive: false,
        auto_delete: false,
        sync_default: SyncPolicy::Sync,
    };

    fn read(kind: &str, argument: &str, value: Value, flags: Flags) -> Result<Options, Refused> {
        let kind = ("x-queue-type".to_owned(), Value::from(kind));
        let arguments = Arguments::from_iter([kind, (argument.to_owned(), value)]);
        declared(&arguments, flags).map(|declared| declared.options(None))
    }

    #[test]
    fn a_stream_takes_what_rabbitmq_takes() {
        for (argument, value, why) in [
            ("x-max-age", "1h".into(), None),
            ("x-max-age", "0s".into(), Some("invalid_max_age")),
            ("x-max-age", "-1s".into(), Some("invalid_max_age")),
            ("x-max-age", "".into(), Some("invalid_max_age")),
            ("x-max-age", "h".into(), Some("invalid_max_age")),
            ("x-max-age", "1x".into(), Some("invalid_max_age")),
            ("x-max-age", "1\u{e9}".into(), Some("invalid_max_age")),
            (
                "x-max-age",
                "99999999999999999999Y".into(),
                Some("invalid_max_age"),
            ),
            ("x-max-age", 5.into(), Some("{unacceptable_type,signedint}")),
            ("x-max-length-bytes", 0.into(), None),
            (
                "x-max-length-bytes",
                (-1).into(),
                Some("{value_negative,-1}"),
            ),
            ("x-stream-max-segment-size-bytes", 0.into(), None),
            (
                "x-stream-max-segment-size-bytes",
                Value::I64(3_000_000_001),
                Some("{value_too_large,3000000001}"),
            ),
            ("x-initial-cluster-size", 3.into(), None),
            ("x-initial-cluster-size", 0.into(), Some("{value_zero,0}")),
            ("x-queue-leader-locator", "least-leaders".into(), None),
            (
                "x-queue-leader-locator",
                "here".into(),
                Some("invalid_queue_locator_arg"),
            ),
            ("x-sync", "written".into(), None),
            (
                "x-sync",
                "memory".into(),
                Some("a stream is never kept in memory only"),
            ),
            ("x-message-deduplication", true.into(), None),
            ("x-unknown", true.into(), None),
        ] {
            let found = read("stream", argument, value, FLAGS).map(|_| ());
            let expected = why.map_or(Ok(()), |why| Err(refused(argument, why)));
            assert_eq!(found, expected, "{argument}");
        }
    }

    #[test]
    fn what_goes_with_another_kind_is_refused_with_the_kind() {
        let of_streams = [
            "x-max-age",
            "x-stream-max-segment-size-bytes",
            "x-initial-cluster-size",
        ];
        let quorum = of_streams.map(|name| ("quorum", QueueKind::Quorum, name));
        let classic = of_streams.map(|name| ("classic", QueueKind::Classic, name));
        let stream = UNFIT
            .iter()
            .map(|name| ("stream", QueueKind::Stream, *name));
        for (name, kind, argument) in quorum.into_iter().chain(classic).chain(stream) {
            let found = read(name, argument, Value::I32(1), FLAGS);
            let argument = argument.to_owned();
            assert_eq!(found, Err(Refused::ArgumentOfKind { argument, kind }));
        }
    }

    #[test]
    fn a_stream_is_durable_and_there_for_everybody() {
        for (durable, exclusive, auto_delete, why) in [
            (false, false, false, "non-durable"),
            (true, true, false, "exclusive-owner"),
            (false, true, false, "exclusive-owner"),
            (true, false, true, "auto-delete"),
        ] {
            let flags = Flags {
                durable,
                exclusive,
                auto_delete,
                ..FLAGS
            };
            let found = read("stream", "x-unknown", true.into(), flags);
            assert_eq!(found, Err(Refused::Property(why)));
        }
        let in_memory = Flags {
            sync_default: SyncPolicy::Memory,
            ..FLAGS
        };
        let found = read("stream", "x-unknown", true.into(), in_memory).unwrap();
        assert_eq!((found.sync, found.durable), (SyncPolicy::Written, true));
    }

    #[test]
    fn a_policy_changes_how_long_a_stream_keeps_and_nothing_else() {
        let kind = Arguments::from_iter([("x-queue-type", "stream"), ("x-max-age", "1h")]);
        let policy = Settings {
            max_age_ms: Some(1000),
            segment_bytes: Some(7),
            max_length_bytes: Some(9),
            max_length: Some(1),
            message_ttl_ms: Some(1),
            expires_ms: Some(1),
            dead_letter_exchange: Some("d".to_owned()),
            shards: Some(4),
            ..Settings::default()
        };
        let found = declared(&kind, FLAGS).unwrap().options(Some(&policy));
        let expected = Options {
            durable: true,
            kind: QueueKind::Stream,
            max_length_bytes: Some(9),
            retention: Retention {
                max_age_ms: Some(1000),
                segment_bytes: Some(7),
            },
            ..Options::default()
        };
        assert_eq!(found, expected);
    }
}
