//! Class 40, exchange: declare, delete, and RabbitMQ's bindings between exchanges.
//!
//! Invariant: fields are in wire order; `unbind_ok` is 51, not 41, as in RabbitMQ.

use crate::table::RawTable;
use crate::wire::ShortStr;

methods! { 40;
    /// Creates an exchange, or checks that it is there. `kind` is the field `type` of the
    /// specification.
    10 Declare<'a> {
        ticket: u16,
        exchange: ShortStr<'a>,
        kind: ShortStr<'a>,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        no_wait: bool,
        arguments: RawTable<'a>,
    }
    /// The exchange is there.
    11 DeclareOk {}
    /// Deletes an exchange.
    20 Delete<'a> { ticket: u16, exchange: ShortStr<'a>, if_unused: bool, no_wait: bool, }
    /// The exchange is gone.
    21 DeleteOk {}
    /// Binds an exchange to an exchange.
    30 Bind<'a> {
        ticket: u16,
        destination: ShortStr<'a>,
        source: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        no_wait: bool,
        arguments: RawTable<'a>,
    }
    /// The binding is there.
    31 BindOk {}
    /// Removes a binding between exchanges.
    40 Unbind<'a> {
        ticket: u16,
        destination: ShortStr<'a>,
        source: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        no_wait: bool,
        arguments: RawTable<'a>,
    }
    /// The binding is gone.
    51 UnbindOk {}
}
