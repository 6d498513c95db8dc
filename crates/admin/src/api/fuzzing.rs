//! Bodies of requests, before the broker is asked for anything.

pub use super::definitions::fuzzing::import_of;
use super::{definitions, ferry, values};

/// The first byte says what the others are.
pub fn check_body(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else {
        return;
    };
    match what % 4 {
        0 => check_arguments(rest),
        1 => definitions::fuzzing::check_form(rest),
        2 => ferry::data::fuzzing::check_headers(rest),
        _ => ferry::data::fuzzing::check_batch(rest),
    }
}

/// What is read of an object is the same when it is read again as it is shown.
fn check_arguments(bytes: &[u8]) {
    let Ok(read) = values::body(bytes) else {
        return;
    };
    let shown = values::object(&read);
    let text = serde_json::to_vec(&shown).expect("it is JSON");
    let again = values::body(&text).ok().expect("it was an object before");
    assert_eq!(values::object(&again), shown);
}
