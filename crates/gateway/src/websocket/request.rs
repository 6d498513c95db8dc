//! The request for a WebSocket: what is to be spoken on it, and what is answered.
//!
//! Invariants
//! - Who is let in speaks a protocol that the path allows and that it has offered by name, if the
//!   path does not say it.
//! - Of what a page offers one name is taken up, or none.

use std::net::IpAddr;

use tungstenite::handshake::server::create_response;
use tungstenite::http::header::{self, HeaderName, HeaderValue};
use tungstenite::http::{HeaderMap, Request, Response, StatusCode, Uri};

use crate::connection::Protocol;

/// Names of protocols, as pages offer them, and what they are.
const NAMES: [(&str, Protocol); 4] = [
    ("mqtt", Protocol::Mqtt),
    ("mqttv3.1", Protocol::Mqtt),
    ("amqp", Protocol::Amqp091),
    ("ferrymq.json", Protocol::Json),
];

/// Paths, and what is spoken there; anything that has a name where nothing stands.
const PATHS: [(&str, Option<Protocol>); 9] = [
    ("/", None),
    ("/ws", None),
    ("/ws/", None),
    ("/mqtt", Some(Protocol::Mqtt)),
    ("/ws/mqtt", Some(Protocol::Mqtt)),
    ("/amqp", Some(Protocol::Amqp091)),
    ("/ws/amqp", Some(Protocol::Amqp091)),
    ("/json", Some(Protocol::Json)),
    ("/ws/json", Some(Protocol::Json)),
];

/// Where the page is from that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// No page, or one from this machine.
    pub(crate) is_local: bool,
    /// No page, or one of the address that it asks.
    pub(crate) is_own: bool,
}

/// What is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) protocol: Protocol,
    pub(crate) origin: Origin,
}

/// Why nobody is let in.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        let text = text.into();
        Refusal { status, text }
    }

    fn response(self) -> Response<String> {
        let Refusal { status, text } = self;
        let mut response = Response::new(format!("{text}\n"));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            let version = HeaderValue::from_static("13");
            headers.insert(header::SEC_WEBSOCKET_VERSION, version);
        }
        response
    }
}

/// Answers a request: with 101 who is let in, and else in words.
pub(crate) fn answer(request: &Request<()>) -> (Option<Accepted>, Response<String>) {
    match accept(request) {
        Ok((protocol, response)) => {
            let origin = Origin::of(request.headers());
            let response = response.map(|()| String::new());
            (Some(Accepted { protocol, origin }), response)
        }
        Err(refusal) => (None, refusal.response()),
    }
}

fn accept(request: &Request<()>) -> Result<(Protocol, Response<()>), Refusal> {
    let path = request.uri().path();
    let Some((_, by_path)) = PATHS.iter().find(|(known, _)| *known == path) else {
        let text = "nothing is spoken at this path";
        return Err(Refusal::new(StatusCode::NOT_FOUND, text));
    };
    let mut response = create_response(request)
        .map_err(|error| Refusal::new(StatusCode::UPGRADE_REQUIRED, error.to_string()))?;
    let offered = list(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL);
    let known = |name: &&str| NAMES.iter().find(|(known, _)| known == name).copied();
    let fits = |(_, protocol): &(&str, Protocol)| by_path.is_none_or(|path| path == *protocol);
    let taken = offered.iter().filter_map(known).find(fits);
    let protocol = match (taken, by_path) {
        (Some((name, protocol)), _) => {
            let name = HeaderValue::from_static(name);
            let headers = response.headers_mut();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
            protocol
        }
        // MQTT asks of clients that they offer its name; the others have a path of their own.
        (None, Some(protocol @ (Protocol::Amqp091 | Protocol::Json))) if offered.is_empty() => {
            *protocol
        }
        _ => {
            let names: Vec<_> = NAMES.iter().filter(|name| fits(name)).collect();
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            let text = format!("offer as Sec-WebSocket-Protocol: {}", names.join(", "));
            return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
        }
    };
    Ok((protocol, response))
}

/// A header's words, however many lines it takes.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let words = lines.flat_map(|line| line.split(',')).map(str::trim);
    words.filter(|word| !word.is_empty()).collect()
}

impl Origin {
    fn of(headers: &HeaderMap) -> Origin {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Origin {
                is_local: true,
                is_own: true,
            };
        };
        let origin = origin.to_str().ok().and_then(|text| text.parse().ok());
        let authority = origin.as_ref().and_then(Uri::authority);
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        Origin {
            is_local: authority.is_some_and(|authority| is_loopback(authority.host())),
            is_own: authority.is_some_and(|authority| {
                host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_str()))
            }),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("Host", "broker:15675"),
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn request(path: &str, more: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(path);
        let kept = GOOD
            .iter()
            .filter(|(name, _)| more.iter().all(|(new, _)| new != name));
        for (name, value) in kept.chain(more).filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn asked(path: &str, offered: &str) -> (Option<Protocol>, u16, Option<String>) {
        let (accepted, response) = answer(&request(path, &[("Sec-WebSocket-Protocol", offered)]));
        let name = response.headers().get("Sec-WebSocket-Protocol");
        let name = name.map(|name| name.to_str().unwrap().to_owned());
        let protocol = accepted.map(|accepted| accepted.protocol);
        (protocol, response.status().as_u16(), name)
    }

    #[test]
    fn path_and_names_choose_what_is_spoken() {
        use Protocol::{Amqp091, Json, Mqtt};
        let cases = [
            ("/mqtt", "mqtt", Mqtt, "mqtt"),
            ("/ws", "mqttv3.1, mqtt", Mqtt, "mqttv3.1"),
            ("/", "chat, mqtt", Mqtt, "mqtt"),
            ("/ws/mqtt", "amqp,mqtt", Mqtt, "mqtt"),
            ("/ws", "amqp", Amqp091, "amqp"),
            ("/amqp", "", Amqp091, ""),
            ("/ws/amqp", "amqp", Amqp091, "amqp"),
            ("/json", "", Json, ""),
            ("/ws/json?x=1", "ferrymq.json", Json, "ferrymq.json"),
        ];
        for (path, offered, protocol, name) in cases {
            let name = Some(name.to_owned()).filter(|name| !name.is_empty());
            assert_eq!(asked(path, offered), (Some(protocol), 101, name), "{path}");
        }
        let refused = [
            ("/mqtt", "", 400),
            ("/mqtt", "amqp", 400),
            ("/amqp", "mqtt", 400),
            ("/json", "chat", 400),
            ("/ws", "", 400),
            ("/ws", "chat", 400),
            ("/mqtt/more", "mqtt", 404),
            ("/api", "mqtt", 404),
        ];
        for (path, offered, status) in refused {
            assert_eq!(asked(path, offered), (None, status, None), "{path}");
        }
    }

    #[test]
    fn the_answer_proves_that_the_key_was_read() {
        let (_, response) = answer(&request("/json", &[]));
        let accept = &response.headers()["Sec-WebSocket-Accept"];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_request_for_a_websocket_is_refused() {
        let cases = [
            ("Connection", "keep-alive"),
            ("Upgrade", "h2c"),
            ("Upgrade", ""),
            ("Sec-WebSocket-Version", "8"),
            ("Sec-WebSocket-Key", "short"),
            ("Sec-WebSocket-Key", ""),
        ];
        for (name, value) in cases {
            let (accepted, response) = answer(&request("/json", &[(name, value)]));
            assert_eq!(accepted, None, "{name}: {value}");
            assert_eq!(response.status(), 426, "{name}: {value}");
            assert_eq!(response.headers()["Sec-WebSocket-Version"], "13");
        }
        let mut post = request("/json", &[]);
        *post.method_mut() = tungstenite::http::Method::POST;
        assert_eq!(answer(&post).0, None);
    }

    #[test]
    fn a_page_from_elsewhere_is_known_as_one() {
        let cases = [
            ("", "broker:15675", true, true),
            ("http://broker:15675", "broker:15675", false, true),
            ("https://Broker", "broker", false, true),
            ("http://broker", "broker:15675", false, false),
            ("http://localhost:3000", "broker:15675", true, false),
            ("http://127.0.0.1:80", "127.0.0.1:80", true, true),
            ("http://[::1]:15672", "[::1]:15672", true, true),
            ("http://localhost.evil.example", "localhost", false, false),
            ("http://evil.example", "localhost:15675", false, false),
            ("null", "localhost", false, false),
            ("file://", "localhost", false, false),
        ];
        for (origin, host, is_local, is_own) in cases {
            let request = request("/json", &[("Origin", origin), ("Host", host)]);
            let accepted = answer(&request).0.unwrap();
            let expected = Origin { is_local, is_own };
            assert_eq!(accepted.origin, expected, "{origin} asks {host}");
        }
    }
}
