//! Class 50, queue: declare, bind, purge, delete, unbind.
//!
//! Invariant: fields are in wire order; `unbind` alone has no `no_wait`.

use crate::table::RawTable;
use crate::wire::ShortStr;

methods! { 50;
    /// Creates a queue, or checks that it is there.
    10 Declare<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        no_wait: bool,
        arguments: RawTable<'a>,
    }
    /// The queue is there: its name and counts.
    11 DeclareOk<'a> { queue: ShortStr<'a>, message_count: u32, consumer_count: u32, }
    /// Binds a queue to an exchange.
    20 Bind<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        no_wait: bool,
        arguments: RawTable<'a>,
    }
    /// The binding is there.
    21 BindOk {}
    /// Drops the ready messages of a queue.
    30 Purge<'a> { ticket: u16, queue: ShortStr<'a>, no_wait: bool, }
    /// How many were dropped.
    31 PurgeOk { message_count: u32, }
    /// Deletes a queue.
    40 Delete<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        if_unused: bool,
        if_empty: bool,
        no_wait: bool,
    }
    /// How many messages went with it.
    41 DeleteOk { message_count: u32, }
    /// Removes a binding.
    50 Unbind<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        arguments: RawTable<'a>,
    }
    /// The binding is gone.
    51 UnbindOk {}
}
