//! Which format a scraper asks for.
//!
//! Invariants
//! - Who asks for nothing that is known gets Prometheus' own format.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::text::Format;

const OPENMETRICS: &str = "application/openmetrics-text";

/// The format that the `accept` headers like better.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let (mut openmetrics, mut prometheus) = (0.0, 0.0f64);
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for range in ranges {
        let (media_type, weight) = weigh(range);
        match media_type {
            OPENMETRICS => openmetrics = weight,
            "text/plain" | "text/*" => prometheus = prometheus.max(weight),
            _ => {}
        }
    }
    match openmetrics > 0.0 && openmetrics >= prometheus {
        true => Format::OpenMetrics,
        false => Format::Prometheus,
    }
}

/// A media range and how much it is liked; a version that is not 1.0.0 or 0.0.1 is not.
fn weigh(range: &str) -> (&str, f64) {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let mut weight = 1.0;
    for part in parts {
        match part.split_once('=') {
            Some(("q", text)) => weight = text.parse().unwrap_or(0.0),
            Some(("version", "1.0.0" | "0.0.1" | "0.0.4")) => {}
            Some(("version", _)) => return (media_type, 0.0),
            _ => {}
        }
    }
    (media_type, weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn openmetrics_is_given_to_who_likes_it_as_much() {
        for (accept, expected) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text; version=1.0.0; q=0.2, text/plain; q=0.3",
                Format::Prometheus,
            ),
            (
                "application/openmetrics-text;version=9.0.0",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::Prometheus),
            ("application/vnd.google.protobuf;q=0.9", Format::Prometheus),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(format(&headers), expected, "{accept}");
        }
    }
}
