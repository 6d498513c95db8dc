//! Looking into queues, and acting on their messages: paths below `/queues/{vhost}/{queue}`.
//!
//! Invariants
//! - Looking takes a tag for management and the right to read the queue, acting as much; where a
//!   message goes somewhere, it takes the right to write there, too.
//! - A partition is never held for longer than one page of the broker's.

pub(super) mod act;
pub(super) mod browse;
pub(super) mod bulk;
pub(super) mod edit;
pub(super) mod leases;
pub(super) mod query;
mod show;

use super::paths::Paths;

/// Adds the paths.
pub(super) fn routes(paths: Paths) -> Paths {
    let paths = browse::routes(paths);
    let paths = act::routes(paths);
    let paths = bulk::routes(paths);
    leases::routes(paths)
}
