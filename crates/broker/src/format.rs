//! How the broker looks into the properties of a message, format by format.
//!
//! Invariants
//! - The broker itself knows no format: whoever brings messages of a format registers it.

use std::sync::Arc;

use ferry_core::arguments::Arguments;
use ferry_core::queue::MessageId;

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

/// The properties of one format.
pub trait MessageFormat: Send + Sync {
    /// What the broker must know; none if a door would not accept these properties.
    fn basics(&self, properties: &[u8]) -> Option<Basics>;

    /// All headers.
    fn headers(&self, properties: &[u8]) -> Arguments;

    /// The same properties with other headers, and without the expiration if so wished.
    fn rewrite(&self, properties: &[u8], headers: &Arguments, clear_expiration: bool) -> Vec<u8>;

    /// What tells messages apart that must not be stored twice, if the publisher gave them an id:
    /// the header `x-deduplication-header`, else the message id.
    fn identity(&self, properties: &[u8]) -> Option<MessageId>;

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
