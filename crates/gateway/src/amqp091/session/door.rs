//! The door of a virtual host: who is let in, and as whom.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ferry_broker::{Admitted, ConnectError, Origin, User};

use super::login;
use crate::amqp091::channel::Common;
use crate::amqp091::errors::{Refusal, not_allowed, resource_error};
use crate::amqp091::handshake::{Client, Decision, Doorman, Tuned};
use crate::amqp091::running::Running;
use crate::amqp091::wire::Link;
use crate::arrival::Arrival;
use crate::login::LoginSlot;
use crate::shared::Shared;

/// Knows users and virtual hosts for the handshake.
pub(super) struct Door<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) link: &'a Arc<Link>,
    pub(super) arrival: &'a Arrival,
    pub(super) login: &'a LoginSlot,
    pub(super) user: &'a mut Option<Arc<User>>,
    pub(super) opened: Option<(Running, Tuned)>,
}

impl Doorman for Door<'_> {
    fn login(&mut self, user: &str, password: Option<&[u8]>) -> Decision {
        login::begin(self, user, password)
    }

    fn certified(&self) -> Result<String, String> {
        let name = self.arrival.certified.clone();
        name.ok_or_else(|| "the client's certificate names nobody, or there is none".to_owned())
    }

    fn enter(&mut self, vhost: &str, client: &Client, tuned: Tuned) -> Result<(), Refusal> {
        let broker = &self.shared.broker;
        let found = broker.vhost(vhost);
        let Some((vhost, user)) = found.zip(self.user.clone()) else {
            return Err(not_allowed(format!("vhost {vhost} not found")));
        };
        if !user.may_enter(vhost.name()) {
            let (vhost, user) = (vhost.name(), &user.name);
            let text = format!("access to vhost '{vhost}' refused for user '{user}'");
            return Err(not_allowed(text));
        }
        let info = self.info(&user, vhost.name(), client, tuned);
        let admitted = broker.admit_connection(info);
        let Admitted { id, limits } = admitted.map_err(|error| match error {
            ConnectError::NoRoom(_) => resource_error(error.to_string()),
            _ => not_allowed(error.to_string()),
        })?;
        let origin = Arc::new(Origin {
            user: user.name.clone(),
            address: self.arrival.peer.to_string(),
        });
        let common = Common {
            broker: Arc::clone(broker),
            link: Arc::clone(self.link),
            vhost,
            user,
            origin,
            connection: id,
            limits,
            frame_bytes_max: tuned.frame_bytes_max,
            message_bytes_max: self.shared.config.message_bytes_max,
            notify_cancel: client.notify_cancel,
            delay_warned: AtomicBool::new(false),
        };
        let running = Running::new(common, client.clone(), tuned.channel_max);
        self.opened = Some((running, tuned));
        Ok(())
    }
}
