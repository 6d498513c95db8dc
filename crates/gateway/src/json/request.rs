//! What a client asks for.
//!
//! Invariants
//! - What is not known is refused by its name; nothing is passed over.

use serde::Deserialize;
use serde_json::Value;

use super::answer::Problem;
use super::properties::PropertiesJson;

/// Most messages of one subscription that are not settled, and what it is if nothing is said.
const PREFETCH_MAX: u32 = 1000;
const PREFETCH_DEFAULT: u32 = 20;

/// A request.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Request {
    Login {
        id: Option<u64>,
        user: String,
        password: String,
        #[serde(default = "default_vhost")]
        vhost: String,
    },
    Subscribe {
        /// What messages name, and what it is ended by.
        id: u64,
        queue: Option<String>,
        topic: Option<String>,
        no_ack: Option<bool>,
        prefetch: Option<u32>,
    },
    Unsubscribe {
        id: Option<u64>,
        subscription: u64,
    },
    Publish(Box<Publish>),
    Ack {
        id: Option<u64>,
        tag: u64,
    },
    Nack {
        id: Option<u64>,
        tag: u64,
        #[serde(default = "yes")]
        requeue: bool,
    },
    Ping {
        id: Option<u64>,
    },
}

/// A message to be published.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Publish {
    pub(super) id: Option<u64>,
    pub(super) exchange: Option<String>,
    pub(super) key: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) body: Option<String>,
    pub(super) body_base64: Option<String>,
    pub(super) properties: PropertiesJson,
}

fn default_vhost() -> String {
    "/".to_owned()
}

fn yes() -> bool {
    true
}

/// Where a subscription's messages come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum From<'a> {
    Queue {
        name: &'a str,
        no_ack: bool,
        prefetch: u32,
    },
    Topic(&'a str),
}

impl Request {
    /// Reads a text; its id, as far as it has one that can be read, is there in any case.
    pub(super) fn read(text: &str) -> (Option<u64>, Result<Request, Problem>) {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return (None, Err(Problem::bad(error.to_string()))),
        };
        if !value.is_object() {
            return (None, Err(Problem::bad("a request is an object")));
        }
        let id = value.get("id").and_then(Value::as_u64);
        let request = serde_json::from_value(value);
        (id, request.map_err(|error| Problem::bad(error.to_string())))
    }
}

/// What is subscribed to: a queue or a topic.
pub(super) fn from<'a>(
    queue: Option<&'a str>,
    topic: Option<&'a str>,
    no_ack: Option<bool>,
    prefetch: Option<u32>,
) -> Result<From<'a>, Problem> {
    match (queue, topic) {
        (Some(name), None) => {
            let prefetch = prefetch.unwrap_or(PREFETCH_DEFAULT);
            match (1..=PREFETCH_MAX).contains(&prefetch) {
                true => Ok(From::Queue {
                    name,
                    no_ack: no_ack.unwrap_or_default(),
                    prefetch,
                }),
                false => {
                    let text = format!("prefetch is from 1 to {PREFETCH_MAX}");
                    Err(Problem::bad(text))
                }
            }
        }
        (None, Some(filter)) if no_ack.is_none() && prefetch.is_none() => Ok(From::Topic(filter)),
        (None, Some(_)) => Err(Problem::bad("no_ack and prefetch are for queues")),
        _ => Err(Problem::bad("either queue or topic is needed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let cases = [
            (
                r#"{"op":"login","user":"u","password":"p"}"#,
                Request::Login {
                    id: None,
                    user: "u".to_owned(),
                    password: "p".to_owned(),
                    vhost: "/".to_owned(),
                },
            ),
            (
                r#" { "tag": 3, "id": 9, "op": "nack" } "#,
                Request::Nack {
                    id: Some(9),
                    tag: 3,
                    requeue: true,
                },
            ),
            (r#"{"op":"ping"}"#, Request::Ping { id: None }),
            (
                r#"{"op":"publish","topic":"a/b","body":"x","properties":{"priority":3}}"#,
                Request::Publish(Box::new(Publish {
                    topic: Some("a/b".to_owned()),
                    body: Some("x".to_owned()),
                    properties: PropertiesJson {
                        priority: Some(3),
                        ..PropertiesJson::default()
                    },
                    ..Publish::default()
                })),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Request::read(text).1, Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let cases = [
            ("", None, "EOF"),
            ("{", None, "EOF"),
            (r#"["ping"]"#, None, "object"),
            ("7", None, "object"),
            (deep.as_str(), None, "recursion"),
            (r#"{"id":1}"#, Some(1), "`op`"),
            (r#"{"op":"fly","id":2}"#, Some(2), "`fly`"),
            (r#"{"op":"ping","id":3,"x":1}"#, Some(3), "`x`"),
            (r#"{"op":"ping","id":"a"}"#, None, "string"),
            (r#"{"op":"ping","id":-1}"#, None, "-1"),
            (r#"{"op":"ack","id":4}"#, Some(4), "`tag`"),
            (r#"{"op":"publish","bdy":""}"#, None, "`bdy`"),
            (r#"{"op":"publish","properties":{"x":1}}"#, None, "`x`"),
        ];
        for (text, id, part) in cases {
            let (found, request) = Request::read(text);
            let problem = request.unwrap_err();
            assert_eq!((found, problem.code), (id, "bad_request"), "{text}");
            assert!(problem.text.contains(part), "{text}: {}", problem.text);
        }
    }

    #[test]
    fn a_subscription_is_to_a_queue_or_to_a_topic() {
        let queue = |no_ack, prefetch| {
            Ok(From::Queue {
                name: "q",
                no_ack,
                prefetch,
            })
        };
        assert_eq!(from(Some("q"), None, None, None), queue(false, 20));
        assert_eq!(from(Some("q"), None, Some(true), Some(5)), queue(true, 5));
        assert_eq!(from(None, Some("a/#"), None, None), Ok(From::Topic("a/#")));
        for (queue, topic, no_ack, prefetch) in [
            (None, None, None, None),
            (Some("q"), Some("t"), None, None),
            (Some("q"), None, None, Some(0)),
            (Some("q"), None, None, Some(1001)),
            (None, Some("t"), Some(true), None),
            (None, Some("t"), None, Some(1)),
        ] {
            assert!(from(queue, topic, no_ack, prefetch).is_err());
        }
    }
}
