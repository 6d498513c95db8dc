//! The way of one message, by its id.
//!
//! Invariants
//! - An id is the bytes that its percent-encoded form in the path stands for, text or not.

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ferry_broker::Hop;
use serde_json::{Map, Value, json};

use super::{ApiError, Context, State, error_body, gather, vhosts};

/// What stands before the virtual host in a path.
const PATH: &str = "/passport/";

/// Why there is nothing to show.
const NOT_NOTED: &str = "nothing is noted of a message of that id: it had none, or went through no \
     queue with a passport, or is forgotten, or came before the last start";

/// The way of a message by its id, the oldest hop first.
#[utoipa::path(get, path = "/api/ferry/passport/{vhost}/{message_id}", tag = "node",
    params(("vhost" = String, Path), ("message_id" = String, Path)),
    responses((status = 200, body = Vec<Object>), (status = 404)))]
pub(super) async fn one(State(shared): Context, uri: Uri) -> Response {
    let rest = uri.path().split_once(PATH).map(|(_, rest)| rest);
    let Some((vhost, id)) = rest.and_then(names) else {
        return ApiError::NotFound.into_response();
    };
    let found = gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        let hops = shared.broker.passport(vhost.name(), &id);
        Ok(hops.map_or(Value::Null, |hops| hops.iter().map(show).collect()))
    });
    match found.await {
        Ok(hops) if hops.is_null() => {
            let body = error_body("not_noted", NOT_NOTED);
            (StatusCode::NOT_FOUND, body).into_response()
        }
        found => found.into_response(),
    }
}

/// A virtual host and an id from the rest of a path.
fn names(rest: &str) -> Option<(String, Vec<u8>)> {
    let (vhost, id) = rest.split_once('/')?;
    Some((String::from_utf8(decoded(vhost)?).ok()?, decoded(id)?))
}

/// What percent-encoded text stands for; none if it is cut short or has no hexadecimal digits.
pub(in crate::api) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// A hop as an object: `time`, `what`, and its details beside them.
fn show(hop: &Hop) -> Value {
    let mut object = Map::new();
    object.insert("time".to_owned(), json!(hop.at));
    let (what, details) = match json!(hop.event) {
        Value::Object(event) => event.into_iter().next().unwrap_or_default(),
        what => (what.as_str().unwrap_or_default().to_owned(), Value::Null),
    };
    object.insert("what".to_owned(), json!(what));
    if let Some(queue) = &hop.queue {
        object.insert("queue".to_owned(), json!(queue));
    }
    if let Some(trace_id) = &hop.trace_id {
        let digits = trace_id.iter().map(|byte| format!("{byte:02x}"));
        object.insert("trace_id".to_owned(), json!(digits.collect::<String>()));
    }
    if let Value::Object(details) = details {
        let known = details.into_iter().filter(|(_, value)| !value.is_null());
        object.extend(known);
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use ferry_broker::Event;

    use super::*;

    #[test]
    fn a_path_names_bytes() {
        let bytes = |bytes: &[u8]| bytes.to_vec();
        for (rest, expected) in [
            ("%2F/m-1", Some(("/", bytes(b"m-1")))),
            ("%2f/a%2Fb", Some(("/", bytes(b"a/b")))),
            ("%2F/a/b", Some(("/", bytes(b"a/b")))),
            ("v/%00%ff%25", Some(("v", bytes(b"\0\xff%")))),
            ("v/%C3%A9", Some(("v", bytes("é".as_bytes())))),
            ("%ff/m", None),
            ("v/%f", None),
            ("v/%zz", None),
            ("v", None),
        ] {
            let expected = expected.map(|(vhost, id)| (vhost.to_owned(), id));
            assert_eq!(names(rest), expected, "{rest}");
        }
    }

    #[test]
    fn a_hop_is_a_flat_object_without_what_is_not_known() {
        let hop = |queue: Option<&str>, trace_id, event| Hop {
            at: 5,
            queue: queue.map(str::to_owned),
            trace_id,
            event,
        };
        let delivered = Event::Delivered {
            consumer: Some("c".to_owned()),
            connection: None,
            redelivered: true,
            auto_ack: false,
        };
        for (hop, expected) in [
            (
                hop(Some("q"), None, Event::LeaseExpired),
                json!({ "time": 5, "what": "lease_expired", "queue": "q" }),
            ),
            (
                hop(None, Some([0xab; 16]), delivered),
                json!({ "time": 5, "what": "delivered", "trace_id": "ab".repeat(16),
                    "consumer": "c", "redelivered": true, "auto_ack": false }),
            ),
        ] {
            assert_eq!(show(&hop), expected);
        }
    }
}
