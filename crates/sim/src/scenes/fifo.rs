//! A durable queue, as the example of a scene: what goes in comes out, in order, also after a
//! crash.
//!
//! Invariants
//! - The queue of the scene is the queue of the broker.

use std::collections::VecDeque;

use ferry_broker::Promise;

use super::{Node, Post, Scene, Stage};
use crate::{Checked, violated};

/// The numbers of the messages, the oldest first.
pub(super) struct Fifo(VecDeque<u64>);

impl Scene for Fifo {
    type Kept = VecDeque<u64>;

    fn open(stage: &mut Stage) -> Checked<Fifo> {
        stage.declare("fifo", &[])?;
        Ok(Fifo(VecDeque::new()))
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        if stage.random.chance(60) {
            let posted = stage.publish(Post::to("fifo"))?;
            self.0.push_back(posted.id);
            return Ok(posted.promise);
        }
        match (stage.take("fifo")?, self.0.pop_front()) {
            (got, must) if got == must => Ok(Promise::Now),
            (got, must) => violated!("got {got:?}, and {must:?} is the oldest"),
        }
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        match (stage.queue("fifo")?.ready(), self.0.len() as u64) {
            (ready, must) if ready == must => Ok(()),
            (ready, must) => violated!("{ready} messages are ready, not {must}"),
        }
    }

    fn kept(&self) -> VecDeque<u64> {
        self.0.clone()
    }

    fn find(node: &Node<'_>) -> Checked<VecDeque<u64>> {
        Ok(node.drain("fifo")?.into())
    }

    fn resume(&mut self, _: &mut Stage, kept: VecDeque<u64>) -> Checked {
        self.0 = kept;
        Ok(())
    }
}
