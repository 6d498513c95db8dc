//! AMQP 0-9-1 held against `amq-protocol`, the codec of lapin.
//!
//! What both read says the same; what only one reads has its reason in [`only_here`] or
//! [`only_there`].

use amq_protocol::frame::parsing::parse_content_header;
use amq_protocol::protocol::{AMQPClass, basic, exchange, parse_class, queue};
use amq_protocol::types::parsing::{ParserError, parse_field_table};
use amq_protocol::types::{AMQPValue, DecimalValue, FieldTable, ShortString};
use amqp091::properties::Properties;
use amqp091::{ContentHeader, Method, RawTable, RawValue, ShortStr, TableError};

/// The first byte says what the others are: a table, a content header or a method.
///
/// # Panics
/// If the two disagree.
pub fn check_amqp091(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else {
        return;
    };
    match what % 3 {
        0 => check_table(rest),
        1 => check_header(rest),
        _ => check_method(rest),
    }
}

fn check_table(entries: &[u8]) {
    let size = u32::try_from(entries.len()).expect("a fuzzer's input is short");
    let framed = [&size.to_be_bytes(), entries].concat();
    let raw = RawTable::new(entries);
    match (raw.validate(), whole(parse_field_table(framed.as_slice()))) {
        (Ok(()), Some(theirs)) => assert_same(&table(raw), &theirs),
        (Ok(()), None) => assert!(only_here(&[raw]), "only we read {entries:02x?}"),
        (Err(error), Some(_)) => assert!(only_there(error), "only they read {entries:02x?}"),
        (Err(_), None) => {}
    }
}

/// They keep names as text.
fn only_here(tables: &[RawTable<'_>]) -> bool {
    tables.iter().any(|table| !names_are_text(*table))
}

/// They read `U` as the specification has it, which RabbitMQ does not, and any depth.
fn only_there(error: TableError) -> bool {
    matches!(error, TableError::UnknownTag(b'U') | TableError::TooDeep)
}

fn check_header(payload: &[u8]) {
    let theirs = whole(parse_content_header(payload));
    let Some(header) = ContentHeader::parse(payload) else {
        return assert!(theirs.is_none());
    };
    let (ours, theirs) = match (Properties::parse(header.properties), theirs) {
        (Ok(ours), Some(theirs)) => (ours, theirs),
        (Ok(ours), None) => return assert!(only_here_header(&ours), "only we read {ours:?}"),
        // They pass over the lowest bit of the flags, which says that more flags follow.
        (Err(_), Some(_)) => return assert_eq!(header.properties[1] & 1, 1),
        (Err(_), None) => return,
    };
    assert_eq!(header.class_id, theirs.class_id);
    assert_eq!(header.body_bytes, theirs.body_size);
    let theirs = theirs.properties;
    for (ours, theirs) in [
        (ours.content_type(), theirs.content_type()),
        (ours.content_encoding(), theirs.content_encoding()),
        (ours.correlation_id(), theirs.correlation_id()),
        (ours.reply_to(), theirs.reply_to()),
        (ours.expiration(), theirs.expiration()),
        (ours.message_id(), theirs.message_id()),
        (ours.type_(), theirs.kind()),
        (ours.user_id(), theirs.user_id()),
        (ours.app_id(), theirs.app_id()),
        (ours.cluster_id(), theirs.cluster_id()),
    ] {
        let ours = ours.map(ShortStr::as_bytes);
        assert_eq!(ours, theirs.as_ref().map(|text| text.as_str().as_bytes()));
    }
    assert_eq!(ours.delivery_mode(), *theirs.delivery_mode());
    assert_eq!(ours.priority(), *theirs.priority());
    assert_eq!(ours.timestamp(), *theirs.timestamp());
    match (ours.headers(), theirs.headers()) {
        (Some(ours), Some(theirs)) if ours.validate().is_ok() => assert_same(&table(ours), theirs),
        // Ours are looked at when they are needed.
        (Some(ours), Some(_)) => assert!(ours.validate().err().is_some_and(only_there)),
        (ours, theirs) => assert_eq!(ours.is_some(), theirs.is_some()),
    }
}

/// They keep all short strings as text, and look into headers at once.
fn only_here_header(ours: &Properties<'_>) -> bool {
    let headers = ours.headers().unwrap_or_default();
    let texts = [
        ours.content_type(),
        ours.content_encoding(),
        ours.correlation_id(),
        ours.reply_to(),
        ours.expiration(),
        ours.message_id(),
        ours.type_(),
        ours.user_id(),
        ours.app_id(),
        ours.cluster_id(),
    ];
    let is_text = |text: &ShortStr<'_>| text.as_str().is_some();
    headers.validate().is_err() || only_here(&[headers]) || !texts.iter().flatten().all(is_text)
}

fn check_method(payload: &[u8]) {
    let theirs = whole(parse_class(payload));
    match (Method::decode(payload), theirs) {
        (Ok(ours), Some(theirs)) => {
            let mut written = Vec::new();
            ours.encode(&mut written);
            let again = whole(parse_class(written.as_slice()));
            assert_same(&again.as_ref(), &Some(&theirs));
            assert_fields(&ours, &theirs);
        }
        (Ok(ours), None) => assert!(only_here_method(&ours), "only we read {ours:?}"),
        (Err(error), Some(theirs)) => panic!("only they read {theirs:?}: {error}"),
        (Err(_), None) => {}
    }
}

/// Tables of methods we look at when they are needed; names of what carries content need be no
/// text, as in RabbitMQ; and these methods they do not know.
fn only_here_method(ours: &Method<'_>) -> bool {
    let arguments = match ours {
        Method::ConnectionStart(start) => start.server_properties,
        Method::ConnectionStartOk(start) => start.client_properties,
        Method::ExchangeDeclare(declare) => declare.arguments,
        Method::ExchangeBind(bind) => bind.arguments,
        Method::ExchangeUnbind(unbind) => unbind.arguments,
        Method::QueueDeclare(declare) => declare.arguments,
        Method::QueueBind(bind) => bind.arguments,
        Method::QueueUnbind(unbind) => unbind.arguments,
        Method::BasicConsume(consume) => consume.arguments,
        _ => RawTable::EMPTY,
    };
    ours.has_content() || arguments.validate().is_err() || only_here(&[arguments])
}

/// Fields by name, of the methods that matter most: two that are mixed up both ways would pass the
/// other check.
fn assert_fields(ours: &Method<'_>, theirs: &AMQPClass) {
    let is = |ours: ShortStr<'_>, theirs: &ShortString| {
        assert_eq!(ours.as_bytes(), theirs.as_str().as_bytes());
    };
    match (ours, theirs) {
        (Method::BasicPublish(a), AMQPClass::Basic(basic::AMQPMethod::Publish(b))) => {
            is(a.exchange, &b.exchange);
            is(a.routing_key, &b.routing_key);
            assert_eq!((a.mandatory, a.immediate), (b.mandatory, b.immediate));
        }
        (Method::BasicDeliver(a), AMQPClass::Basic(basic::AMQPMethod::Deliver(b))) => {
            is(a.consumer_tag, &b.consumer_tag);
            is(a.exchange, &b.exchange);
            is(a.routing_key, &b.routing_key);
            let theirs = (b.delivery_tag, b.redelivered);
            assert_eq!((a.delivery_tag, a.redelivered), theirs);
        }
        (Method::BasicConsume(a), AMQPClass::Basic(basic::AMQPMethod::Consume(b))) => {
            is(a.queue, &b.queue);
            is(a.consumer_tag, &b.consumer_tag);
            let theirs = [b.no_local, b.no_ack, b.exclusive, b.nowait];
            assert_eq!([a.no_local, a.no_ack, a.exclusive, a.no_wait], theirs);
        }
        (Method::BasicNack(a), AMQPClass::Basic(basic::AMQPMethod::Nack(b))) => {
            let theirs = (b.delivery_tag, b.multiple, b.requeue);
            assert_eq!((a.delivery_tag, a.multiple, a.requeue), theirs);
        }
        (Method::QueueDeclare(a), AMQPClass::Queue(queue::AMQPMethod::Declare(b))) => {
            is(a.queue, &b.queue);
            let ours = [a.passive, a.durable, a.exclusive, a.auto_delete, a.no_wait];
            let theirs = [b.passive, b.durable, b.exclusive, b.auto_delete, b.nowait];
            assert_eq!(ours, theirs);
            match a.arguments.validate() {
                Ok(()) => assert_same(&table(a.arguments), &b.arguments),
                // Ours are looked at when they are needed.
                Err(error) => assert!(only_there(error), "only they read {theirs:?}"),
            }
        }
        (Method::QueueBind(a), AMQPClass::Queue(queue::AMQPMethod::Bind(b))) => {
            is(a.queue, &b.queue);
            is(a.exchange, &b.exchange);
            is(a.routing_key, &b.routing_key);
        }
        (Method::ExchangeDeclare(a), AMQPClass::Exchange(exchange::AMQPMethod::Declare(b))) => {
            is(a.exchange, &b.exchange);
            is(a.kind, &b.kind);
            let ours = [a.passive, a.durable, a.auto_delete, a.internal, a.no_wait];
            let theirs = [b.passive, b.durable, b.auto_delete, b.internal, b.nowait];
            assert_eq!(ours, theirs);
        }
        _ => {}
    }
}

/// What was parsed, if that was all of it.
fn whole<T>(parsed: Result<(&[u8], T), ParserError>) -> Option<T> {
    let (rest, read) = parsed.ok()?;
    rest.is_empty().then_some(read)
}

/// As they are shown: a value that is not a number is not equal to itself.
fn assert_same<T: std::fmt::Debug>(ours: &T, theirs: &T) {
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

/// A table of ours in their types; only what has been validated.
fn table(raw: RawTable<'_>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, found) in raw.iter().map_while(Result::ok) {
        let name = name.as_str().expect("they have read it as text");
        table.insert(ShortString::from(name), value(found));
    }
    table
}

fn value(raw: RawValue<'_>) -> AMQPValue {
    match raw {
        RawValue::Bool(value) => AMQPValue::Boolean(value),
        RawValue::I8(value) => AMQPValue::ShortShortInt(value),
        RawValue::U8(value) => AMQPValue::ShortShortUInt(value),
        RawValue::I16(value) => AMQPValue::ShortInt(value),
        RawValue::U16(value) => AMQPValue::ShortUInt(value),
        RawValue::I32(value) => AMQPValue::LongInt(value),
        RawValue::U32(value) => AMQPValue::LongUInt(value),
        RawValue::I64(value) => AMQPValue::LongLongInt(value),
        RawValue::F32(value) => AMQPValue::Float(value),
        RawValue::F64(value) => AMQPValue::Double(value),
        RawValue::Decimal { scale, value } => {
            AMQPValue::DecimalValue(DecimalValue { scale, value })
        }
        RawValue::Timestamp(value) => AMQPValue::Timestamp(value),
        RawValue::LongStr(bytes) => AMQPValue::LongString(bytes.into()),
        RawValue::Bytes(bytes) => AMQPValue::ByteArray(bytes.into()),
        RawValue::Array(array) => {
            let values = array.iter().map_while(Result::ok).map(value);
            AMQPValue::FieldArray(values.collect::<Vec<_>>().into())
        }
        RawValue::Table(inner) => AMQPValue::FieldTable(table(inner)),
        RawValue::Void => AMQPValue::Void,
    }
}

/// Whether all names in it are text, to every depth.
fn names_are_text(table: RawTable<'_>) -> bool {
    fn inside(value: RawValue<'_>) -> bool {
        match value {
            RawValue::Table(table) => names_are_text(table),
            RawValue::Array(array) => array.iter().map_while(Result::ok).all(inside),
            _ => true,
        }
    }
    let mut entries = table.iter().map_while(Result::ok);
    entries.all(|(name, value)| name.as_str().is_some() && inside(value))
}
