//! Class 60, basic: publish, consume, deliver, get, settle.
//!
//! Invariant: fields are in wire order. Publish, return, deliver and get_ok are followed by
//! content.

use crate::table::RawTable;
use crate::wire::ShortStr;

methods! { 60;
    /// How much may be delivered before it is acked.
    10 Qos { prefetch_size: u32, prefetch_count: u16, global: bool, }
    /// The limit holds.
    11 QosOk {}
    /// Starts a consumer.
    20 Consume<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        consumer_tag: ShortStr<'a>,
        no_local: bool,
        no_ack: bool,
        exclusive: bool,
        no_wait: bool,
        arguments: RawTable<'a>,
    }
    /// The consumer's tag.
    21 ConsumeOk<'a> { consumer_tag: ShortStr<'a>, }
    /// Ends a consumer; the server sends it too, when a queue goes away.
    30 Cancel<'a> { consumer_tag: ShortStr<'a>, no_wait: bool, }
    /// The consumer is gone.
    31 CancelOk<'a> { consumer_tag: ShortStr<'a>, }
    /// Publishes the content that follows.
    40 Publish<'a> {
        ticket: u16,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        mandatory: bool,
        immediate: bool,
    }
    /// Gives an unroutable message back.
    50 Return<'a> {
        reply_code: u16,
        reply_text: ShortStr<'a>,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
    }
    /// Delivers the content that follows to a consumer.
    60 Deliver<'a> {
        consumer_tag: ShortStr<'a>,
        delivery_tag: u64,
        redelivered: bool,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
    }
    /// Asks for one message.
    70 Get<'a> { ticket: u16, queue: ShortStr<'a>, no_ack: bool, }
    /// One message, and how many are left.
    71 GetOk<'a> {
        delivery_tag: u64,
        redelivered: bool,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        message_count: u32,
    }
    /// There is no message.
    72 GetEmpty<'a> { cluster_id: ShortStr<'a>, }
    /// Accepts deliveries; from the server: confirms publishes.
    80 Ack { delivery_tag: u64, multiple: bool, }
    /// Refuses one delivery.
    90 Reject { delivery_tag: u64, requeue: bool, }
    /// Asks for all unacked deliveries again; has no reply.
    100 RecoverAsync { requeue: bool, }
    /// Asks for all unacked deliveries again.
    110 Recover { requeue: bool, }
    /// They will come again.
    111 RecoverOk {}
    /// Refuses deliveries; from the server: a publish was not taken.
    120 Nack { delivery_tag: u64, multiple: bool, requeue: bool, }
}
