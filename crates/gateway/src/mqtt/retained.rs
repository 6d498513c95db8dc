//! Retained messages for who subscribes: they go by the session's queue.
//!
//! Invariants
//! - So many wait in the queue at a time, and no more are put there before it has room: a filter
//!   that takes a million topics takes no more memory than one that takes a thousand.
//! - Who leaves before all have come gets the rest by subscribing again.

use std::sync::Arc;

use ferry_broker::{QueueHandle, RetainedCursor};
use ferry_core::message::{FORMAT_MQTT, Message};
use mqtt::topic;

use super::block::Block;
use super::common::Common;
use super::turn::Turn;

/// Topics that are looked up, and messages that are staged, at a time.
const PIECE: usize = 1000;

/// Messages that wait in the queue while more are put there.
const READY_MAX: u64 = 1000;

/// The retained messages that a filter takes, as far as they are not in the session's queue yet.
pub(crate) struct Replay {
    filter: Box<[u8]>,
    key: Vec<u8>,
    /// Whether the key takes more than the filter.
    literal_star: bool,
    after: Option<RetainedCursor>,
}

impl Replay {
    /// All of them.
    pub(crate) fn new(filter: &[u8]) -> Replay {
        let mut key = Vec::new();
        topic::filter_to_key(filter, &mut key);
        Replay {
            filter: filter.into(),
            key,
            literal_star: filter
                .split(|byte| *byte == b'/')
                .any(|level| level == b"*"),
            after: None,
        }
    }

    /// Whether it is for this filter.
    pub(crate) fn is_of(&self, filter: &[u8]) -> bool {
        *self.filter == *filter
    }

    /// Puts more of them into the queue, as long as it has room; whether that was all.
    pub(crate) fn go_on(
        &mut self,
        common: &Common,
        queue: &Arc<QueueHandle>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let retained = common.vhost.retained();
        while queue.ready() < READY_MAX {
            let page = retained.matching(&self.key, PIECE, self.after.as_ref());
            for topic_key in &page.topics {
                if self.literal_star && !is_taken(&self.filter, topic_key) {
                    continue;
                }
                if let Some(bytes) = retained.read(topic_key) {
                    stage(queue, &bytes, turn);
                }
            }
            turn.submit(&common.link);
            self.after = page.next;
            if self.after.is_none() {
                return true;
            }
        }
        false
    }
}

/// Whether a filter takes a topic, where its key takes too much.
fn is_taken(filter: &[u8], topic_key: &[u8]) -> bool {
    let mut name = Vec::new();
    topic::from_key(topic_key, &mut name) && topic::matches(filter, &name)
}

fn stage(queue: &Arc<QueueHandle>, bytes: &[u8], turn: &mut Turn<'_>) {
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    let mut draft = message.draft();
    let mut properties = Vec::new();
    if draft.format == FORMAT_MQTT
        && let Some(block) = Block::parse(draft.properties)
    {
        let replayed = Block {
            is_replay: true,
            ..block
        };
        draft.persistent = block.qos > 0;
        replayed.write(&mut properties);
        draft.properties = &properties;
    }
    turn.staging().enqueue(queue, &draft);
}
