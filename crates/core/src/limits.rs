//! Bounds that hold everywhere, each with its unit in its name.
//!
//! What an operator may change is configuration, not here.

/// Longest exchange name, queue name or consumer tag, in bytes (a short string). A routing key may
/// be longer (`routing::ROUTING_KEY_BYTES_MAX`), but not where AMQP 0-9-1 carries it.
pub const NAME_BYTES_MAX: usize = 255;

/// Highest `x-max-priority` that a queue may ask for.
pub const QUEUE_PRIORITY_MAX: u8 = 255;

/// Longest time to live or expiry, in milliseconds: ten years, as in RabbitMQ.
pub const TTL_MS_MAX: u64 = 10 * 365 * 86_400_000;

/// Entries that a queue keeps unpacked at each end; what lies between is packed.
pub const HOT_ENTRIES_MAX: usize = 1024;

/// Entries of one packed page.
pub const PAGE_ENTRIES: usize = 512;

/// How often a quorum queue hands a message out again before it is dead-lettered, if the queue
/// does not say otherwise.
pub const QUORUM_DELIVERY_LIMIT: u32 = 20;

/// Longest delay, lease or retry wait, in milliseconds: about 35 years.
pub const DELAY_MS_MAX: u64 = 1 << 40;

/// Ids that a queue or exchange remembers if it does not say otherwise.
pub const DEDUPLICATION_IDS_DEFAULT: u64 = 100_000;

/// How long an id counts if nothing is said, in milliseconds: ten minutes.
pub const DEDUPLICATION_TTL_MS_DEFAULT: u64 = 600_000;

/// Most ids that may be asked for.
pub const DEDUPLICATION_IDS_MAX: u64 = 1 << 28;

/// Fewest parts that the keys of a queue are divided into.
pub const SHARDS_MIN: u16 = 2;

/// Most parts that the keys of a queue are divided into.
pub const SHARDS_MAX: u16 = 1024;

/// Highest rate that can be asked for, in messages or bytes a second.
pub const RATE_MAX: u64 = 1 << 40;

/// Longest parts that the messages of a stream leave in, in bytes: as in RabbitMQ.
pub const STREAM_SEGMENT_BYTES_MAX: u64 = 3_000_000_000;

/// The numbers that a queue can be asked to remember are below this one.
pub const NOTE_KEYS: u32 = 1 << 17;
