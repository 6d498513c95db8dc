//! What is answered to a request.
//!
//! Invariants
//! - An answer is one text, with the NUL that ends it.

use ferry_broker::{AccessRefused, ConsumeError, DefinitionError, ErrorKind};
use serde::Serialize;

/// What went wrong: a word for programs, and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Problem {
        let text = text.into();
        Problem { code, text }
    }

    /// The request makes no sense.
    pub(super) fn bad(text: impl Into<String>) -> Problem {
        Problem::new("bad_request", text)
    }
}

impl From<AccessRefused> for Problem {
    fn from(error: AccessRefused) -> Problem {
        Problem::new("access_refused", error.to_string())
    }
}

impl From<DefinitionError> for Problem {
    fn from(error: DefinitionError) -> Problem {
        let code = match error.kind() {
            ErrorKind::NotFound => "not_found",
            ErrorKind::AccessRefused => "access_refused",
            ErrorKind::ResourceLocked => "locked",
            ErrorKind::PreconditionFailed | ErrorKind::NotImplemented => "refused",
            ErrorKind::Internal => "internal",
        };
        Problem::new(code, error.to_string())
    }
}

impl From<ConsumeError> for Problem {
    fn from(error: ConsumeError) -> Problem {
        Problem::new("refused", error.to_string())
    }
}

/// What is told to the client beside messages.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Answer<'a> {
    Ok {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        routed: Option<bool>,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        code: &'a str,
        text: &'a str,
    },
    Ended {
        subscription: u64,
        text: &'a str,
    },
}

/// Writes anything as a text.
pub(super) fn write(out: &mut Vec<u8>, what: &impl Serialize) {
    let written = serde_json::to_writer(&mut *out, what);
    written.expect("a vector takes all that is written, and keys are texts");
    out.push(0);
}

/// It is done; of a publish also whether a queue took it.
pub(super) fn write_ok(out: &mut Vec<u8>, id: Option<u64>, routed: Option<bool>) {
    write(out, &Answer::Ok { id, routed });
}

/// It is not done.
pub(super) fn write_error(out: &mut Vec<u8>, id: Option<u64>, problem: &Problem) {
    let Problem { code, text } = problem;
    write(out, &Answer::Error { id, code, text });
}

/// A subscription has ended by itself.
pub(super) fn write_ended(out: &mut Vec<u8>, subscription: u64, text: &str) {
    write(out, &Answer::Ended { subscription, text });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_texts_that_a_nul_ends() {
        let mut out = Vec::new();
        write_ok(&mut out, None, None);
        write_ok(&mut out, Some(7), Some(false));
        write_error(&mut out, Some(1), &Problem::bad("a\0\"b\""));
        write_ended(&mut out, 2, "gone");
        let texts: Vec<_> = out.split(|byte| *byte == 0).collect();
        let expected: [&[u8]; 5] = [
            br#"{"op":"ok"}"#,
            br#"{"op":"ok","id":7,"routed":false}"#,
            br#"{"op":"error","id":1,"code":"bad_request","text":"a\u0000\"b\""}"#,
            br#"{"op":"ended","subscription":2,"text":"gone"}"#,
            b"",
        ];
        assert_eq!(texts, expected);
    }
}
