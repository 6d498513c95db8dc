//! A crash between the record of a transaction and what its application wrote.
//!
//! What is written behind a transaction may not be needed to bring it back: a copy of the disk
//! that ends with its record must have all of it. The broker itself goes on.
//!
//! Invariants
//! - Only a copy is cut, at the end of a record.

use ferry_broker::Promise;
use ferry_log::testing::FaultyDisk;
use ferry_log::{Disk, Position};

use crate::Checked;
use crate::model::recover::Ending;
use crate::world::World;

/// How many transactions are looked at like this, in percent.
const TORN_PERCENT: u64 = 30;

/// Ends the log of `disk` at a place in its last segment; false if there is no such segment.
pub(crate) fn cut(disk: &FaultyDisk, end: Position) -> bool {
    let number = end.segment().to_string();
    let of_segment = |name: &&String| {
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        name.starts_with("seg-") && digits.trim_start_matches('0') == number
    };
    let names = disk.list().unwrap_or_default();
    let name = names.iter().find(of_segment);
    if let Some(name) = name {
        disk.damage(name, |bytes| bytes.truncate(end.offset() as usize));
    }
    name.is_some()
}

impl World {
    /// Looks at what a crash right behind the record of a transaction would leave.
    pub(crate) fn tear_behind(&mut self, promise: Promise) -> Checked {
        let Promise::Synced(end) = promise else {
            return Ok(());
        };
        if self.fault_armed || self.disk_limited || !self.random.chance(TORN_PERCENT) {
            return Ok(());
        }
        self.commit_log()?;
        if self.broker.log().end().segment() != end.segment() {
            return Ok(());
        }
        let copy = self.disk.fork(self.random.any());
        if !cut(&copy, end) {
            return Ok(());
        }
        self.trace.line(format!("  torn at {end:?}"));
        let ending = Ending {
            clean: false,
            stop_failed: false,
            power_lost: true,
            safe: self.model.step - 1,
        };
        let found = self.look_into(&copy)?;
        self.model.clone().recover(ending, found)
    }
}
