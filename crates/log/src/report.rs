//! What was found in a directory, as it is told.

use crate::position::Position;

/// A part of a segment that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Number of the segment.
    pub segment: u32,
    /// First byte in its file.
    pub offset: u32,
    /// How many bytes.
    pub bytes: u64,
}

/// What was found, and with `repair` also done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments read.
    pub segments: usize,
    /// Valid records.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damaged or missing parts of synced data. With `repair` these are holes now.
    pub regions: Vec<Region>,
    /// Holes of earlier repairs.
    pub holes: Vec<Region>,
    /// Written but never synced: the next start cuts it off.
    pub torn_tail: Option<Region>,
    /// Checkpoints that can not be used, with the reason.
    pub rejected_checkpoints: Vec<String>,
    /// What lies before this is covered by the checkpoint: a start reads nothing of it, and all
    /// that it refers to are single records.
    pub start: Position,
    /// No checkpoint is usable and the log does not reach back to its beginning. With `repair`
    /// the next start knows only what the log still holds.
    pub checkpoint_lost: bool,
}

impl Report {
    /// True when nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.regions.is_empty() && self.rejected_checkpoints.is_empty() && !self.checkpoint_lost
    }
}
