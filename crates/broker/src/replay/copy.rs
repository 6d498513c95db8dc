//! The copy of a message that is replayed: its properties, with what was edited and the header
//! that tells of the replay.

use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Message;

use super::{Edit, PROPERTIES_BYTES_MAX};
use crate::{Broker, OperateError, QueueHandle};

/// The header that tells of the replay.
const REPLAY: &str = "x-ferry-replay";

/// What a copy has that its message has not.
pub(super) struct Copy {
    pub properties: Vec<u8>,
    pub headers: Arguments,
    pub persistent: bool,
    pub priority: u8,
    pub ttl_ms: Option<u64>,
}

impl Broker {
    pub(super) fn replayed(
        &self,
        queue: &QueueHandle,
        message: &Message<'_>,
        edit: Option<&Edit>,
    ) -> Result<Copy, OperateError> {
        let unknown = OperateError::UnknownFormat(message.format());
        let format = self.options.formats.get(message.format()).ok_or(unknown)?;
        let mut copy = Copy {
            properties: message.properties().to_vec(),
            headers: Arguments::new(),
            persistent: message.persistent(),
            priority: message.priority(),
            ttl_ms: message.ttl_ms(),
        };
        let before = format.headers(message.properties());
        let id = |properties: &[u8]| format.basics(properties).and_then(|known| known.message_id);
        if let Some(properties) = edit.and_then(|edit| edit.properties.as_ref()) {
            let refused = || OperateError::out_of_range("properties", "a block of their format");
            let basics = format.basics(properties).ok_or_else(refused)?;
            copy = Copy {
                properties: properties.clone(),
                headers: Arguments::new(),
                persistent: basics.persistent,
                priority: basics.priority,
                ttl_ms: basics.ttl_ms,
            };
        }
        copy.headers = match edit.and_then(|edit| edit.headers.as_ref()) {
            Some(headers) => headers.clone(),
            None => format.headers(&copy.properties),
        };
        let mut note = Note::after(&before, queue, self.now());
        if edit.is_some() {
            let ids = (id(message.properties()), id(&copy.properties));
            note.edited(ids);
        }
        copy.headers.insert(REPLAY, note.0);
        copy.properties = format.rewrite(&copy.properties, &copy.headers, false);
        if edit.is_some() && copy.properties.len() > PROPERTIES_BYTES_MAX {
            let range = format!("at most {PROPERTIES_BYTES_MAX} bytes");
            return Err(OperateError::out_of_range("properties", range));
        }
        Ok(copy)
    }
}

/// The value of the header.
struct Note(Arguments);

impl Note {
    /// One more replay after those that the headers tell of.
    fn after(headers: &Arguments, queue: &QueueHandle, now: u64) -> Note {
        let before = headers.get(REPLAY).and_then(Value::as_table);
        let count = before
            .and_then(|before| before.get("count"))
            .and_then(Value::as_integer)
            .and_then(|count| i64::try_from(count).ok());
        let mut note = Arguments::new();
        note.insert("queue", queue.name());
        note.insert("time", Value::Timestamp(now / 1000));
        note.insert("count", count.unwrap_or(0).saturating_add(1));
        for kept in ["edited", "original-message-id"] {
            if let Some(value) = before.and_then(|before| before.get(kept)) {
                note.insert(kept, value.clone());
            }
        }
        Note(note)
    }

    /// It was edited, and had the first id before.
    fn edited(&mut self, (before, after): (Option<String>, Option<String>)) {
        self.0.insert("edited", true);
        if let Some(before) = before.filter(|before| Some(before) != after.as_ref())
            && !self.0.contains("original-message-id")
        {
            self.0.insert("original-message-id", before);
        }
    }
}
