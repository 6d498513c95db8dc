//! Bringing dead letters back: one, edited perhaps, or many as a job.
//!
//! A replay moves the message (`inspect`), and its copy says so in a header:
//!
//! ```text
//!  x-ferry-replay: { queue, time, count, edited?, original-message-id? }
//! ```
//!
//! Invariants
//! - A message is replayed once, whoever asks for it however often, and is in one place at any
//!   time: it is moved by one record of the log.
//! - What is not edited stays byte for byte, the history of deaths included.
//! - `original-message-id` is the id that the message had before anybody edited it.
//!
//! Not here: where a message goes (`inspect::way`), how the move is made safe
//! (`inspect::transfer`).

mod copy;
mod jobs;
mod pace;
mod run;

use std::sync::Arc;

use ferry_core::arguments::Arguments;
use ferry_core::message::{Draft, Message};

pub(crate) use jobs::Replays;
pub use jobs::{JobId, JobState, Progress, ReplayJob, ReplaySpec, Selection};

use crate::inspect::audit;
use crate::passport::Act;
use crate::{Broker, MessageRef, MoveTo, OperateError, Promise, QueueHandle};

/// Longest body that an edit may give a message, in bytes.
const BODY_BYTES_MAX: usize = 512 << 20;

/// Longest properties that an edit may give a message, in bytes: they go out in one frame.
const PROPERTIES_BYTES_MAX: usize = 64 << 10;

/// What is changed of a message that is replayed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edit {
    /// Other properties, all of them, in the message's format.
    pub properties: Option<Vec<u8>>,
    /// Other headers, all of them.
    pub headers: Option<Arguments>,
    /// Another body.
    pub body: Option<Vec<u8>>,
    /// Another routing key.
    pub routing_key: Option<Vec<u8>>,
}

/// Whether who replays may write to the exchange of that name.
pub type MayWrite = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// For who may write everywhere.
fn everywhere() -> MayWrite {
    Arc::new(|_| true)
}

impl Broker {
    /// Replays one message of a queue.
    pub fn replay_message(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        to: &MoveTo,
        edit: Option<&Edit>,
        actor: &str,
    ) -> Result<Promise, OperateError> {
        self.replay_message_where(queue, name, to, edit, actor, &everywhere())
    }

    /// The same for who may not write everywhere.
    pub fn replay_message_where(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        to: &MoveTo,
        edit: Option<&Edit>,
        actor: &str,
        may_write: &MayWrite,
    ) -> Result<Promise, OperateError> {
        let what = match edit {
            Some(_) => "edited and replayed",
            None => "replayed",
        };
        let act = Act { by: actor, what };
        let promise = self.replay_once(queue, name, (to, may_write), edit, act);
        self.after_act();
        let promise = promise?;
        audit(actor, queue, what, 1);
        Ok(promise)
    }

    fn replay_once(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        (to, may_write): (&MoveTo, &MayWrite),
        edit: Option<&Edit>,
        act: Act<'_>,
    ) -> Result<Promise, OperateError> {
        if let Some(edit) = edit {
            edit.check()?;
        }
        let borrowed = self.borrow_message(queue, name)?;
        self.move_borrowed(queue, &borrowed, |message| {
            let new_key = edit.and_then(|edit| edit.routing_key.as_deref());
            let copy = self.replayed(queue, &message, edit)?;
            let draft = Draft {
                properties: &copy.properties,
                body: edit_body(edit, &message),
                persistent: copy.persistent,
                priority: copy.priority,
                ttl_ms: copy.ttl_ms,
                ..message.draft()
            };
            let way = self.way(queue, to, &message, &draft, new_key)?;
            let exchange = String::from_utf8_lossy(&way.exchange);
            if !may_write(&exchange) {
                return Err(OperateError::NotAllowed(exchange.into_owned()));
            }
            self.transfer(queue, &borrowed, act, &way, &draft)
        })
    }
}

fn edit_body<'a>(edit: Option<&'a Edit>, message: &Message<'a>) -> &'a [u8] {
    let body = edit.and_then(|edit| edit.body.as_deref());
    body.unwrap_or(message.body())
}

impl Edit {
    fn check(&self) -> Result<(), OperateError> {
        let at_most = |what, bytes: Option<usize>, max: usize| match bytes {
            Some(bytes) if bytes > max => {
                let range = format!("at most {max} bytes");
                Err(OperateError::out_of_range(what, range))
            }
            _ => Ok(()),
        };
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
        at_most("the body", len(&self.body), BODY_BYTES_MAX)?;
        at_most("properties", len(&self.properties), PROPERTIES_BYTES_MAX)
    }
}
