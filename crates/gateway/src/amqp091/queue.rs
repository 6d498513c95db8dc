//! Queues: declare, bind, unbind, purge, delete.
//!
//! Invariants
//! - An empty queue name stands for the queue that the channel declared last.
//! - What is read back after a method was written by it: the burst is submitted first.

use amqp091::method::queue;
use amqp091::{Method, RawTable, ShortStr};
use ferry_broker::{BindingSpec, Promise, QueueDeclared, QueueSpec, Right, SETTLE_EXCHANGE};
use ferry_core::arguments::Arguments;

use super::arguments;
use super::channel::{Channel, Common, plain_name};
use super::errors::{Refusal, access_refused, not_found, precondition_failed};
use super::exchange::refuse_system;
use super::reply_to::REPLY_TO;
use super::turn::Turn;

const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

impl Channel {
    /// The queue that a method names, or the one declared last.
    pub(crate) fn queue_name(&self, name: ShortStr<'_>) -> Result<String, Refusal> {
        if !name.is_empty() {
            return Ok(name.as_str_lossy().into_owned());
        }
        if self.last_queue.is_empty() {
            return Err(not_found("no previously declared queue"));
        }
        Ok(self.last_queue.clone())
    }

    /// `queue.declare`
    pub(crate) fn queue_declare(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &queue::Declare<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let name = plain_name(method.queue);
        if name.starts_with(REPLY_TO) {
            return self.declare_reply_key(common, &name, method.no_wait);
        }
        let declared = if method.passive {
            common.vhost.check_queue(&name, common.connection)?
        } else {
            self.declare_new(common, name, method)?
        };
        self.last_queue = declared.queue.name().into();
        if !method.no_wait {
            let reply = queue::DeclareOk {
                queue: ShortStr::clipped(declared.queue.name().as_bytes()),
                message_count: clamp(declared.messages),
                consumer_count: declared.consumers,
            };
            self.reply(common, declared.durable_at, Method::QueueDeclareOk(reply));
        }
        Ok(())
    }

    fn declare_new(
        &self,
        common: &Common,
        name: String,
        method: &queue::Declare<'_>,
    ) -> Result<QueueDeclared, Refusal> {
        if name.starts_with("amq.") {
            return Err(access_refused(format!(
                "queue name '{name}' contains reserved prefix 'amq.*'"
            )));
        }
        let arguments = arguments::read(method.arguments)?;
        let name = match name.is_empty() {
            true => common.vhost.queue_name(&arguments)?,
            false => name,
        };
        common.check_queue(Right::Configure, &name)?;
        if !common.vhost.has_queue(&name) {
            check_dead_letter_type(common, &name, &arguments)?;
            let vhost = common.vhost.name();
            common.user.check_new_queue(vhost, &name, &arguments)?;
        }
        let spec = QueueSpec {
            name,
            durable: method.durable,
            exclusive: method.exclusive,
            auto_delete: method.auto_delete,
            arguments,
        };
        Ok(common.vhost.declare_queue(spec, common.connection)?)
    }

    /// `queue.bind`
    pub(crate) fn queue_bind(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &queue::Bind<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let key = self.binding_key(method.queue, method.routing_key)?;
        let queue = self.queue_name(method.queue)?;
        let change = BindingChange {
            add: true,
            source: method.exchange,
            key,
            table: method.arguments,
        };
        let promise = common.change_binding("queue", &queue, change)?;
        if !method.no_wait {
            self.reply(common, promise, Method::QueueBindOk(queue::BindOk {}));
        }
        Ok(())
    }

    /// `queue.unbind`
    pub(crate) fn queue_unbind(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &queue::Unbind<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let key = self.binding_key(method.queue, method.routing_key)?;
        let queue = self.queue_name(method.queue)?;
        let change = BindingChange {
            add: false,
            source: method.exchange,
            key,
            table: method.arguments,
        };
        let promise = common.change_binding("queue", &queue, change)?;
        self.reply(common, promise, Method::QueueUnbindOk(queue::UnbindOk {}));
        Ok(())
    }

    /// Without queue and key, the key is the name of the queue declared last.
    fn binding_key(&self, queue: ShortStr<'_>, key: ShortStr<'_>) -> Result<Vec<u8>, Refusal> {
        if queue.is_empty() && key.is_empty() {
            return self.queue_name(queue).map(String::into_bytes);
        }
        Ok(key.as_bytes().to_vec())
    }

    /// `queue.purge`
    pub(crate) fn queue_purge(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &queue::Purge<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let name = self.queue_name(method.queue)?;
        common.check_queue(Right::Read, &name)?;
        // A long queue takes a while, and this thread may be the one that watches all sockets.
        let purge = || common.vhost.purge_queue(&name, common.connection);
        let (messages, promise) = tokio::task::block_in_place(purge)?;
        if !method.no_wait {
            let reply = queue::PurgeOk {
                message_count: clamp(messages),
            };
            self.reply(common, promise, Method::QueuePurgeOk(reply));
        }
        Ok(())
    }

    /// `queue.delete`
    pub(crate) fn queue_delete(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &queue::Delete<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let name = self.queue_name(method.queue)?.replace(['\r', '\n'], "");
        common.check_queue(Right::Configure, &name)?;
        let (unused, empty) = (method.if_unused, method.if_empty);
        let (messages, promise) =
            common
                .vhost
                .delete_queue(&name, unused, empty, common.connection)?;
        if !method.no_wait {
            let reply = queue::DeleteOk {
                message_count: clamp(messages),
            };
            self.reply(common, promise, Method::QueueDeleteOk(reply));
        }
        Ok(())
    }
}

/// Refuses a dead letter exchange that is no name, in RabbitMQ's words.
fn check_dead_letter_type(
    common: &Common,
    queue: &str,
    arguments: &Arguments,
) -> Result<(), Refusal> {
    let exchange = arguments.get(DEAD_LETTER_EXCHANGE);
    let Some(other) = exchange.filter(|exchange| exchange.as_str().is_none()) else {
        return Ok(());
    };
    let vhost = common.vhost.name();
    Err(precondition_failed(format!(
        "invalid type '{}' for arg '{DEAD_LETTER_EXCHANGE}' in queue '{queue}' in vhost '{vhost}'",
        other.type_name()
    )))
}

/// One binding to be added or removed.
pub(crate) struct BindingChange<'a> {
    /// Added, or removed.
    pub(crate) add: bool,
    /// The exchange it starts at.
    pub(crate) source: ShortStr<'a>,
    /// Its routing key.
    pub(crate) key: Vec<u8>,
    /// Its arguments.
    pub(crate) table: RawTable<'a>,
}

impl Common {
    /// Adds or removes a binding, with the checks that both kinds of destination share.
    pub(crate) fn change_binding(
        &self,
        kind: &'static str,
        destination: &str,
        change: BindingChange<'_>,
    ) -> Result<Promise, Refusal> {
        let source = plain_name(change.source);
        let destination = destination.replace(['\r', '\n'], "");
        let to_queue = kind == "queue";
        match to_queue {
            true => self.check_queue(Right::Write, &destination)?,
            false => self.check_exchange(Right::Write, &destination)?,
        }
        if source.is_empty() || (kind == "exchange" && destination.is_empty()) {
            return Err(access_refused(
                "operation not permitted on the default exchange",
            ));
        }
        if source == SETTLE_EXCHANGE || (!to_queue && destination == SETTLE_EXCHANGE) {
            return Err(refuse_system(self, "binding", SETTLE_EXCHANGE));
        }
        self.check_source(&source, &change.key)?;
        let destination = Some(destination.as_str());
        let spec = BindingSpec {
            source: &source,
            queue: destination.filter(|_| to_queue),
            exchange: destination.filter(|_| !to_queue),
            routing_key: &change.key,
            arguments: arguments::read(change.table)?,
            connection: self.connection,
        };
        let changed = if change.add {
            self.vhost.bind(&spec)
        } else {
            self.vhost.unbind(&spec)
        };
        Ok(changed?)
    }
}

fn clamp(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
