//! Exchanges: declare, delete, bind, unbind.
//!
//! Invariants
//! - The default exchange can be published to and nothing else.
//! - Names that start with `amq.` can be declared again as they are, never anew or away; so can
//!   `ferry.settle`, which is bound to and from nothing besides.

use amqp091::method::exchange;
use amqp091::{Method, ReplyCode};
use ferry_broker::{Exchange, ExchangeKind, Promise, Right, SETTLE_EXCHANGE};

use super::arguments;
use super::channel::{Channel, Common, plain_name};
use super::errors::{Refusal, access_refused, precondition_failed};
use super::queue::BindingChange;
use super::turn::Turn;

/// What a federation link of RabbitMQ asks its upstream for.
const FEDERATION_UPSTREAM: &str = "x-federation-upstream";

impl Channel {
    /// `exchange.declare`
    pub(crate) fn exchange_declare(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &exchange::Declare<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let name = plain_name(method.exchange);
        let promise = if method.passive {
            refuse_default(&name)?;
            common.vhost.exchange(&name)?;
            Promise::Now
        } else {
            declare(common, name, method)?
        };
        if !method.no_wait {
            self.reply(
                common,
                promise,
                Method::ExchangeDeclareOk(exchange::DeclareOk {}),
            );
        }
        Ok(())
    }

    /// `exchange.delete`
    pub(crate) fn exchange_delete(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &exchange::Delete<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let name = plain_name(method.exchange);
        refuse_default(&name)?;
        if name.starts_with("amq.") || name == SETTLE_EXCHANGE {
            return Err(refuse_system(common, "deletion", &name));
        }
        common.check_exchange(Right::Configure, &name)?;
        let promise = common.vhost.delete_exchange(&name, method.if_unused)?;
        if !method.no_wait {
            self.reply(
                common,
                promise,
                Method::ExchangeDeleteOk(exchange::DeleteOk {}),
            );
        }
        Ok(())
    }

    /// `exchange.bind`
    pub(crate) fn exchange_bind(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &exchange::Bind<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let change = BindingChange {
            add: true,
            source: method.source,
            key: method.routing_key.as_bytes().to_vec(),
            table: method.arguments,
        };
        let destination = plain_name(method.destination);
        let promise = common.change_binding("exchange", &destination, change)?;
        if !method.no_wait {
            self.reply(common, promise, Method::ExchangeBindOk(exchange::BindOk {}));
        }
        Ok(())
    }

    /// `exchange.unbind`
    pub(crate) fn exchange_unbind(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &exchange::Unbind<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let change = BindingChange {
            add: false,
            source: method.source,
            key: method.routing_key.as_bytes().to_vec(),
            table: method.arguments,
        };
        let destination = plain_name(method.destination);
        let promise = common.change_binding("exchange", &destination, change)?;
        if !method.no_wait {
            self.reply(
                common,
                promise,
                Method::ExchangeUnbindOk(exchange::UnbindOk {}),
            );
        }
        Ok(())
    }
}

fn declare(
    common: &Common,
    name: String,
    method: &exchange::Declare<'_>,
) -> Result<Promise, Refusal> {
    let kind = method.kind.as_str_lossy();
    if kind.is_empty() {
        return Err(precondition_failed("invalid exchange type ''"));
    }
    let kind: ExchangeKind = kind
        .parse()
        .map_err(|error| unknown_kind(&kind, format!("{error}")))?;
    refuse_default(&name)?;
    common.check_exchange(Right::Configure, &name)?;
    let known = common.vhost.exchange(&name).is_ok();
    if !known && name.starts_with("amq.") {
        return Err(access_refused(format!(
            "exchange name '{name}' contains reserved prefix 'amq.*'"
        )));
    }
    let arguments = arguments::read(method.arguments)?;
    if !known {
        let vhost = common.vhost.name();
        common.user.check_new_exchange(vhost, &name, &arguments)?;
    }
    let exchange = Exchange {
        name: name.into(),
        kind,
        durable: method.durable,
        auto_delete: method.auto_delete,
        internal: method.internal,
        arguments,
    };
    Ok(common.vhost.declare_exchange(exchange)?)
}

/// A type of exchange that is not here. A federation link that is told 503, as a RabbitMQ before 4
/// does, makes do with a fanout exchange and looks at the hops itself; with 406 it gives up.
fn unknown_kind(kind: &str, explanation: String) -> Refusal {
    match kind {
        FEDERATION_UPSTREAM => Refusal::new(ReplyCode::CommandInvalid, explanation),
        _ => precondition_failed(explanation),
    }
}

fn refuse_default(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(access_refused(
            "operation not permitted on the default exchange",
        ));
    }
    Ok(())
}

/// What may not be done to an exchange that is the broker's own.
pub(super) fn refuse_system(common: &Common, what: &str, name: &str) -> Refusal {
    let vhost = common.vhost.name();
    access_refused(format!(
        "{what} of system exchange '{name}' in vhost '{vhost}' not allowed"
    ))
}
