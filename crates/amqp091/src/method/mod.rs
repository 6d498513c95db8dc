//! Methods: the payload of a method frame, `| class u16 | method u16 | fields |`.
//!
//! One struct per method, one module per class; [`Method`] is any of them. Strings and tables are
//! borrowed; a table stays raw until asked.
//!
//! Invariants
//! - `decode` takes a payload to its last byte or refuses it.
//! - `decode(encode(method)) == method` for every method.
//! - Short strings are UTF-8, as RabbitMQ asks, except in the four methods that carry content:
//!   their names only pass through.

use crate::error::DecodeError;
use crate::frame;
use crate::wire::{Field, Reader, Writer};

/// Declares the structs of one class. An empty body is a method without fields.
macro_rules! methods {
    ($class:literal; $(
        $(#[$doc:meta])*
        $id:literal $name:ident $(<$lt:lifetime>)? { $($fields:tt)* }
    )*) => {$(
        methods!(@struct $(#[$doc])* $name $(<$lt>)? { $($fields)* });

        impl $(<$lt>)? $name $(<$lt>)? {
            /// Class id on the wire.
            pub const CLASS_ID: u16 = $class;
            /// Method id on the wire.
            pub const METHOD_ID: u16 = $id;
            pub(crate) const ID: u32 = ($class << 16) | $id;
        }
    )*};
    (@struct $(#[$doc:meta])* $name:ident {}) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl<'a> $crate::wire::Field<'a> for $name {
            fn read(_: &mut $crate::wire::Reader<'a>) -> Option<Self> {
                Some(Self)
            }
            fn write(&self, _: &mut $crate::wire::Writer<'_>) {}
        }
    };
    (@struct $(#[$doc:meta])* $name:ident $(<$lt:lifetime>)? { $($field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name $(<$lt>)? {
            $(
                #[doc = concat!("The field `", stringify!($field), "`.")]
                pub $field: $type,
            )+
        }

        impl<'a> $crate::wire::Field<'a> for $name $(<$lt>)? {
            #[inline]
            fn read(reader: &mut $crate::wire::Reader<'a>) -> Option<Self> {
                Some(Self { $($field: $crate::wire::Field::read(reader)?,)+ })
            }
            #[inline]
            fn write(&self, writer: &mut $crate::wire::Writer<'_>) {
                $($crate::wire::Field::write(&self.$field, writer);)+
            }
        }
    };
}

pub mod basic;
pub mod channel;
pub mod connection;
pub mod exchange;
pub mod queue;
pub mod tx_confirm;

pub use tx_confirm::{access, confirm, tx};

/// Declares [`Method`] and everything that needs a list of all methods.
macro_rules! method_enum {
    ($($variant:ident = $class:ident :: $name:ident $(<$lt:lifetime>)? $wire:literal;)*) => {
        /// Any method, in either direction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method<'a> {
            $(
                #[doc = concat!("`", $wire, "`")]
                $variant($class::$name $(<$lt>)?),
            )*
        }

        $(
            impl<'a> From<$class::$name $(<$lt>)?> for Method<'a> {
                #[inline]
                fn from(method: $class::$name $(<$lt>)?) -> Self {
                    Self::$variant(method)
                }
            }
        )*

        impl<'a> Method<'a> {
            /// Name as RabbitMQ's texts have it: `queue.declare`, `queue.declare_ok`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $wire,)* }
            }

            /// Class and method id, as a close method names them.
            #[must_use]
            pub const fn class_method(&self) -> (u16, u16) {
                match self {
                    $(Self::$variant(_) => ($class::$name::CLASS_ID, $class::$name::METHOD_ID),)*
                }
            }

            /// The name of the method with these ids.
            #[must_use]
            pub const fn name_of(class_id: u16, method_id: u16) -> Option<&'static str> {
                match id_of(class_id, method_id) {
                    $($class::$name::ID => Some($wire),)*
                    _ => None,
                }
            }

            fn read(id: u32, reader: &mut Reader<'a>) -> Result<Option<Self>, UnknownId> {
                match id {
                    $($class::$name::ID => Ok(Field::read(reader).map(Self::$variant)),)*
                    _ => Err(UnknownId),
                }
            }

            fn write(&self, writer: &mut Writer<'_>) {
                match self { $(Self::$variant(method) => method.write(writer),)* }
            }
        }

        /// Ids of every method, for tables in tests.
        #[cfg(test)]
        const ALL_IDS: &[(u16, u16)] =
            &[$(($class::$name::CLASS_ID, $class::$name::METHOD_ID)),*];
    };
}

method_enum! {
    ConnectionStart = connection::Start<'a> "connection.start";
    ConnectionStartOk = connection::StartOk<'a> "connection.start_ok";
    ConnectionSecure = connection::Secure<'a> "connection.secure";
    ConnectionSecureOk = connection::SecureOk<'a> "connection.secure_ok";
    ConnectionTune = connection::Tune "connection.tune";
    ConnectionTuneOk = connection::TuneOk "connection.tune_ok";
    ConnectionOpen = connection::Open<'a> "connection.open";
    ConnectionOpenOk = connection::OpenOk<'a> "connection.open_ok";
    ConnectionClose = connection::Close<'a> "connection.close";
    ConnectionCloseOk = connection::CloseOk "connection.close_ok";
    ConnectionBlocked = connection::Blocked<'a> "connection.blocked";
    ConnectionUnblocked = connection::Unblocked "connection.unblocked";
    ConnectionUpdateSecret = connection::UpdateSecret<'a> "connection.update_secret";
    ConnectionUpdateSecretOk = connection::UpdateSecretOk "connection.update_secret_ok";
    ChannelOpen = channel::Open<'a> "channel.open";
    ChannelOpenOk = channel::OpenOk<'a> "channel.open_ok";
    ChannelFlow = channel::Flow "channel.flow";
    ChannelFlowOk = channel::FlowOk "channel.flow_ok";
    ChannelClose = channel::Close<'a> "channel.close";
    ChannelCloseOk = channel::CloseOk "channel.close_ok";
    AccessRequest = access::Request<'a> "access.request";
    AccessRequestOk = access::RequestOk "access.request_ok";
    ExchangeDeclare = exchange::Declare<'a> "exchange.declare";
    ExchangeDeclareOk = exchange::DeclareOk "exchange.declare_ok";
    ExchangeDelete = exchange::Delete<'a> "exchange.delete";
    ExchangeDeleteOk = exchange::DeleteOk "exchange.delete_ok";
    ExchangeBind = exchange::Bind<'a> "exchange.bind";
    ExchangeBindOk = exchange::BindOk "exchange.bind_ok";
    ExchangeUnbind = exchange::Unbind<'a> "exchange.unbind";
    ExchangeUnbindOk = exchange::UnbindOk "exchange.unbind_ok";
    QueueDeclare = queue::Declare<'a> "queue.declare";
    QueueDeclareOk = queue::DeclareOk<'a> "queue.declare_ok";
    QueueBind = queue::Bind<'a> "queue.bind";
    QueueBindOk = queue::BindOk "queue.bind_ok";
    QueuePurge = queue::Purge<'a> "queue.purge";
    QueuePurgeOk = queue::PurgeOk "queue.purge_ok";
    QueueDelete = queue::Delete<'a> "queue.delete";
    QueueDeleteOk = queue::DeleteOk "queue.delete_ok";
    QueueUnbind = queue::Unbind<'a> "queue.unbind";
    QueueUnbindOk = queue::UnbindOk "queue.unbind_ok";
    BasicQos = basic::Qos "basic.qos";
    BasicQosOk = basic::QosOk "basic.qos_ok";
    BasicConsume = basic::Consume<'a> "basic.consume";
    BasicConsumeOk = basic::ConsumeOk<'a> "basic.consume_ok";
    BasicCancel = basic::Cancel<'a> "basic.cancel";
    BasicCancelOk = basic::CancelOk<'a> "basic.cancel_ok";
    BasicPublish = basic::Publish<'a> "basic.publish";
    BasicReturn = basic::Return<'a> "basic.return";
    BasicDeliver = basic::Deliver<'a> "basic.deliver";
    BasicGet = basic::Get<'a> "basic.get";
    BasicGetOk = basic::GetOk<'a> "basic.get_ok";
    BasicGetEmpty = basic::GetEmpty<'a> "basic.get_empty";
    BasicAck = basic::Ack "basic.ack";
    BasicReject = basic::Reject "basic.reject";
    BasicRecoverAsync = basic::RecoverAsync "basic.recover_async";
    BasicRecover = basic::Recover "basic.recover";
    BasicRecoverOk = basic::RecoverOk "basic.recover_ok";
    BasicNack = basic::Nack "basic.nack";
    ConfirmSelect = confirm::Select "confirm.select";
    ConfirmSelectOk = confirm::SelectOk "confirm.select_ok";
    TxSelect = tx::Select "tx.select";
    TxSelectOk = tx::SelectOk "tx.select_ok";
    TxCommit = tx::Commit "tx.commit";
    TxCommitOk = tx::CommitOk "tx.commit_ok";
    TxRollback = tx::Rollback "tx.rollback";
    TxRollbackOk = tx::RollbackOk "tx.rollback_ok";
}

const ACK_IDS: [u8; 4] = basic::Ack::ID.to_be_bytes();
/// Delivery tag and the bit `multiple`.
const ACK_FIELDS_BYTES: usize = size_of::<u64>() + 1;

/// No method has this id.
struct UnknownId;

const fn id_of(class_id: u16, method_id: u16) -> u32 {
    (class_id as u32) << 16 | method_id as u32
}

/// Whether a content header and bodies follow the method with these ids.
#[must_use]
pub const fn carries_content(class_id: u16, method_id: u16) -> bool {
    matches!(
        id_of(class_id, method_id),
        basic::Publish::ID | basic::Return::ID | basic::Deliver::ID | basic::GetOk::ID
    )
}

impl<'a> Method<'a> {
    /// Decodes a method frame's payload.
    ///
    /// # Errors
    /// An unknown method; fields cut short or followed by more; a name that is not UTF-8.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        // The commonest method by far; what is left of the payload is checked by its length.
        if let Some(fields) = payload.strip_prefix(&ACK_IDS)
            && fields.len() == ACK_FIELDS_BYTES
            && let Some(ack) = basic::Ack::read(&mut Reader::new(fields))
        {
            return Ok(Self::BasicAck(ack));
        }
        Self::decode_any(payload)
    }

    fn decode_any(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (Some(class_id), Some(method_id)) = (reader.u16(), reader.u16()) else {
            return Err(DecodeError::malformed(0, 0, payload));
        };
        let fields = reader.rest();
        if !carries_content(class_id, method_id) {
            reader.check_utf8();
        }
        let Ok(method) = Self::read(id_of(class_id, method_id), &mut reader) else {
            return Err(DecodeError::UnknownMethod {
                class_id,
                method_id,
            });
        };
        let Some(method) = method.filter(|_| reader.is_empty()) else {
            return Err(DecodeError::malformed(class_id, method_id, fields));
        };
        if !reader.utf8_ok() {
            return Err(DecodeError::NotUtf8 {
                class_id,
                method_id,
            });
        }
        Ok(method)
    }

    /// Appends the payload: ids and fields, no frame around it.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (class_id, method_id) = self.class_method();
        let mut writer = Writer::new(out);
        class_id.write(&mut writer);
        method_id.write(&mut writer);
        self.write(&mut writer);
    }

    /// Appends the whole frame.
    #[inline]
    pub fn write_frame(&self, out: &mut Vec<u8>, channel: u16) {
        frame::write_method(out, channel, |out| self.encode(out));
    }

    /// Whether a content header and bodies follow.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        let (class_id, method_id) = self.class_method();
        carries_content(class_id, method_id)
    }
}

#[cfg(test)]
mod tests;
