//! How the broker may look into the properties of an AMQP 0-9-1 message.
//!
//! Invariants
//! - Headers were validated when they were published, so reading them again can not fail half way;
//!   what can not be read is treated as not there.
//! - A rewrite keeps every other property byte for byte.

use std::borrow::Cow;

use amqp091::RawTable;
use amqp091::properties::{Change, Edit, Properties, edit};
use ferry_broker::MessageFormat;
use ferry_core::arguments::Arguments;
use ferry_core::routing::HeaderView;

use super::arguments;

/// The format of [`ferry_core::message::FORMAT_AMQP091`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Amqp091Format;

impl MessageFormat for Amqp091Format {
    fn headers(&self, properties: &[u8]) -> Arguments {
        let headers = Properties::parse(properties)
            .ok()
            .and_then(|found| found.headers());
        headers.map(arguments::read_valid).unwrap_or_default()
    }

    fn rewrite(&self, properties: &[u8], headers: &Arguments, clear_expiration: bool) -> Vec<u8> {
        let Ok(before) = Properties::parse(properties) else {
            return properties.to_vec();
        };
        let table = arguments::to_table(headers).to_bytes();
        let change = Edit {
            headers: Change::Set(RawTable::new(&table)),
            expiration: if clear_expiration {
                Change::Clear
            } else {
                Change::Keep
            },
            ..Edit::default()
        };
        let mut out = Vec::with_capacity(properties.len() + table.len());
        edit(&before, &change, &mut out);
        out
    }

    fn expiration(&self, properties: &[u8]) -> Option<String> {
        let expiration = Properties::parse(properties).ok()?.expiration()?;
        Some(expiration.as_str_lossy().into_owned())
    }
}

/// Headers of a message that is being published, decoded when a route asks for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LazyHeaders<'a>(pub(crate) Option<RawTable<'a>>);

impl HeaderView for LazyHeaders<'_> {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Owned(self.0.map(arguments::read_valid).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use amqp091::{ShortStr, Table};
    use ferry_core::arguments::Value;

    use super::*;

    fn block() -> Vec<u8> {
        let mut table = Table::new();
        table.push(ShortStr::lit("n"), 7i32);
        let headers = table.to_bytes();
        Edit {
            headers: Change::Set(RawTable::new(&headers)),
            delivery_mode: Change::Set(2),
            expiration: Change::Set(ShortStr::lit("500")),
            ..Edit::default()
        }
        .build()
    }

    #[test]
    fn headers_and_expiration_are_found() {
        let block = block();
        assert_eq!(Amqp091Format.headers(&block).get("n"), Some(&Value::I32(7)));
        assert_eq!(Amqp091Format.expiration(&block).as_deref(), Some("500"));
    }

    #[test]
    fn a_rewrite_replaces_headers_and_keeps_the_rest() {
        let headers: Arguments = [("x-death", Value::Array(vec![]))].into_iter().collect();
        let rewritten = Amqp091Format.rewrite(&block(), &headers, true);
        let properties = Properties::parse(&rewritten).unwrap();
        assert_eq!(properties.delivery_mode(), Some(2));
        assert_eq!(properties.expiration(), None);
        assert_eq!(Amqp091Format.headers(&rewritten), headers);
    }

    #[test]
    fn nothing_is_found_in_what_is_no_property_block() {
        assert!(Amqp091Format.headers(&[0xff]).is_empty());
        assert_eq!(
            Amqp091Format.rewrite(&[0xff], &Arguments::new(), true),
            [0xff]
        );
    }
}
