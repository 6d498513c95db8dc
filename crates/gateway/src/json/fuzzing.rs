//! Requests of the JSON protocol, read and shown again.

use serde_json::Value;

use super::properties::PropertiesJson;
use super::request::{Request, from};

/// A request is refused in words, or says what it says in a text; properties that can be published
/// are the same when they are read again as they are shown.
pub fn check_request(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (id, request) = Request::read(text);
    let object: Option<Value> = serde_json::from_str(text).ok();
    assert_eq!(
        id,
        object
            .as_ref()
            .and_then(|object| object.get("id")?.as_u64())
    );
    match request {
        Err(problem) => assert!(!problem.text.is_empty()),
        Ok(Request::Subscribe {
            queue,
            topic,
            no_ack,
            prefetch,
            ..
        }) => {
            let found = from(queue.as_deref(), topic.as_deref(), no_ack, prefetch);
            assert!(found.is_err() || queue.is_some() != topic.is_some());
        }
        Ok(Request::Publish(publish)) => check_properties(publish.properties),
        Ok(_) => {}
    }
}

fn check_properties(properties: PropertiesJson) {
    let Ok(typed) = properties.typed("me") else {
        return;
    };
    let shown = serde_json::to_value(PropertiesJson::from(typed)).expect("it is JSON");
    let again: PropertiesJson = serde_json::from_value(shown.clone()).expect("we showed it");
    let again = again.typed("me").expect("it could be published before");
    let again = serde_json::to_value(PropertiesJson::from(again)).expect("it is JSON");
    assert_eq!(again, shown);
}
