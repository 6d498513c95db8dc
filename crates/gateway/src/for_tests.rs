//! A broker for tests of parts that need one: its disk is in memory, its clock stands still.

use std::sync::Arc;

use ferry_broker::{Broker, Clock, Options, SyncPolicy};
use ferry_core::Millis;
use ferry_log::testing::FaultyDisk;

/// What its clock says.
pub(crate) const NOW: Millis = 1_000_000;

struct Still;

impl Clock for Still {
    fn now(&self) -> Millis {
        NOW
    }
}

pub(crate) fn broker(memory_high_bytes: u64) -> Arc<Broker> {
    let opened = Broker::open(Options {
        disk: Arc::new(FaultyDisk::new(1)),
        log: ferry_log::Options::default(),
        clock: Arc::new(Still),
        formats: crate::formats(),
        sync: SyncPolicy::Sync,
        memory_high_bytes,
        disk_free_bytes_min: 0,
    });
    opened.expect("an empty disk is good")
}
