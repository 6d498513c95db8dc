//! A connection of `ferrymq.json`.
//!
//! Invariants
//! - It logs in before anything else, and says nothing behind its goodbye.
//! - What it hears has the fields that are written down for it, and no others.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{End, Line, Telling};
use crate::wire::USER;
use crate::wire::house::PASSWORD;
use crate::wire::pipe::Pipe;
use crate::{Checked, violated};

/// The id of its log-in; those of its client are higher.
const LOGIN: u64 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Entering,
    Open,
    Leaving,
}

/// A connection.
pub(in crate::wire) struct JsonLine {
    end: End,
    stage: Stage,
}

/// A message, as a client gets it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::wire) struct Arrived {
    pub(in crate::wire) subscription: u64,
    pub(in crate::wire) tag: Option<u64>,
    pub(in crate::wire) exchange: String,
    pub(in crate::wire) key: String,
    pub(in crate::wire) topic: Option<String>,
    pub(in crate::wire) body: Option<String>,
    pub(in crate::wire) body_base64: Option<String>,
    pub(in crate::wire) properties: Map<String, Value>,
    pub(in crate::wire) redelivered: bool,
}

/// What the other side says.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(in crate::wire) enum Told {
    Ok {
        id: u64,
        routed: Option<bool>,
    },
    Error {
        id: Option<u64>,
        code: String,
        text: String,
    },
    Message(Box<Arrived>),
}

/// Something that is for the client.
pub(in crate::wire) enum Answer {
    LetIn,
    Told(Told),
}

impl JsonLine {
    pub(in crate::wire) fn new(pipe: Pipe, life: u64) -> JsonLine {
        let mut line = JsonLine {
            end: End::new(pipe, life),
            stage: Stage::Entering,
        };
        line.say(&json!({"op": "login", "id": LOGIN, "user": USER, "password": PASSWORD}));
        line
    }

    pub(in crate::wire) fn say(&mut self, what: &Value) {
        let out = self.end.pipe.out();
        out.extend_from_slice(what.to_string().as_bytes());
        out.push(0);
    }

    /// Says goodbye.
    pub(in crate::wire) fn say_goodbye(&mut self) {
        self.end.pipe.say_close();
        self.stage = Stage::Leaving;
    }
}

impl Line for JsonLine {
    fn end(&self) -> &End {
        &self.end
    }

    fn end_mut(&mut self) -> &mut End {
        &mut self.end
    }

    fn into_end(self) -> End {
        self.end
    }

    /// Nobody was let in, or its WebSocket was closed.
    fn closed(&self) -> Option<&str> {
        let End { closed, pipe, .. } = &self.end;
        closed.as_deref().or_else(|| pipe.closed())
    }

    fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    fn is_gone(&self) -> bool {
        self.stage == Stage::Leaving && self.end.pipe.is_echoed()
    }
}

impl Telling for JsonLine {
    type Heard<'a> = Answer;

    fn next(&mut self, all: &[u8], at: &mut usize) -> Checked<Option<Answer>> {
        let Some(count) = all[*at..].iter().position(|byte| *byte == 0) else {
            return Ok(None);
        };
        let text = &all[*at..*at + count];
        *at += count + 1;
        let told = match serde_json::from_slice(text) {
            Ok(told) => told,
            Err(error) => return violated!("{}: {error}", text.escape_ascii()),
        };
        match (self.stage, told) {
            (Stage::Entering, Told::Ok { id: LOGIN, .. }) => {
                self.stage = Stage::Open;
                Ok(Some(Answer::LetIn))
            }
            (Stage::Entering, Told::Error { code, text, .. }) => {
                self.end.closed = Some(format!("{code}: {text}"));
                Ok(None)
            }
            (Stage::Entering, told) => violated!("{told:?} before it is let in"),
            (_, told) => Ok(Some(Answer::Told(told))),
        }
    }
}
