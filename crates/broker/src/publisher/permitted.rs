//! Whether a publisher may publish: asked where no cached route answers.

use ferry_core::routing::{Exchange, ExchangeKind};

use super::Publisher;
use crate::{AccessRefused, Resource, Right};

impl Publisher {
    /// Refuses an exchange that the user may not write to.
    pub(super) fn check_write(&mut self, exchange: &[u8], epoch: u64) -> Result<(), AccessRefused> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        if self.allowed.0 == epoch && self.allowed.1 == exchange {
            return Ok(());
        }
        let name = String::from_utf8_lossy(exchange);
        user.check(self.vhost.name(), Right::Write, Resource::Exchange, &name)?;
        self.allowed.0 = epoch;
        self.allowed.1.clear();
        self.allowed.1.extend_from_slice(exchange);
        Ok(())
    }

    /// Refuses routing keys that the user may not use with a topic exchange.
    pub(super) fn check_topics(
        &self,
        exchange: &Exchange,
        routing_keys: &[&[u8]],
    ) -> Result<(), AccessRefused> {
        let Some(user) = self
            .user
            .as_ref()
            .filter(|_| exchange.kind == ExchangeKind::Topic)
        else {
            return Ok(());
        };
        let vhost = self.vhost.name();
        routing_keys
            .iter()
            .try_for_each(|key| user.check_topic(vhost, Right::Write, &exchange.name, key))
    }
}
