//! Properties with headers, written down with serde.

use std::borrow::Cow;

use ferry_broker::{Basics, MessageFormat, MessageId, MessageView};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Message;
use ferry_core::view::{Operand, Property};
use serde::{Deserialize, Serialize};

/// The tag of the format in messages.
pub const FORMAT_FULL: u8 = 9;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Full {
    pub persistent: bool,
    pub priority: u8,
    pub ttl_ms: Option<u64>,
    pub message_id: Option<String>,
    pub headers: Arguments,
}

impl Full {
    /// Persistent, of that id, with these headers.
    pub fn new(id: &str, headers: &[(&str, Value)]) -> Full {
        Full {
            persistent: true,
            message_id: Some(id.to_owned()),
            headers: headers.iter().cloned().collect(),
            ..Full::default()
        }
    }

    pub fn write(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap()
    }

    pub fn read(bytes: &[u8]) -> Option<Full> {
        match postcard::take_from_bytes(bytes) {
            Ok((full, [])) => Some(full),
            _ => None,
        }
    }
}

impl MessageView for Full {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Borrowed(&self.headers)
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        self.headers.header(name)
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        match property {
            Property::MessageId => {
                let id = self.message_id.as_ref()?;
                Some(Operand::Text(id.as_bytes()))
            }
            _ => None,
        }
    }
}

pub struct FullFormat;

impl MessageFormat for FullFormat {
    fn basics(&self, properties: &[u8]) -> Option<Basics> {
        let full = Full::read(properties)?;
        Some(Basics {
            persistent: full.persistent,
            priority: full.priority,
            ttl_ms: full.ttl_ms,
            message_id: full.message_id,
        })
    }

    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        look(&Full::read(message.properties()).unwrap_or_default());
    }

    fn headers(&self, properties: &[u8]) -> Arguments {
        Full::read(properties).unwrap_or_default().headers
    }

    fn rewrite(&self, properties: &[u8], headers: &Arguments, clear: bool) -> Vec<u8> {
        let before = Full::read(properties).unwrap_or_default();
        let after = Full {
            headers: headers.clone(),
            ttl_ms: before.ttl_ms.filter(|_| !clear),
            ..before
        };
        after.write()
    }

    fn identity(&self, properties: &[u8]) -> Option<MessageId> {
        let id = Full::read(properties)?.message_id?;
        Some(MessageId::of_text(id.as_bytes()))
    }

    fn expiration(&self, properties: &[u8]) -> Option<String> {
        Some(Full::read(properties)?.ttl_ms?.to_string())
    }
}
