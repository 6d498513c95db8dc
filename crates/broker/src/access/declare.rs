//! Rights that a new queue or exchange needs besides its own: to where it sends messages on.
//!
//! Invariants
//! - Nobody gets messages anywhere by way of a queue or exchange that a publish could not.

use ferry_core::arguments::{Arguments, Value};

use super::{AccessRefused, Resource, Right, User};

/// Where dead letters of a queue go, and what an exchange routes nowhere.
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
/// Where an exchange sends what it routes nowhere.
const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

impl User {
    /// Refuses a new queue whose dead letters would go where the user may not write.
    pub fn check_new_queue(
        &self,
        vhost: &str,
        name: &str,
        arguments: &Arguments,
    ) -> Result<(), AccessRefused> {
        let queue = (Resource::Queue, name);
        self.check_sent_on(vhost, queue, arguments.get(DEAD_LETTER_EXCHANGE))
    }

    /// Refuses a new exchange that would send messages on to where the user may not write.
    pub fn check_new_exchange(
        &self,
        vhost: &str,
        name: &str,
        arguments: &Arguments,
    ) -> Result<(), AccessRefused> {
        [ALTERNATE_EXCHANGE, DEAD_LETTER_EXCHANGE]
            .into_iter()
            .try_for_each(|argument| {
                let exchange = (Resource::Exchange, name);
                self.check_sent_on(vhost, exchange, arguments.get(argument))
            })
    }

    fn check_sent_on(
        &self,
        vhost: &str,
        (kind, name): (Resource, &str),
        to: Option<&Value>,
    ) -> Result<(), AccessRefused> {
        // What is no name is refused when it is declared.
        let Some(Value::Str(to)) = to else {
            return Ok(());
        };
        self.check(vhost, Right::Read, kind, name)?;
        let to = String::from_utf8_lossy(to);
        self.check(vhost, Right::Write, Resource::Exchange, &to)
    }
}
