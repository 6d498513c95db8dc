//! Messages as requests bring them: properties in headers of HTTP or in JSON, payloads in texts.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ferry_core::arguments::Arguments;

use super::batch::BatchBody;
use super::headers;
use crate::api::ferry::extract::from_json;
use crate::api::ferry::properties::{PropertiesJson, payload_bytes};

/// Lines of `name: value`. Properties that are read of them can be written as headers, and are the
/// same when they are read again, but for what tells the broker how to keep the message.
pub(in crate::api) fn check_headers(bytes: &[u8]) {
    let mut head = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let colon = line.iter().position(|byte| *byte == b':');
        let Some((name, value)) = colon.map(|at| line.split_at(at)) else {
            continue;
        };
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value[1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            head.append(name, value);
        }
    }
    let Ok(mut read) = headers::read(&head) else {
        return;
    };
    read.delivery_mode = None;
    let mut written = HeaderMap::new();
    headers::write(&read, &mut written);
    let Ok(again) = headers::read(&written) else {
        panic!("it was read before");
    };
    assert_eq!(again, read);
}

/// Properties of a batch are the same when they are read again as they are shown.
pub(in crate::api) fn check_batch(bytes: &[u8]) {
    let Ok(batch) = from_json::<BatchBody>(bytes) else {
        return;
    };
    for message in batch.messages {
        let chars = message.payload.len();
        let found = payload_bytes(message.payload, message.payload_encoding.as_deref());
        assert!(found.is_err() || found.is_ok_and(|bytes| bytes.len() <= chars));
        check_properties(message.properties);
    }
}

fn check_properties(properties: PropertiesJson) {
    let Ok(typed) = properties.typed(&Arguments::new()) else {
        return;
    };
    let shown = PropertiesJson::from(typed);
    let text = serde_json::to_vec(&shown).expect("it is JSON");
    let Ok(again) = from_json::<PropertiesJson>(&text) else {
        panic!("we showed it");
    };
    let Ok(again) = again.typed(&Arguments::new()) else {
        panic!("it was right");
    };
    assert_eq!(PropertiesJson::from(again), shown);
}
