//! Where a request comes from, if a browser says so: pages of another origin change nothing here.
//!
//! Invariants
//! - A request that changes something and tells of another origin is refused before anything of
//!   it is looked at; one that tells of none comes from no page.
//! - Only the host and port that the request itself was sent to are this origin.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};

/// What browsers say of the relation between a page and what it asks for.
const FETCH_SITE: &str = "sec-fetch-site";

/// Whether a page of another origin asks for a change.
pub(crate) fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let site = headers.get(FETCH_SITE).map(|value| value.as_bytes());
    if matches!(site, Some(b"cross-site" | b"same-site")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let own = headers.get(HOST).and_then(|host| host.to_str().ok());
    let told = origin.to_str().ok();
    let authority = told.and_then(|origin| {
        let rest = origin.strip_prefix("http://");
        rest.or_else(|| origin.strip_prefix("https://"))
    });
    match (authority, own) {
        (Some(authority), Some(own)) => !authority.eq_ignore_ascii_case(own),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_this_origin_changes_anything() {
        for (headers, foreign) in [
            (&[][..], false),
            (&[("origin", "http://node:15672")], false),
            (&[("origin", "HTTPS://node:15672")], true),
            (&[("origin", "https://NODE:15672")], false),
            (&[("origin", "http://node")], true),
            (&[("origin", "http://node:15673")], true),
            (&[("origin", "https://elsewhere.example")], true),
            (&[("origin", "http://node:15672.elsewhere.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "")], true),
            (&[(FETCH_SITE, "cross-site")], true),
            (&[(FETCH_SITE, "same-site")], true),
            (&[(FETCH_SITE, "same-origin")], false),
            (&[(FETCH_SITE, "none")], false),
        ] {
            let mut map = HeaderMap::new();
            map.insert(HOST, HeaderValue::from_static("node:15672"));
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_foreign(&Method::POST, &map), foreign, "{headers:?}");
            assert!(!is_foreign(&Method::GET, &map));
        }
        let mut hostless = HeaderMap::new();
        hostless.insert(ORIGIN, HeaderValue::from_static("http://node"));
        assert!(is_foreign(&Method::PUT, &hostless));
    }
}
