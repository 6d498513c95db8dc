//! The scenarios: names, what drives them, and what a result page calls them.

use crate::Res;

/// What drives a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Producers and consumers for a while.
    Load,
    /// An open loop at one rate after the other.
    Sweep,
    /// Fill, restart, drain.
    Backlog,
    /// Many connections that do nothing.
    Conns,
    /// Many queues.
    Queues,
    /// Fill a stream, read it from its first message.
    Replay,
    /// From start to the first answer.
    Startup,
    /// Many clients that connect, with a session each.
    Sessions,
    /// All of them cut off, and back at once.
    Storm,
    /// Many retained messages, and look-ups among them.
    Retained,
    /// Many filters with wildcards.
    Subscriptions,
}

/// A scenario's name, what drives it, and what it is, for a reader.
pub struct Scenario {
    /// As written on the command line.
    pub name: &'static str,
    /// What drives it.
    pub kind: Kind,
    /// One line for the result page.
    pub title: &'static str,
}

/// All scenarios in the order of a result page.
pub const SCENARIOS: &[Scenario] = &[
    load(
        "T1",
        "1 producer, 1 consumer, 16 B, transient, no acks, at most 20,000 under way",
    ),
    load("T2", "as T1 with 1 KiB"),
    load(
        "T3",
        "durable, persistent, confirms (window 1000), an ack each, prefetch 1000, 1 KiB",
    ),
    load("T3s", "as T3 with 16 B"),
    load("MQ2", "as T3 with MQTT's quality of service 2"),
    load("T4", "10 producers, 10 consumers, 10 queues, as T1"),
    load(
        "T4p",
        "10 producers, 10 consumers, 10 queues, as T3 with a confirm window of 200 each",
    ),
    load(
        "T5",
        "1 producer, fan-out to 100 queues, 16 B; a message is one delivered copy",
    ),
    load(
        "T5w",
        "fan-out of 1 KiB to 10,000 subscribers, at most 5 messages under way",
    ),
    other(
        "T6",
        Kind::Backlog,
        "backlog: fill with persistent 128 B, restart, drain",
    ),
    load(
        "T7",
        "open loop, 5,000/s, 64 B, transient; latency from the intended send time",
    ),
    load(
        "T7p",
        "open loop, 5,000/s, 64 B, persistent with confirms and acks",
    ),
    other(
        "T7r",
        Kind::Sweep,
        "latency against rate: as T7 at one rate after the other",
    ),
    other("T8", Kind::Conns, "idle connections"),
    other("T9", Kind::Queues, "declaring durable queues"),
    load(
        "T11",
        "topic exchange, 10,000 bindings on 10 queues, 16 B; a message matches one",
    ),
    load(
        "K1",
        "1 producer, 16 consumers of one queue, 10,000 keys in a header, 16 B, acks, prefetch 100",
    ),
    load(
        "F1",
        "10,000 bindings with an equality filter on 10 queues, 16 B; a message matches one",
    ),
    load("F2", "as F1 with 100 range filters, which have to be tried"),
    load(
        "S1",
        "a stream, 1 producer, 1 reader, persistent 16 B, no confirms, an ack for 100",
    ),
    load(
        "SQ",
        "as S1 with a durable queue in place of the stream, no acks",
    ),
    load("S100", "as S1 with 100 readers of one stream"),
    other(
        "SR",
        Kind::Replay,
        "a stream of 20,000 of 1 KiB, read from its first message by 1 reader, then by 100",
    ),
    other(
        "T12",
        Kind::Startup,
        "start to the first handshake, then idle",
    ),
    other("MI", Kind::Conns, "10,000 idle connections"),
    other(
        "MC",
        Kind::Sessions,
        "10,000 clients connect, 100 at a time, clean session, one subscription each",
    ),
    other("MCp", Kind::Sessions, "as MC with sessions that are kept"),
    other(
        "MS",
        Kind::Storm,
        "the 10,000 clients of MCp are cut off and come back, all at once",
    ),
    other(
        "MR",
        Kind::Retained,
        "1 million retained topics of 16 B set at quality 1, look-ups, a restart",
    ),
    other(
        "MW",
        Kind::Subscriptions,
        "100,000 filters with wildcards of 10 clients, 16 B; a message matches one",
    ),
];

const fn load(name: &'static str, title: &'static str) -> Scenario {
    other(name, Kind::Load, title)
}

const fn other(name: &'static str, kind: Kind, title: &'static str) -> Scenario {
    Scenario { name, kind, title }
}

/// Is it the slowest messages that count? In two seconds at 5,000/s a single stop of 20 ms is the
/// 99th percentile: such a scenario takes longer, and has more rounds.
pub fn is_of_latency(name: &str) -> bool {
    matches!(name, "T7" | "T7p")
}

/// The scenario of this name.
pub fn find(name: &str) -> Res<&'static Scenario> {
    let known = || format!("there is no scenario `{name}`");
    SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .ok_or_else(known)
}
