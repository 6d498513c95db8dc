//! Class 10, connection: handshake, close, RabbitMQ's blocked notices and secret update.
//!
//! Invariant: fields are in wire order.

use crate::table::RawTable;
use crate::wire::{LongStr, ShortStr};

methods! { 10;
    /// The server's greeting: what it is and how one may authenticate.
    10 Start<'a> {
        version_major: u8,
        version_minor: u8,
        server_properties: RawTable<'a>,
        mechanisms: LongStr<'a>,
        locales: LongStr<'a>,
    }
    /// The client's choice, with its first answer.
    11 StartOk<'a> {
        client_properties: RawTable<'a>,
        mechanism: ShortStr<'a>,
        response: LongStr<'a>,
        locale: ShortStr<'a>,
    }
    /// A further question of the authentication mechanism.
    20 Secure<'a> { challenge: LongStr<'a>, }
    /// The answer to it.
    21 SecureOk<'a> { response: LongStr<'a>, }
    /// The server's limits; zero means none.
    30 Tune { channel_max: u16, frame_max: u32, heartbeat: u16, }
    /// The limits that hold.
    31 TuneOk { channel_max: u16, frame_max: u32, heartbeat: u16, }
    /// Opens a virtual host.
    40 Open<'a> { virtual_host: ShortStr<'a>, capabilities: ShortStr<'a>, insist: bool, }
    /// The virtual host is open.
    41 OpenOk<'a> { known_hosts: ShortStr<'a>, }
    /// Ends the connection, saying why.
    50 Close<'a> { reply_code: u16, reply_text: ShortStr<'a>, class_id: u16, method_id: u16, }
    /// The last word on a connection.
    51 CloseOk {}
    /// Publishing is held back for a while.
    60 Blocked<'a> { reason: ShortStr<'a>, }
    /// Publishing may go on.
    61 Unblocked {}
    /// A new secret, for tokens that expire.
    70 UpdateSecret<'a> { new_secret: LongStr<'a>, reason: ShortStr<'a>, }
    /// The new secret holds.
    71 UpdateSecretOk {}
}
