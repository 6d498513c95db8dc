//! Looking into a message: what routing, filters and keys read of its properties.
//!
//! Invariants
//! - A view is read, never kept; what it does not have is `None`, whatever the reason.
//!
//! Not here: how properties look on a wire (the doors' formats implement the view).

use std::borrow::Cow;

use crate::arguments::{Arguments, Value, decimal};

/// A property that every protocol has in one form or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Property {
    /// Whether it was published to outlive the broker: a truth.
    Persistent,
    /// Its priority: an integer.
    Priority,
    /// The publisher's name for it.
    MessageId,
    /// When it was made, as its publisher says, in milliseconds since the Unix epoch: an integer.
    Timestamp,
    /// What it answers.
    CorrelationId,
    /// Its type.
    Type,
    /// The type of its body.
    ContentType,
    /// How its body is encoded.
    ContentEncoding,
    /// Where answers go.
    ReplyTo,
    /// What made it.
    AppId,
    /// Who published it.
    UserId,
    /// Its time to live as its publisher wrote it.
    Expiration,
    /// The exchange that it was published to.
    Exchange,
    /// The routing key that it was published with.
    RoutingKey,
    /// The group that it belongs to, in protocols that have one.
    GroupId,
}

/// One value of a message, as long as the message is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operand<'a> {
    /// Text; the wire promises no encoding.
    Text(&'a [u8]),
    /// An integer of any width.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
}

impl<'a> Operand<'a> {
    /// The operand that a value is; none for tables, lists, and integers beyond 64 bits.
    pub fn of(value: &'a Value) -> Option<Operand<'a>> {
        match value {
            Value::Str(bytes) | Value::Bytes(bytes) => Some(Operand::Text(bytes)),
            Value::Bool(value) => Some(Operand::Bool(*value)),
            Value::F32(value) => Some(Operand::Float(f64::from(*value))),
            Value::F64(value) => Some(Operand::Float(*value)),
            Value::Decimal { scale, value } => Some(Operand::Float(decimal(*scale, *value))),
            Value::Timestamp(seconds) => i64::try_from(*seconds).ok().map(Operand::Integer),
            integer => i64::try_from(integer.as_integer()?)
                .ok()
                .map(Operand::Integer),
        }
    }
}

/// The properties and headers of one message.
pub trait MessageView {
    /// All headers.
    fn headers(&self) -> Cow<'_, Arguments>;

    /// The first header of that name; none if it is a table or a list.
    fn header(&self, name: &str) -> Option<Operand<'_>>;

    /// A property.
    fn property(&self, property: Property) -> Option<Operand<'_>>;

    /// Whether there is a header of that name, of whatever type.
    fn has_header(&self, name: &str) -> bool {
        self.headers().contains(name)
    }

    /// Whether the publisher gave that property; what has a default need not be given.
    fn has(&self, property: Property) -> bool {
        self.property(property).is_some()
    }
}

impl MessageView for Arguments {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Borrowed(self)
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        self.get(name).and_then(Operand::of)
    }

    fn property(&self, _: Property) -> Option<Operand<'_>> {
        None
    }
}

/// A message of which nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoView;

impl MessageView for NoView {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Owned(Arguments::new())
    }

    fn header(&self, _: &str) -> Option<Operand<'_>> {
        None
    }

    fn property(&self, _: Property) -> Option<Operand<'_>> {
        None
    }
}
