//! A new secret for a log-in that does not last.

use amqp091::method::connection;

use super::{End, Running};
use crate::amqp091::errors::not_allowed;

impl Running {
    /// Goes on with the rights of the new secret; one that is refused ends the connection.
    pub(super) fn renew(&mut self, update: &connection::UpdateSecret<'_>) -> Result<(), End> {
        match self.common.user.renew(update.new_secret.as_bytes()) {
            // A password is not a secret that renews anything: RabbitMQ says ok to it, too.
            None => Ok(()),
            Some(Ok(user)) => {
                self.common.user = user;
                Ok(())
            }
            Some(Err(reason)) => {
                let user = self.common.user.name.as_str();
                tracing::error!(?user, reason, "a new secret was refused");
                let text = "New secret was refused by one of the backends";
                let (class, method) = (
                    connection::UpdateSecret::CLASS_ID,
                    connection::UpdateSecret::METHOD_ID,
                );
                Err(End::Close(not_allowed(text).by((class, method))))
            }
        }
    }
}
