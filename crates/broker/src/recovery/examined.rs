//! What a look at the damage of a directory asks of what was read of it.
//!
//! Not here: what the damage means (`crate::damage`).

use ferry_core::facts::Mark;
use ferry_core::queue::Queue;
use ferry_core::routing::QueueId;

use super::Recovered;
use crate::definitions::QueueDefinition;

impl Recovered {
    /// The partition of a queue or of an exchange that remembers ids, if it is known so far.
    pub fn partition_of(&self, id: QueueId) -> Option<u16> {
        let queue = self.queues.get(&id);
        let partition = queue.map(|found| found.definition.partition);
        let is_guard = self.windows.contains_key(&id);
        partition.or(is_guard.then_some(crate::definitions::STREAM_BROKER))
    }

    /// All queues as a start would have them, in the order of their making; `keep` is told of every
    /// message.
    pub fn into_queues(self, mut keep: impl FnMut(Mark)) -> Vec<(QueueDefinition, Queue)> {
        let clean = self.clean;
        let finish = |found: Box<super::Found>| {
            let found = *found;
            let queue = found.recovering.finish(clean, &mut keep);
            (found.definition, queue)
        };
        let mut all: Vec<_> = self.queues.into_values().map(finish).collect();
        all.sort_unstable_by_key(|(definition, _)| definition.id);
        all
    }
}
