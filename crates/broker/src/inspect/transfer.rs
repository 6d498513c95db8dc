//! Moving one message to other queues, in one record of the log.
//!
//! The message is borrowed, a copy of it staged, and one record says that the copy entered there
//! and the message is gone here. Then both are applied.
//!
//! Invariants
//! - Whoever borrows a message has it alone: it is moved once, whoever else asks.
//! - Room is asked for before the record is written; after it nothing is refused any more.
//! - A message that is not moved is put back where it was, as if nothing had happened.
//! - No checkpoint is taken between the record and its last part being applied.

use ferry_core::facts::Facts;
use ferry_core::message::{Draft, Message};
use ferry_core::queue::{Enqueued, LeaseId, Outcome, Prepared};
use ferry_log::Need;

use super::act::audit;
use super::reference::MessageRef;
use super::way::{Way, check_key};
use super::{MoveTo, OperateError};
use crate::partition::{Command, State, StateContext};
use crate::passport::Act;
use crate::{Broker, Burst, Promise, QueueHandle};

/// A message that is held to be moved.
pub(crate) struct Borrowed {
    pub lease: LeaseId,
    /// Its stored form.
    pub stored: Vec<u8>,
}

impl Broker {
    /// Moves a message that is ready or delayed to another queue or through an exchange. Its
    /// properties and body stay as they are; its time to live starts again, a delay is over.
    pub fn move_message(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        to: &MoveTo,
        actor: &str,
    ) -> Result<Promise, OperateError> {
        let promise = self.move_once(queue, name, to, actor);
        self.after_act();
        let promise = promise?;
        audit(actor, queue, "moved", 1);
        Ok(promise)
    }

    pub(super) fn move_once(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        to: &MoveTo,
        actor: &str,
    ) -> Result<Promise, OperateError> {
        let borrowed = self.borrow_message(queue, name)?;
        self.move_borrowed(queue, &borrowed, |message| {
            let draft = message.draft();
            let way = self.way(queue, to, &message, &draft, None)?;
            let act = Act {
                by: actor,
                what: "moved",
            };
            self.transfer(queue, &borrowed, act, &way, &draft)
        })
    }

    /// Takes a message to be moved, with its stored form.
    pub(crate) fn borrow_message(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
    ) -> Result<Borrowed, OperateError> {
        self.with_state(queue, |state, cx| {
            let lease = state.borrow(cx, self.run, queue, name)?;
            let stored = state.leased_body(cx, queue.place(), lease);
            match stored.ok_or(OperateError::NotFound)? {
                Ok(stored) => Ok(Borrowed { lease, stored }),
                Err(error) => {
                    state.settle_borrowed(cx, queue, lease, Outcome::Release);
                    Err(OperateError::Unreadable(error))
                }
            }
        })
    }

    /// Lets `transfer` move a borrowed message; if it does not, the message is put back.
    pub(crate) fn move_borrowed(
        &self,
        queue: &QueueHandle,
        borrowed: &Borrowed,
        transfer: impl FnOnce(Message<'_>) -> Result<Promise, OperateError>,
    ) -> Result<Promise, OperateError> {
        let message = Message::parse(&borrowed.stored).expect("what a queue had is a message");
        let result = transfer(message);
        if result.is_err() {
            self.with_state(queue, |state, cx| {
                state.settle_borrowed(cx, queue, borrowed.lease, Outcome::Release);
            });
        }
        result
    }

    /// Moves a borrowed message: `draft` enters the queues of the way, the message is gone.
    pub(crate) fn transfer(
        &self,
        queue: &QueueHandle,
        borrowed: &Borrowed,
        act: Act<'_>,
        way: &Way,
        draft: &Draft<'_>,
    ) -> Result<Promise, OperateError> {
        let lease = borrowed.lease;
        check_key(&way.routing_key)?;
        let draft = Draft {
            exchange: &way.exchange,
            routing_key: &way.routing_key,
            deliver_at: None,
            id: None,
            ..*draft
        };
        let _no_checkpoint = self.transactions.read();
        let mut burst = Burst::new();
        burst.stage(&draft, &way.queues, |_| None);
        burst.log_bodies(self)?;
        let mut facts = Facts::default();
        let prepared = self
            .prepare_arrival(&mut burst, way, &mut facts)
            .and_then(|()| self.prepare_leaving(queue, lease, &mut facts));
        if let Err(error) = prepared {
            self.give_back(&mut burst);
            return Err(error);
        }
        let promise = match facts.is_empty() {
            true => Promise::Now,
            false => self.write_transaction(&facts, Need::Sync)?,
        };
        let before = Message::parse(&borrowed.stored).expect("what a queue had is a message");
        self.note_moved(queue, act, &before, &draft, &way.queues);
        self.apply_arrival(&mut burst);
        self.with_state(queue, |state, cx| {
            state.settle_borrowed(cx, queue, lease, Outcome::Accept);
        });
        Ok(promise)
    }

    /// Asks every queue for room and writes down that the message enters.
    fn prepare_arrival(
        &self,
        burst: &mut Burst,
        way: &Way,
        facts: &mut Facts,
    ) -> Result<(), OperateError> {
        let mut full = None;
        self.on_each_part(burst, |state, cx, part| {
            for command in part.commands {
                if full.is_none()
                    && !state.expect(cx, part.staged, command, facts)
                    && let Command::Enqueue { queue, .. } = command
                {
                    full = Some(queue.id);
                }
            }
        });
        let Some(full) = full else {
            return Ok(());
        };
        let name = way.queues.iter().find(|known| known.id == full);
        let name = name.map_or("", |known| known.name());
        Err(OperateError::Refused(name.to_owned()))
    }

    /// Lets a message arrive whose arrival is written.
    fn apply_arrival(&self, burst: &mut Burst) {
        self.on_each_part(burst, |state, cx, part| {
            for command in part.commands.drain(..) {
                state.arrive(cx, part.staged, &command);
            }
        });
    }

    /// Gives back what was staged and does not arrive.
    fn give_back(&self, burst: &mut Burst) {
        self.on_each_part(burst, |state, _, part| {
            for command in part.commands.drain(..) {
                if let Command::Enqueue {
                    queue, incoming, ..
                } = command
                {
                    state.give_back(queue.id, &incoming);
                }
            }
        });
    }

    fn prepare_leaving(
        &self,
        queue: &QueueHandle,
        lease: LeaseId,
        facts: &mut Facts,
    ) -> Result<(), OperateError> {
        self.with_state(queue, |state, cx| {
            let core = state.queue(queue.place());
            let core = core.ok_or_else(|| OperateError::no_queue(queue))?;
            core.prepare_settle(lease, Outcome::Accept, cx.now, facts);
            Ok(())
        })
    }
}

impl State {
    /// Adds the fact that a message enters. False if its queue is full or gone.
    fn expect(
        &mut self,
        cx: &StateContext<'_>,
        staged: &[u8],
        command: &mut Command,
        facts: &mut Facts,
    ) -> bool {
        let Command::Enqueue {
            queue, incoming, ..
        } = command
        else {
            return false;
        };
        let prepared = self.with_queue(cx, *queue, staged, |core, context| {
            let room = core.would_take(incoming.size);
            room.then(|| core.prepare(incoming, context.staged, context.lens, context.now, facts))
        });
        let prepared = prepared.flatten();
        incoming.recorded = prepared == Some(Prepared::Stored);
        prepared.is_some()
    }

    /// Lets a message enter that is expected.
    fn arrive(&mut self, cx: &StateContext<'_>, staged: &[u8], command: &Command) {
        let Command::Enqueue {
            queue, incoming, ..
        } = command
        else {
            return;
        };
        let entered = self.with_queue(cx, *queue, staged, |core, context| {
            core.enqueue_moved(incoming, context);
            core.note_arrival(incoming, Enqueued::Taken, context);
        });
        if entered.is_none() {
            self.give_back(queue.id, incoming);
        }
    }
}
