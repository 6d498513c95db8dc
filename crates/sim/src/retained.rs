//! Retained messages of a world, in a virtual host of their own, and what must be there.
//!
//! Every burst leaves one state of all topics, and states follow each other as records do: a crash
//! leaves one of them, and none before the last that was confirmed.
//!
//! Invariants
//! - The last state is what is found after each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferry_broker::{Burst, Promise, RETAINED_QUEUE, Vhost, VhostSpec};
use ferry_core::message::{Draft, Message};

use crate::body::{BODY_BYTES_MIN, body, message_of};
use crate::format::{plain, properties};
use crate::world::World;
use crate::{Checked, violated};

/// The virtual host that they are in.
const VHOST: &str = "retained";

/// Topics of each level.
const NAMES: u64 = 4;

/// Topics of a page.
const PAGE_TOPICS: usize = 5;

/// The message of each topic.
type Topics = BTreeMap<Vec<u8>, u64>;

/// What may be there after a crash.
#[derive(Debug)]
pub struct RetainedModel {
    states: Vec<Topics>,
    /// The last state that was confirmed.
    kept: usize,
    /// Confirms of states that are waited for.
    waiting: Vec<(usize, Promise)>,
}

impl Default for RetainedModel {
    fn default() -> RetainedModel {
        RetainedModel {
            states: vec![Topics::new()],
            kept: 0,
            waiting: Vec::new(),
        }
    }
}

impl RetainedModel {
    fn last(&self) -> &Topics {
        self.states.last().expect("there is always a state")
    }
}

impl World {
    /// A burst of messages to be retained or removed.
    pub(crate) fn retain(&mut self) -> Checked {
        let Some(vhost) = self.retained_vhost()? else {
            return Ok(());
        };
        let mut topics = self.retained.last().clone();
        let mut burst = Burst::new();
        for _ in 0..=self.random.below(self.workload.burst_max) {
            let levels = [self.random.below(NAMES), self.random.below(NAMES)];
            let topic = format!("{}.{}", levels[0], levels[1]);
            let id = self.next_message;
            self.next_message += 1;
            let size = match self.random.chance(30) {
                true => 0,
                false => BODY_BYTES_MIN + self.random.below(self.workload.body_bytes_max) as u32,
            };
            let (properties, mut body) = (properties(id), body(id, size));
            body.truncate(size as usize);
            let draft = Draft {
                persistent: self.random.chance(50),
                exchange: b"amq.topic",
                ..plain(&topic, &properties, &body)
            };
            if let Err(error) = burst.retain(&self.broker, &vhost, &draft, Some(World::tag(id))) {
                self.excuse("a message is not retained", error)?;
                continue;
            }
            self.trace
                .line(format!("  {topic} retains {id}, {size} bytes"));
            match size {
                0 => topics.remove(topic.as_bytes()),
                _ => topics.insert(topic.into_bytes(), id),
            };
        }
        if let Some(ticket) = burst.submit(&self.broker) {
            let state = self.retained.states.len();
            self.retained.states.push(topics);
            match ticket.resolved() {
                Some(promise) => self.retained.waiting.push((state, promise)),
                None => self.excuse("a retained message is not confirmed", "its ticket is open")?,
            }
        }
        Ok(())
    }

    fn retained_vhost(&mut self) -> Checked<Option<Arc<Vhost>>> {
        if let Some(vhost) = self.broker.vhost(VHOST) {
            return Ok(Some(vhost));
        }
        let spec = VhostSpec {
            name: VHOST.to_owned(),
            ..VhostSpec::default()
        };
        if let Err(error) = self.broker.set_vhost(spec) {
            self.excuse("a virtual host is not made", error)?;
        }
        Ok(self.broker.vhost(VHOST))
    }

    /// Looks at the confirms that are waited for.
    pub(crate) fn poll_retained(&mut self) {
        let (broker, model) = (&self.broker, &mut self.retained);
        model.waiting.retain(|(state, promise)| {
            let kept = broker.kept(*promise);
            if kept {
                model.kept = model.kept.max(*state);
            }
            !kept
        });
    }

    /// What is retained is what was published last.
    pub(crate) fn check_retained(&self) -> Checked {
        let (found, last) = (self.find_retained()?, self.retained.last());
        if found != *last {
            return violated!("retained are {found:?}, and must be {last:?}");
        }
        Ok(())
    }

    /// What is retained after a start is what was confirmed last, or came after that.
    pub(crate) fn recover_retained(&mut self) -> Checked {
        let found = self.find_retained()?;
        let RetainedModel { states, kept, .. } = &self.retained;
        if !states[*kept..].contains(&found) {
            return violated!("retained are {found:?}, and may be {:?}", &states[*kept..]);
        }
        self.trace
            .line(format!("  {} topics are back", found.len()));
        self.retained = RetainedModel {
            states: vec![found],
            ..RetainedModel::default()
        };
        Ok(())
    }

    /// With its virtual host all goes that is retained.
    pub(crate) fn forget_retained(&mut self) -> Checked {
        if self.broker.vhost(VHOST).is_some()
            && let Err(error) = self.broker.delete_vhost(VHOST)
        {
            return violated!("a virtual host is not deleted: {error}");
        }
        self.retained = RetainedModel::default();
        Ok(())
    }

    fn find_retained(&self) -> Checked<Topics> {
        let mut found = Topics::new();
        let Some(vhost) = self.broker.vhost(VHOST) else {
            return Ok(found);
        };
        let store = vhost.retained();
        let mut after = None;
        loop {
            let page = store.matching(b"*.#", PAGE_TOPICS, after.as_ref());
            for key in page.topics {
                let stored = store.read(&key);
                let message = stored.as_deref().map(Message::parse);
                let Some(Ok(message)) = message else {
                    return violated!("what {} retains can not be read", key.escape_ascii());
                };
                let Some(id) = message_of(message.body()) else {
                    return violated!("what {} retains is damaged", key.escape_ascii());
                };
                if found.insert(key, id).is_some() {
                    return violated!("a topic is found twice");
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for queue in vhost.queues() {
            let counts = (queue.name(), queue.ready(), queue.unsettled());
            if counts != (RETAINED_QUEUE, 0, found.len() as u64) {
                return violated!("{} topics are retained, and {counts:?}", found.len());
            }
        }
        Ok(found)
    }
}
