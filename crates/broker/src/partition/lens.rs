//! What a queue sees of its messages, wherever their bodies are.
//!
//! Invariants
//! - A body that can not be read back is reported and shown to nobody.

use std::cell::RefCell;

use ferry_core::queue::{BodyRef, Lens};
use ferry_core::view::MessageView;
use ferry_log::Reader;

use super::context::StateContext;
use super::effects::with_body;
use crate::Formats;

/// Looks into bodies wherever they are.
pub(super) struct BodyLens<'a> {
    reader: RefCell<&'a mut Reader>,
    formats: &'a Formats,
}

impl<'a> BodyLens<'a> {
    pub fn new(reader: &'a mut Reader, cx: &StateContext<'a>) -> BodyLens<'a> {
        BodyLens {
            reader: RefCell::new(reader),
            formats: cx.formats,
        }
    }
}

impl Lens for BodyLens<'_> {
    fn show(&self, staged: &[u8], body: &BodyRef, look: &mut dyn FnMut(&dyn MessageView)) {
        let reader = &mut **self.reader.borrow_mut();
        let read = with_body(reader, staged, body, |message| {
            if let Some(format) = self.formats.get(message.format()) {
                format.view(&message, look);
            }
        });
        if let Err(error) = read {
            tracing::error!("a message can not be looked into: {error}");
        }
    }
}
