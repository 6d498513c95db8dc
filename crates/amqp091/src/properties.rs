//! Message properties: a word of flags, then the values that are there.
//!
//! ```text
//! | flags u16 | value ... |   bit 15 content_type ... bit 2 cluster_id, bit 0 more flags follow
//! ```
//!
//! Invariants
//! - `parse` goes over the block once, allocates nothing and steps over the headers without
//!   looking inside.
//! - A block that parsed ends with its last value; every getter is then a slice of it.
//! - `edit` keeps each property it is not told to change byte for byte.
//!
//! A second flag word is refused: it could only announce properties that do not exist. Bit 1 is
//! ignored, as RabbitMQ does.

use crate::error::DecodeError;
use crate::table::{RawTable, TableError, Value};
use crate::wire::{Reader, ShortStr, put_long, put_short};

/// A block without properties.
pub const EMPTY: [u8; 2] = [0, 0];

const COUNT: usize = 14;
/// Flags that announce a value; the two lowest do not.
const KNOWN: u16 = 0xFFFC;
const CONTINUES: u16 = 1;

/// The properties, in wire order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    ContentType,
    ContentEncoding,
    Headers,
    DeliveryMode,
    Priority,
    CorrelationId,
    ReplyTo,
    Expiration,
    MessageId,
    Timestamp,
    Type,
    UserId,
    AppId,
    ClusterId,
}

impl Property {
    const ALL: [Property; COUNT] = [
        Self::ContentType,
        Self::ContentEncoding,
        Self::Headers,
        Self::DeliveryMode,
        Self::Priority,
        Self::CorrelationId,
        Self::ReplyTo,
        Self::Expiration,
        Self::MessageId,
        Self::Timestamp,
        Self::Type,
        Self::UserId,
        Self::AppId,
        Self::ClusterId,
    ];

    #[inline]
    const fn flag(self) -> u16 {
        0x8000 >> self as u16
    }

    /// Steps over the value.
    #[inline]
    fn skip(self, reader: &mut Reader<'_>) -> Option<()> {
        match self {
            Self::Headers => reader.long_bytes().map(drop),
            Self::DeliveryMode | Self::Priority => reader.u8().map(drop),
            Self::Timestamp => reader.u64().map(drop),
            _ => reader.short_bytes().map(drop),
        }
    }
}

/// A property block, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
    flags: u16,
    /// Where each value that is there starts in `raw`.
    starts: [u32; COUNT],
}

macro_rules! short_getters {
    ($($(#[$doc:meta])* $name:ident = $property:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> Option<ShortStr<'a>> {
            self.value(Property::$property)?.short_str()
        }
    )*};
}

impl<'a> Properties<'a> {
    /// Reads a block: flags and values, all of it.
    ///
    /// # Errors
    /// Values cut short, bytes after the last one, or a second flag word.
    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(raw);
        let Some(flags) = reader.u16() else {
            return Err(DecodeError::Properties("no flags"));
        };
        if flags & CONTINUES != 0 {
            return Err(DecodeError::Properties(
                "more flags than there are properties",
            ));
        }
        let mut starts = [0; COUNT];
        let mut left = flags & KNOWN;
        while left != 0 {
            let index = left.leading_zeros() as usize;
            let property = Property::ALL[index];
            left &= !property.flag();
            starts[index] = u32::try_from(raw.len() - reader.rest().len())
                .map_err(|_| DecodeError::Properties("over 4 GiB"))?;
            if property.skip(&mut reader).is_none() {
                return Err(DecodeError::Properties("cut short"));
            }
        }
        if !reader.is_empty() {
            return Err(DecodeError::Properties("bytes after the last value"));
        }
        Ok(Self { raw, flags, starts })
    }

    /// The whole block as it came.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    #[inline]
    fn value(&self, property: Property) -> Option<Reader<'a>> {
        if self.flags & property.flag() == 0 {
            return None;
        }
        self.raw
            .get(self.starts[property as usize] as usize..)
            .map(Reader::new)
    }

    /// A value's bytes, lengths included.
    fn value_bytes(&self, property: Property) -> &'a [u8] {
        let Some(mut reader) = self.value(property) else {
            return &[];
        };
        let from = reader.rest();
        let _ = property.skip(&mut reader);
        &from[..from.len() - reader.rest().len()]
    }

    /// The headers table; may be malformed inside, see [`Self::validate_headers`].
    #[must_use]
    pub fn headers(&self) -> Option<RawTable<'a>> {
        self.value(Property::Headers)?
            .long_bytes()
            .map(RawTable::new)
    }

    /// Checks the inside of the headers, which `parse` has not looked at.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate_headers(&self) -> Result<(), TableError> {
        self.headers().map_or(Ok(()), RawTable::validate)
    }

    /// 2 is persistent.
    #[must_use]
    pub fn delivery_mode(&self) -> Option<u8> {
        self.value(Property::DeliveryMode)?.u8()
    }

    /// Higher goes first, in a queue that has priorities.
    #[must_use]
    pub fn priority(&self) -> Option<u8> {
        self.value(Property::Priority)?.u8()
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn timestamp(&self) -> Option<u64> {
        self.value(Property::Timestamp)?.u64()
    }

    short_getters! {
        /// MIME type of the body.
        content_type = ContentType;
        /// MIME encoding of the body.
        content_encoding = ContentEncoding;
        /// What request a reply belongs to.
        correlation_id = CorrelationId;
        /// Where replies go.
        reply_to = ReplyTo;
        /// Time to live: decimal milliseconds.
        expiration = Expiration;
        /// The publisher's name for the message.
        message_id = MessageId;
        /// The publisher's kind of message.
        type_ = Type;
        /// Who published; checked against the connection's user.
        user_id = UserId;
        /// The publishing application.
        app_id = AppId;
        /// Kept from older versions of the protocol.
        cluster_id = ClusterId;
    }
}

/// What is to become of one property.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays, byte for byte.
    #[default]
    Keep,
    /// It goes.
    Clear,
    /// It gets this value, whether or not it had one.
    Set(T),
}

/// Changes to a property block. The default keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edit<'e> {
    /// MIME type of the body.
    pub content_type: Change<ShortStr<'e>>,
    /// MIME encoding of the body.
    pub content_encoding: Change<ShortStr<'e>>,
    /// The headers table.
    pub headers: Change<RawTable<'e>>,
    /// 2 is persistent.
    pub delivery_mode: Change<u8>,
    /// Higher goes first.
    pub priority: Change<u8>,
    /// What request a reply belongs to.
    pub correlation_id: Change<ShortStr<'e>>,
    /// Where replies go.
    pub reply_to: Change<ShortStr<'e>>,
    /// Time to live: decimal milliseconds.
    pub expiration: Change<ShortStr<'e>>,
    /// The publisher's name for the message.
    pub message_id: Change<ShortStr<'e>>,
    /// Seconds since 1970.
    pub timestamp: Change<u64>,
    /// The publisher's kind of message.
    pub type_: Change<ShortStr<'e>>,
    /// Who published.
    pub user_id: Change<ShortStr<'e>>,
    /// The publishing application.
    pub app_id: Change<ShortStr<'e>>,
    /// Kept from older versions of the protocol.
    pub cluster_id: Change<ShortStr<'e>>,
}

/// Appends `properties` with the edit applied.
pub fn edit(properties: &Properties<'_>, edit: &Edit<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&EMPTY);
    let mut flags = properties.flags & !KNOWN;
    for property in Property::ALL {
        let before = out.len();
        edit.put(property, properties, out);
        if out.len() > before {
            flags |= property.flag();
        }
    }
    out[start..start + 2].copy_from_slice(&u16::to_be_bytes(flags));
}

/// Appends `properties` with one header more, at the end of the others; all else byte for byte.
/// A header of that name which is there already stays, too: look before.
pub fn push_header(
    properties: &Properties<'_>,
    name: ShortStr<'_>,
    value: &Value,
    out: &mut Vec<u8>,
) {
    let before = properties.value_bytes(Property::Headers);
    let after_it = (properties.flags & (Property::Headers.flag() - 1) & KNOWN).leading_zeros();
    let end = properties.starts.get(after_it as usize);
    let end = end.map_or(properties.raw.len(), |start| *start as usize);
    out.extend_from_slice(&u16::to_be_bytes(
        properties.flags | Property::Headers.flag(),
    ));
    out.extend_from_slice(&properties.raw[EMPTY.len()..end - before.len()]);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(before.get(4..).unwrap_or_default());
    put_short(out, name);
    value.encode(out);
    let length = u32::try_from(out.len() - length_at - 4).expect("headers fit a frame");
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&properties.raw[end..]);
}

impl Edit<'_> {
    /// A block with just what this edit sets.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let nothing = Properties {
            raw: &EMPTY,
            flags: 0,
            starts: [0; COUNT],
        };
        let mut out = Vec::new();
        edit(&nothing, self, &mut out);
        out
    }

    /// Appends one property as it is after the edit; nothing if it is not there. No value is empty.
    fn put(&self, property: Property, before: &Properties<'_>, out: &mut Vec<u8>) {
        let kept = before.value_bytes(property);
        let short = |change: Change<ShortStr<'_>>, out: &mut Vec<u8>| {
            apply(change, kept, out, |out, text| put_short(out, text));
        };
        match property {
            Property::ContentType => short(self.content_type, out),
            Property::ContentEncoding => short(self.content_encoding, out),
            Property::Headers => {
                apply(self.headers, kept, out, |out, table| {
                    put_long(out, table.as_bytes())
                });
            }
            Property::DeliveryMode => apply(self.delivery_mode, kept, out, Vec::push),
            Property::Priority => apply(self.priority, kept, out, Vec::push),
            Property::CorrelationId => short(self.correlation_id, out),
            Property::ReplyTo => short(self.reply_to, out),
            Property::Expiration => short(self.expiration, out),
            Property::MessageId => short(self.message_id, out),
            Property::Timestamp => apply(self.timestamp, kept, out, |out, seconds| {
                out.extend_from_slice(&seconds.to_be_bytes());
            }),
            Property::Type => short(self.type_, out),
            Property::UserId => short(self.user_id, out),
            Property::AppId => short(self.app_id, out),
            Property::ClusterId => short(self.cluster_id, out),
        }
    }
}

fn apply<T>(change: Change<T>, kept: &[u8], out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>, T)) {
    match change {
        Change::Keep => out.extend_from_slice(kept),
        Change::Clear => {}
        Change::Set(value) => put(out, value),
    }
}

#[cfg(test)]
mod tests;
