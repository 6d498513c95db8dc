//! Who consumes here, for listings.

use ferry_core::queue::{ConsumerId, Queue};

use super::QueuePlace;
use super::state::State;
use crate::ConnectionId;

impl State {
    /// The tags of a queue's consumers.
    pub fn consumer_tags(&self, place: QueuePlace) -> Vec<String> {
        let ids = self.queue(place).into_iter().flat_map(Queue::consumers);
        ids.filter_map(|id| Some(self.targets.get(&id)?.tag.clone()))
            .collect()
    }

    /// The connections of a queue's consumers.
    pub fn consuming_connections(&self, place: QueuePlace) -> Vec<ConnectionId> {
        let ids = self.queue(place).into_iter().flat_map(Queue::consumers);
        ids.filter_map(|id| Some(self.targets.get(&id)?.outlet.connection()))
            .collect()
    }

    /// Whose a consumer is, and its tag.
    pub fn consumer(&self, id: ConsumerId) -> Option<(ConnectionId, String)> {
        let target = self.targets.get(&id)?;
        Some((target.outlet.connection(), target.tag.clone()))
    }
}
