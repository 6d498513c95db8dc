//! What the node does inside: its partitions, its log, and what is wrong with it.
//!
//! Invariants
//! - An alarm says what to do about it.
//! - An alarm stands since it was noticed, at the start of the node or later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::State;
use ferry_broker::{BlockReason, Broker, PressureWaiter};
use ferry_core::Millis;
use serde::Serialize;
use utoipa::ToSchema;

use super::paths::Paths;
use super::problem::Problem;
use super::{Context, Shared, blocking};
use crate::process;

/// Part of the file descriptors, in percent, beyond which there is an alarm.
const FILES_PERCENT_MAX: u64 = 90;

pub(super) fn routes(paths: Paths) -> Paths {
    paths
        .get("/partitions", partitions)
        .get("/log", log)
        .get("/alarms", alarms)
}

/// What one partition owns.
#[derive(Serialize, ToSchema)]
pub(super) struct PartitionShown {
    partition: u16,
    queues: u64,
    consumers: u64,
    messages_ready: u64,
    messages_unacknowledged: u64,
    messages_delayed: u64,
}

/// The partitions of the node: each is worked on by one thread at a time.
#[utoipa::path(get, path = "/api/ferry/partitions", tag = "node",
    responses((status = 200, body = Vec<PartitionShown>)))]
pub(super) async fn partitions(
    State(shared): Context,
) -> Result<Json<Vec<PartitionShown>>, Problem> {
    blocking(shared, |shared| {
        let uses = shared.broker.partition_uses().into_iter();
        let items = uses.map(|one| PartitionShown {
            partition: one.number,
            queues: one.queues,
            consumers: one.consumers,
            messages_ready: one.ready,
            messages_unacknowledged: one.unsettled,
            messages_delayed: one.delayed,
        });
        Ok(Json(items.collect()))
    })
    .await
}

/// What there is in one segment of the log.
#[derive(Serialize, ToSchema)]
pub(super) struct SegmentShown {
    segment: u32,
    /// Bytes of its file that hold records.
    file_bytes: u64,
    /// Bytes that are still needed.
    live_bytes: u64,
    /// How often something refers to it.
    live_refs: u64,
}

/// How far the log is, and how far confirms wait for it.
#[derive(Serialize, ToSchema)]
pub(super) struct LogShown {
    /// The oldest first.
    segments: Vec<SegmentShown>,
    /// Everything below is synced.
    durable: u64,
    /// Everything below is written to its file.
    written: u64,
    /// Everything so far.
    end: u64,
    /// Bytes that wait to be written.
    backlog_bytes: u64,
    /// Bytes of all segments.
    total_bytes: u64,
    /// Bytes of these that are still needed.
    live_bytes: u64,
    /// Free space where the data is; null if the system does not say.
    disk_free_bytes: Option<u64>,
    /// Free space below which publishers are held.
    disk_free_bytes_min: u64,
    /// When a durable message is safe, in queues that are declared from now on and do not say:
    /// `sync`, `written` or `memory`.
    sync: &'static str,
    /// Why nothing can be stored any more.
    failed: Option<String>,
}

/// The log of the node.
#[utoipa::path(get, path = "/api/ferry/log", tag = "node",
    responses((status = 200, body = LogShown)))]
pub(super) async fn log(State(shared): Context) -> Result<Json<LogShown>, Problem> {
    blocking(shared, |shared| {
        let state = shared.broker.log_state();
        let sum = |part: fn(&SegmentShown) -> u64, all: &[SegmentShown]| all.iter().map(part).sum();
        let segments = state.segments.iter().map(|one| SegmentShown {
            segment: one.segment,
            file_bytes: one.file_bytes,
            live_bytes: one.live_bytes,
            live_refs: one.live_refs,
        });
        let segments: Vec<_> = segments.collect();
        Ok(Json(LogShown {
            durable: state.durable.0,
            written: state.written.0,
            end: state.end.0,
            backlog_bytes: state.backlog_bytes,
            total_bytes: sum(|one| one.file_bytes, &segments),
            live_bytes: sum(|one| one.live_bytes, &segments),
            disk_free_bytes: shared.disk_free_bytes(),
            disk_free_bytes_min: state.disk_free_bytes_min,
            sync: shared.broker.sync_default().name(),
            failed: shared.broker.failed(),
            segments,
        }))
    })
    .await
}

/// When alarms were noticed; 0 for those that are not there.
#[derive(Debug, Default)]
pub(crate) struct AlarmTimes {
    held: AtomicU64,
    failed: AtomicU64,
    stuck: AtomicU64,
    files: AtomicU64,
}

/// Notes when publishers began to be held.
pub(crate) struct AlarmWatch {
    times: Arc<AlarmTimes>,
    broker: std::sync::Weak<Broker>,
}

impl AlarmWatch {
    /// Watches from now on, for as long as it is kept.
    pub fn start(broker: &Arc<Broker>) -> (Arc<AlarmTimes>, Arc<AlarmWatch>) {
        let times = Arc::new(AlarmTimes::default());
        let watch = Arc::new(AlarmWatch {
            times: Arc::clone(&times),
            broker: Arc::downgrade(broker),
        });
        let waiter: Arc<dyn PressureWaiter> = Arc::clone(&watch) as _;
        broker.memory().subscribe(Arc::downgrade(&waiter));
        (times, watch)
    }
}

impl PressureWaiter for AlarmWatch {
    fn pressure(&self, blocked: Option<BlockReason>) {
        let now = self.broker.upgrade().map_or(0, |broker| broker.now());
        since(&self.times.held, blocked.is_some(), now);
    }
}

/// Notes whether something is so now, and says since when it is.
fn since(noted: &AtomicU64, is_so: bool, now: Millis) -> Option<Millis> {
    if !is_so {
        noted.store(0, Ordering::Relaxed);
        return None;
    }
    let first = noted.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    Some(first.map_or_else(|before| before, |_| now))
}

/// Something that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alarm {
    /// `memory`, `disk`, `log_failed`, `dead_letters_stuck` or `file_descriptors`.
    name: &'static str,
    /// When it was noticed.
    since: Millis,
    /// What is wrong.
    text: String,
    /// What to do about it.
    advice: &'static str,
}

fn hold_alarm(shared: &Shared, since: Millis) -> Option<Alarm> {
    let memory = shared.broker.memory();
    Some(match memory.blocked()? {
        BlockReason::Memory => Alarm {
            name: "memory",
            since,
            text: format!(
                "messages take {} bytes of memory, {} are allowed: publishers are held",
                memory.used_bytes(),
                memory.high_bytes()
            ),
            advice: "Add or repair consumers, purge what is not needed, or raise memory_high.",
        },
        BlockReason::Disk => Alarm {
            name: "disk",
            since,
            text: format!(
                "the disk has {} bytes free, {} are needed: publishers are held",
                shared.disk_free_bytes().unwrap_or_default(),
                shared.broker.log_state().disk_free_bytes_min
            ),
            advice: "Free space where the data is: move other files, or consume what waits.",
        },
    })
}

/// All that is wrong now.
fn all(shared: &Shared) -> Vec<Alarm> {
    let (broker, times, now) = (&shared.broker, &shared.alarm_times, shared.broker.now());
    let mut alarms = Vec::new();
    let failure = broker.failed();
    if let Some(since) = since(&times.failed, failure.is_some(), now) {
        alarms.push(Alarm {
            name: "log_failed",
            since,
            text: format!("the log has failed: {}", failure.unwrap_or_default()),
            advice: "Repair the disk and start the node again; `ferrymq verify` looks for damage.",
        });
    }
    if let Some(since) = since(&times.held, broker.memory().blocked().is_some(), now) {
        alarms.extend(hold_alarm(shared, since));
    }
    let stuck = shared.totals().dead_letters_pending;
    if let Some(since) = since(&times.stuck, stuck > 0, now) {
        alarms.push(Alarm {
            name: "dead_letters_stuck",
            since,
            text: format!("{stuck} dead letters can not arrive where they go"),
            advice: "Make room in their target queues, or bind a queue that takes them: they are \
                     listed with state=stuck.",
        });
    }
    let files = process::open_files().zip(process::open_files_max());
    let (open, max) = files.unwrap_or((0, u64::MAX));
    let many = open > max / 100 * FILES_PERCENT_MAX;
    if let Some(since) = since(&times.files, many, now) {
        alarms.push(Alarm {
            name: "file_descriptors",
            since,
            text: format!("{open} of {max} file descriptors are open"),
            advice: "Raise the limit of open files (LimitNOFILE), or close idle connections.",
        });
    }
    alarms
}

/// What is wrong with the node, and what to do about it.
#[utoipa::path(get, path = "/api/ferry/alarms", tag = "node",
    responses((status = 200, body = Vec<Alarm>)))]
pub(super) async fn alarms(State(shared): Context) -> Result<Json<Vec<Alarm>>, Problem> {
    blocking(shared, |shared| Ok(Json(all(shared)))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_stands_since_it_was_noticed() {
        let noted = AtomicU64::new(0);
        let seen = [(false, 1), (true, 2), (true, 3), (false, 4), (true, 5)];
        let found = seen.map(|(is_so, now)| since(&noted, is_so, now));
        assert_eq!(found, [None, Some(2), Some(2), None, Some(5)]);
    }
}
