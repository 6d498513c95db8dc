//! The file in the body of a request: JSON as it is, or a part of a form that was uploaded.
//!
//! Invariants
//! - A form is searched once, from its start to its end; nothing of it is copied but the part.

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

use super::super::ApiError;

/// The field of the form that the file is in, as on RabbitMQ's page.
const FIELD: &str = "file";
/// Longest head of a part of a form.
const PART_HEAD_BYTES_MAX: usize = 8 << 10;

/// Finds the file.
pub(super) fn file(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    let kind = match headers.get(CONTENT_TYPE).map(|kind| kind.to_str()) {
        None => return Ok(body),
        Some(Ok(kind)) => kind,
        Some(Err(_)) => return Err(ApiError::UnsupportedMediaType),
    };
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(body);
    }
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(ApiError::UnsupportedMediaType);
    }
    let refused = |why: &str| ApiError::BadRequest(why.to_owned());
    let boundary = parameter(parameters, "boundary")
        .filter(|boundary| (1..=70).contains(&boundary.len()))
        .ok_or_else(|| refused("the form names no boundary"))?;
    let part = part(&body, boundary.as_bytes());
    part.ok_or_else(|| refused("the form has no part that is named \"file\""))
}

/// A parameter of a header, without its quotes.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        found.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The part of a form that has the file.
fn part(form: &Bytes, boundary: &[u8]) -> Option<Bytes> {
    let delimiter = [b"\r\n--", boundary].concat();
    let mut at = match form.starts_with(&delimiter[2..]) {
        true => delimiter.len() - 2,
        false => find(form, &delimiter, 0)? + delimiter.len(),
    };
    loop {
        let rest = form.get(at..)?;
        if rest.starts_with(b"--") {
            return None;
        }
        let head_len = find(&rest[..rest.len().min(PART_HEAD_BYTES_MAX)], b"\r\n\r\n", 0)?;
        let body = at + head_len + 4;
        let end = find(form, &delimiter, body)?;
        if is_the_file(&rest[..head_len]) {
            return Some(form.slice(body..end));
        }
        at = end + delimiter.len();
    }
}

fn is_the_file(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    head.lines().any(|line| {
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        name.trim().eq_ignore_ascii_case("content-disposition")
            && parameter(value, "name") == Some(FIELD)
    })
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let found = memchr::memmem::find(bytes.get(from..)?, wanted)?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: &str, body: &str) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        match file(&headers, Bytes::from(body.to_owned())) {
            Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            Err(ApiError::UnsupportedMediaType) => Err(415),
            Err(_) => Err(400),
        }
    }

    #[test]
    fn a_file_is_the_body_or_a_part_of_a_form() {
        let part = |field: &str, text: &str| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{text}\r\n")
        };
        let form = "multipart/form-data; boundary=XX";
        let whole = |parts: &[String]| format!("{}--XX--\r\n", parts.concat());
        for (kind, body, expected) in [
            ("", "{}".to_owned(), Ok("{}")),
            ("application/json", "{}".to_owned(), Ok("{}")),
            ("Application/JSON; charset=utf-8", "{}".to_owned(), Ok("{}")),
            ("text/plain", "{}".to_owned(), Err(415)),
            (
                "application/x-www-form-urlencoded",
                "{}".to_owned(),
                Err(415),
            ),
            (form, whole(&[part("file", "{}")]), Ok("{}")),
            (
                "multipart/form-data; boundary=\"XX\"",
                whole(&[part("other", "1"), part("file", "{\r\n}")]),
                Ok("{\r\n}"),
            ),
            (
                form,
                format!("preamble\r\n{}", whole(&[part("file", "2")])),
                Ok("2"),
            ),
            (form, whole(&[part("other", "1")]), Err(400)),
            (form, part("file", "{}"), Err(400)),
            (form, "--XX".to_owned(), Err(400)),
            (form, "--XX\r\n\r\n".to_owned(), Err(400)),
            (form, String::new(), Err(400)),
            (
                "multipart/form-data",
                whole(&[part("file", "{}")]),
                Err(400),
            ),
        ] {
            assert_eq!(
                found(kind, &body),
                expected.map(str::to_owned),
                "{kind} {body}"
            );
        }
    }
}
