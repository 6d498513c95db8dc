//! Class 20, channel: open, flow, close.
//!
//! Invariant: fields are in wire order.

use crate::wire::{LongStr, ShortStr};

methods! { 20;
    /// Opens the channel of the frame it comes in.
    10 Open<'a> { out_of_band: ShortStr<'a>, }
    /// The channel is open.
    11 OpenOk<'a> { channel_id: LongStr<'a>, }
    /// Asks the peer to stop or go on sending content.
    20 Flow { active: bool, }
    /// What the peer now does.
    21 FlowOk { active: bool, }
    /// Ends the channel, saying why.
    40 Close<'a> { reply_code: u16, reply_text: ShortStr<'a>, class_id: u16, method_id: u16, }
    /// The last word on a channel.
    41 CloseOk {}
}
