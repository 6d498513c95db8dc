//! Acts on many messages that are named, one after the other.
//!
//! Invariants
//! - Each message is acted on by itself, as if it were the only one; what has left meanwhile is
//!   counted as gone.
//! - The first refusal that is no such thing ends the act; what was done stays done.
//! - One line is logged for all of them.

use super::act::audit;
use super::{MessageRef, MoveTo, OperateError};
use crate::{Broker, Promise, QueueHandle};

/// What became of an act on many messages.
#[derive(Debug)]
pub struct Acted {
    /// Messages that were acted on.
    pub done: u64,
    /// Messages that were not there any more, or that somebody had.
    pub gone: u64,
    /// Why the rest was left alone.
    pub refused: Option<OperateError>,
    /// Kept when what was done outlives a loss of power.
    pub durable_at: Promise,
}

impl Broker {
    /// Drops messages that are ready or wait for their time.
    pub fn cancel_messages(
        &self,
        queue: &QueueHandle,
        names: &[MessageRef],
        actor: &str,
    ) -> Result<Acted, OperateError> {
        let acted = self.on_each(names, |name| self.cancel_once(queue, name, actor));
        self.acted(queue, acted, actor, "cancelled")
    }

    /// Moves messages that are ready or wait for their time.
    pub fn move_messages(
        &self,
        queue: &QueueHandle,
        names: &[MessageRef],
        to: &MoveTo,
        actor: &str,
    ) -> Result<Acted, OperateError> {
        let acted = self.on_each(names, |name| {
            self.move_once(queue, name, to, actor).map(|_promise| ())
        });
        self.acted(queue, acted, actor, "moved")
    }

    fn on_each(
        &self,
        names: &[MessageRef],
        mut act: impl FnMut(&MessageRef) -> Result<(), OperateError>,
    ) -> Acted {
        let mut acted = Acted {
            done: 0,
            gone: 0,
            refused: None,
            durable_at: Promise::Now,
        };
        for name in names {
            match act(name) {
                Ok(()) => acted.done += 1,
                Err(OperateError::NotFound | OperateError::Leased) => acted.gone += 1,
                Err(error) => {
                    acted.refused = Some(error);
                    break;
                }
            }
        }
        acted
    }

    fn acted(
        &self,
        queue: &QueueHandle,
        mut acted: Acted,
        actor: &str,
        what: &str,
    ) -> Result<Acted, OperateError> {
        if acted.done > 0 {
            audit(actor, queue, what, acted.done);
            acted.durable_at = self.promise_all()?;
        }
        Ok(acted)
    }
}
