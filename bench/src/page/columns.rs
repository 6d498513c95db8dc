//! What the tables of a result page show, by kind of record.
//!
//! Invariants
//! - The first figure of a table of loads is the broker's CPU time per message.

use crate::report::Kind;

/// A heading, and the name of the figure below it.
pub type Column = (&'static str, &'static str);

const RUN: &[Column] = &[
    ("CPU us/msg", "broker_cpu_us_per_message"),
    ("CPU x first", "cpu_vs_first"),
    ("msgs/s", "msgs_s"),
    ("rate x first", "rate_vs_first"),
    ("sent/s", "rate_per_s"),
    ("p50 ms", "p50_ms"),
    ("p99 ms", "p99_ms"),
    ("p99.9 ms", "p999_ms"),
    ("p99.99 ms", "p9999_ms"),
    ("not arrived", "outstanding"),
    ("confirm p50 ms", "confirm_p50_ms"),
    ("confirm p99 ms", "confirm_p99_ms"),
    ("confirm p99.9 ms", "confirm_p999_ms"),
    ("peak MiB", "rss_peak_mib"),
    ("broker cores", "broker_cores"),
    ("waits/msg", "switches_voluntary_per_message"),
    ("forced switches/msg", "switches_forced_per_message"),
    ("reads/msg", "reads_per_message"),
    ("writes/msg", "writes_per_message"),
    ("refused", "nacked"),
    ("generator us/msg", "generator_cpu_us_per_message"),
    ("other cores", "other_cores"),
    ("steal %", "steal_pct"),
    ("rounds", "rounds"),
];

const COMPARE: &[Column] = &[
    ("CPU advantage", "cpu_advantage_a"),
    ("min", "cpu_advantage_min"),
    ("max", "cpu_advantage_max"),
    ("rate ratio", "rate_ratio_a_over_b"),
    ("p50 advantage", "p50_advantage_a"),
    ("p99 advantage", "p99_advantage_a"),
    ("rounds", "rounds"),
];

const BACKLOG: &[Column] = &[
    ("messages", "messages"),
    ("fill CPU us/msg", "fill_cpu_us_per_message"),
    ("fill msgs/s", "fill_msgs_s"),
    ("fill peak MiB", "fill_rss_peak_mib"),
    ("held MiB", "held_rss_mib"),
    ("stop ms", "stop_ms"),
    ("ready ms", "ready_ms"),
    ("restarted MiB", "restarted_rss_mib"),
    ("first delivery ms", "first_delivery_ms"),
    ("drain CPU us/msg", "drain_cpu_us_per_message"),
    ("drain msgs/s", "drain_msgs_s"),
    ("drain peak MiB", "drain_rss_peak_mib"),
];

const CONNS: &[Column] = &[
    ("open", "open"),
    ("CPU us/open", "broker_cpu_us_per_open"),
    ("opens/s", "opens_s"),
    ("at a time", "openers"),
    ("generator us/open", "generator_cpu_us_per_open"),
    ("KiB/connection", "kib_per_conn"),
    ("MiB after", "rss_after_mib"),
    ("idle CPU %", "idle_cpu_pct"),
    ("p50 ms", "p50_ms"),
    ("p99 ms", "p99_ms"),
    ("max ms", "max_ms"),
    ("refused", "refused"),
    ("sessions lost", "sessions_lost"),
];

const QUEUES: &[Column] = &[
    ("declared", "declared"),
    ("CPU us/queue", "broker_cpu_us_per_queue"),
    ("declares/s", "declares_s"),
    ("KiB/queue", "kib_per_queue"),
    ("MiB after", "rss_after_mib"),
    ("deletes/s", "deletes_s"),
];

const REPLAY: &[Column] = &[
    ("messages", "messages"),
    ("1 reader: msgs/s", "one_msgs_s"),
    ("times asked of files", "one_file_reads"),
    ("times off the disk", "one_disk_reads"),
    ("100 readers: CPU us/delivery", "broker_cpu_us_per_message"),
    ("deliveries/s", "msgs_s"),
    ("times asked of files", "file_reads"),
    ("times off the disk", "disk_reads"),
];

const STARTUP: &[Column] = &[
    ("ready ms", "ready_ms"),
    ("CPU s at ready", "cpu_s_at_ready"),
    ("CPU s settled", "cpu_s_settled"),
    ("idle CPU %", "idle_cpu_pct"),
    ("idle MiB", "idle_rss_mib"),
];

const RETAINED: &[Column] = &[
    ("topics", "topics"),
    ("set CPU us", "set_cpu_us"),
    ("sets/s", "sets_s"),
    ("B/topic", "bytes_per_topic"),
    ("MiB after", "rss_after_mib"),
    ("stop ms", "stop_ms"),
    ("ready ms", "ready_ms"),
    ("restarted MiB", "restarted_rss_mib"),
    ("remove CPU us", "remove_cpu_us"),
    ("removes/s", "removes_s"),
];

const LOOK_UP_CPU: &[Column] = &[
    ("CPU us of a/b/c", "exact_cpu_us"),
    ("a/b/+", "last_cpu_us"),
    ("+/b/c", "first_cpu_us"),
    ("+/+/c", "two_cpu_us"),
    ("a/#", "below_cpu_us"),
    ("+/+/none", "none_cpu_us"),
];

const LOOK_UP_MS: &[Column] = &[
    ("ms of a/b/c", "exact_ms"),
    ("a/b/+", "last_ms"),
    ("+/b/c", "first_ms"),
    ("+/+/c", "two_ms"),
    ("a/#", "below_ms"),
    ("+/+/none", "none_ms"),
];

const SUBSCRIPTIONS: &[Column] = &[
    ("CPU us/msg", "broker_cpu_us_per_message"),
    ("msgs/s", "msgs_s"),
    ("subscriptions", "subscriptions"),
    ("CPU us/subscription", "subscribe_cpu_us"),
    ("subscriptions/s", "subscribes_s"),
    ("B/subscription", "bytes_per_subscription"),
    ("peak MiB", "rss_peak_mib"),
    ("generator us/msg", "generator_cpu_us_per_message"),
    ("other cores", "other_cores"),
];

const DISK: &[Column] = &[
    ("4 KiB syncs/s", "syncs_s"),
    ("p50 ms", "sync_p50_ms"),
    ("p99 ms", "sync_p99_ms"),
    ("max ms", "sync_max_ms"),
    ("MB/s, 1 MiB a sync", "mb_s"),
    ("p50 ms of those", "large_sync_p50_ms"),
    ("p99 ms of those", "large_sync_p99_ms"),
    ("steal %", "sync_steal_pct"),
];

const IDEAL_LOG: &[Column] = &[
    ("ideal log: sent/s", "ideal_rate_per_s"),
    ("B each", "ideal_bytes_each"),
    ("syncs/s", "ideal_syncs_s"),
    ("p50 ms", "ideal_p50_ms"),
    ("p99 ms", "ideal_p99_ms"),
    ("p99.9 ms", "ideal_p999_ms"),
    ("max ms", "ideal_max_ms"),
    ("steal %", "ideal_steal_pct"),
];

const MICRO: &[Column] = &[
    ("p50 ns", "p50_ns"),
    ("p99 ns", "p99_ns"),
    ("p99.99 ns", "p9999_ns"),
    ("ns each", "each_ns"),
    ("longest us", "longest_us"),
    ("expired", "expired"),
];

const SELFTEST: &[Column] = &[
    ("body B", "size_bytes"),
    ("on the wire B", "wire_bytes"),
    ("fill ns", "fill_ns"),
    ("confirm ns", "confirm_ns"),
    ("consume and ack ns", "consume_and_ack_ns"),
];

const STALL: &[Column] = &[
    ("stall of the sink ms", "stall_ms"),
    ("p50 ms", "p50_ms"),
    ("p99 ms", "p99_ms"),
    ("not arrived", "outstanding"),
];

/// The tables of a kind.
pub fn tables(kind: Kind) -> &'static [&'static [Column]] {
    match kind {
        Kind::Run => &[RUN],
        Kind::Compare => &[COMPARE],
        Kind::Backlog => &[BACKLOG],
        Kind::Conns => &[CONNS],
        Kind::Queues => &[QUEUES],
        Kind::Replay => &[REPLAY],
        Kind::Startup => &[STARTUP],
        Kind::Retained => &[RETAINED, LOOK_UP_CPU, LOOK_UP_MS],
        Kind::Subscriptions => &[SUBSCRIPTIONS],
        Kind::Disk => &[DISK, IDEAL_LOG],
        Kind::Selftest => &[SELFTEST, STALL],
        Kind::Micro => &[MICRO],
        Kind::Round => &[],
    }
}
