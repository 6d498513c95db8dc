//! Bounds that hold everywhere, each with its unit in its name.
//!
//! What an operator may change is configuration, not here.

/// Longest exchange name, queue name, routing key or consumer tag, in bytes (a short string).
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
