//! Changing when an unused queue goes, after it was declared.
//!
//! Invariants
//! - The change is written as the queue's definition once more; a start takes the last one.
//! - Policies have the part in it that they had when the queue was declared.
//! - Whatever is set, also what was set before, the time counts from now.

use std::sync::Arc;

use ferry_core::arguments::Value;

use crate::arguments;
use crate::queues::definition_with;
use crate::{DefinitionError, Promise, QueueHandle, Vhost};

/// The argument of a declaration that it changes.
const EXPIRES: &str = "x-expires";

impl Vhost {
    /// Has a queue go once it was unused for so long, in milliseconds; never without a number.
    pub fn set_queue_expiry(
        &self,
        queue: &Arc<QueueHandle>,
        expires_ms: Option<u64>,
    ) -> Result<Promise, DefinitionError> {
        let broker = self.broker();
        let definitions = self.definitions.write();
        self.check_alive()?;
        if !definitions.by_id.contains_key(&queue.id) {
            return Err(self.no_queue(&queue.name));
        }
        let before = queue.arguments();
        let mut arguments = (*before).clone();
        match expires_ms {
            None => arguments.remove(EXPIRES),
            // What is beyond is refused below.
            Some(ms) => arguments.insert(EXPIRES, Value::I64(ms.try_into().unwrap_or(i64::MAX))),
        };
        let declared = arguments::declared(&arguments, queue.flags())
            .map_err(|refused| self.refuse(queue.name.to_string(), refused))?;
        let arguments = Arc::new(arguments);
        let changes = match queue.kept && arguments != before {
            true => vec![definition_with(queue, Arc::clone(&arguments))],
            false => Vec::new(),
        };
        let promise = self.write(&broker, &changes)?;
        let effective = definitions.policies.effective(&queue.name, &declared);
        let options = Arc::clone(&effective.options);
        queue.set_arguments(arguments);
        queue.set_effective(effective);
        broker.with_state(queue, |state, cx| {
            state.with_queue(cx, queue.place(), &[], |queue, context| {
                queue.set_options(options, context);
            })
        });
        drop(definitions);
        broker.after_call();
        Ok(promise)
    }
}
