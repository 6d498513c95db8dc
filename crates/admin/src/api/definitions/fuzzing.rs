//! Definitions as they are uploaded: the file in its form, and what it asks for.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use ferry_broker::{Broker, Import};

use super::{body, read};

/// What a file asks for: of a whole node, and of one virtual host; none for what is refused, which
/// is always in words.
pub fn import_of(broker: &Broker, file: &[u8], vhost: Option<&str>) -> Option<Import> {
    let read = match vhost {
        None => read::all(broker, file),
        Some(vhost) => read::of_vhost(broker, file, vhost),
    };
    let (import, warnings) = read.ok()?;
    assert!(warnings.iter().all(|warning| !warning.is_empty()));
    Some(import)
}

/// The file is a part of the form, between two boundaries.
pub(in crate::api) fn check_form(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("multipart/form-data; boundary=XX");
    headers.insert(CONTENT_TYPE, kind);
    let form = Bytes::copy_from_slice(bytes);
    let Ok(file) = body::file(&headers, form) else {
        return;
    };
    let whole = [b"\r\n\r\n", &file[..], b"\r\n--XX"].concat();
    assert!(bytes.windows(whole.len()).any(|part| part == whole));
    let boundary = b"\r\n--XX";
    assert!(!file.windows(boundary.len()).any(|part| part == boundary));
}
