//! How the broker looks into the properties of a message, format by format.
//!
//! Invariants
//! - The broker itself knows no format: whoever brings messages of a format registers it.

use std::borrow::Cow;
use std::sync::Arc;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Message;
use ferry_core::queue::MessageId;
use ferry_core::view::MessageView;

use crate::{Properties, PropertyError};

/// What the broker itself takes notice of in a message's properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basics {
    /// Whether the publisher asked for it to outlive the broker.
    pub persistent: bool,
    /// Its priority, 0 if there is none.
    pub priority: u8,
    /// Its time to live, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The publisher's name for it.
    pub message_id: Option<String>,
}

/// A change of a message's properties on its way in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Amendment<'a> {
    /// Headers that are not there afterwards.
    pub removed: Vec<&'a str>,
    /// Headers that are there afterwards, once each, with these values.
    pub set: Vec<(&'a str, Cow<'a, Value>)>,
    /// The timestamp, in seconds, for formats that have one.
    pub timestamp: Option<u64>,
    /// The message id, for formats that have one.
    pub message_id: Option<String>,
}

impl Amendment<'_> {
    /// Whether a header of that name does not stay as it is.
    pub fn touches(&self, name: &str) -> bool {
        self.removed.contains(&name) || self.set.iter().any(|(set, _)| *set == name)
    }

    /// Changes headers.
    pub fn apply(&self, headers: &Arguments) -> Arguments {
        let kept = headers.iter().filter(|(name, _)| !self.touches(name));
        let kept = kept.map(|(name, value)| (name, value.clone()));
        let set = self.set.iter();
        kept.chain(set.map(|(name, value)| (*name, (**value).clone())))
            .collect()
    }
}

/// The properties of one format.
pub trait MessageFormat: Send + Sync {
    /// What the broker must know; none if a door would not accept these properties.
    fn basics(&self, properties: &[u8]) -> Option<Basics>;

    /// Lets `look` see into a message; it is not called if its properties can not be read.
    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView));

    /// All headers.
    fn headers(&self, properties: &[u8]) -> Arguments;

    /// The same properties with other headers, and without the expiration if so wished.
    fn rewrite(&self, properties: &[u8], headers: &Arguments, clear_expiration: bool) -> Vec<u8>;

    /// The same properties amended; a format without a timestamp or a message id leaves that out.
    fn amend(&self, properties: &[u8], amendment: &Amendment<'_>) -> Vec<u8> {
        let headers = amendment.apply(&self.headers(properties));
        self.rewrite(properties, &headers, false)
    }

    /// What tells messages apart that must not be stored twice, if the publisher gave them an id:
    /// the header `x-deduplication-header`, else the message id.
    fn identity(&self, properties: &[u8]) -> Option<MessageId>;

    /// All properties by name.
    fn describe(&self, properties: &[u8]) -> Properties {
        let basics = self.basics(properties).unwrap_or_default();
        Properties {
            headers: Some(self.headers(properties)),
            delivery_mode: Some(if basics.persistent { 2 } else { 1 }),
            priority: Some(basics.priority),
            expiration: self.expiration(properties),
            message_id: basics.message_id,
            ..Properties::default()
        }
    }

    /// Properties in this format, checked as if a publisher had sent them.
    fn compose(&self, properties: &Properties) -> Result<Vec<u8>, PropertyError> {
        let _nothing_of_it = properties;
        Err(PropertyError::Unsupported)
    }

    /// The time to live as the publisher wrote it.
    fn expiration(&self, properties: &[u8]) -> Option<String>;
}

/// All formats that the doors have registered.
#[derive(Clone, Default)]
pub struct Formats(Vec<(u8, Arc<dyn MessageFormat>)>);

impl Formats {
    /// Registers a format under the tag that its messages carry.
    pub fn add(&mut self, tag: u8, format: Arc<dyn MessageFormat>) {
        self.0.retain(|(known, _)| *known != tag);
        self.0.push((tag, format));
    }

    /// The format of that tag.
    pub fn get(&self, tag: u8) -> Option<&Arc<dyn MessageFormat>> {
        self.0
            .iter()
            .find(|(known, _)| *known == tag)
            .map(|(_, format)| format)
    }
}
