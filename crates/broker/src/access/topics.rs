//! Rights of protocols with topics and sessions: every topic goes through `amq.topic`, a session is
//! a queue.
//!
//! ```text
//!                        configure    write        read
//!  session begins        queue
//!  session publishes                  amq.topic, topic
//!  session subscribes                 queue        amq.topic, queue, topics of the filter
//! ```
//!
//! Invariants
//! - A filter is allowed only if every key that its binding lets through is allowed; what can not
//!   be found out in bounds is refused.
//!
//! Not here: how topics become routing keys, and what a session's queue is called (the door).

use std::borrow::Cow;

use super::{AccessRefused, Resource, Right, User};

/// The exchange that topics are published to.
const TOPICS: &str = "amq.topic";

impl User {
    /// Whether the user may publish to the topic that has this routing key.
    pub fn may_publish_topic(&self, vhost: &str, routing_key: &[u8]) -> bool {
        self.may(vhost, Right::Write, Resource::Exchange, TOPICS)
            && self.may_topic(vhost, Right::Write, TOPICS, routing_key)
    }

    /// The binding key by which the user may subscribe to a filter that has this one; none if the
    /// filter would let something through that the user may not read.
    ///
    /// `a.#` lets `a` through, too. Who may read all below and not `a` itself gets `a.*.#`, which
    /// lets all below through and nothing else.
    pub fn may_subscribe_filter<'k>(
        &self,
        vhost: &str,
        binding_key: &'k [u8],
    ) -> Option<Cow<'k, [u8]>> {
        if !self.may(vhost, Right::Read, Resource::Exchange, TOPICS) {
            return None;
        }
        let allowed = |key: &[u8]| match has_wildcard(key) {
            true => self.may_filter(vhost, TOPICS, key),
            false => self.may_topic(vhost, Right::Read, TOPICS, key),
        };
        if allowed(binding_key) {
            return Some(Cow::Borrowed(binding_key));
        }
        let above = binding_key.strip_suffix(b".#")?;
        let below = [above, b".*.#"].concat();
        allowed(&below).then_some(Cow::Owned(below))
    }

    /// Refuses a session whose queue the user may not make.
    pub fn check_session_begin(&self, vhost: &str, queue: &str) -> Result<(), AccessRefused> {
        self.check(vhost, Right::Configure, Resource::Queue, queue)
    }

    /// Refuses subscriptions of a session whose queue the user may not bind or not consume from.
    pub fn check_session_subscribe(&self, vhost: &str, queue: &str) -> Result<(), AccessRefused> {
        let check = |right| self.check(vhost, right, Resource::Queue, queue);
        check(Right::Write).and_then(|()| check(Right::Read))
    }
}

fn has_wildcard(binding_key: &[u8]) -> bool {
    let mut words = binding_key.split(|byte| *byte == b'.');
    words.any(|word| word == b"*" || word == b"#")
}
