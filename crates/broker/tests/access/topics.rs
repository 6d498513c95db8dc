//! Rights to topics, and to the queues of sessions.

use crate::common::Node;
use crate::support::{add_user, login, permit, permit_topics};

const ALL: [&str; 3] = [".*", ".*", ".*"];

#[test]
fn a_filter_is_allowed_only_if_all_that_it_lets_through_is() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    permit(&node.broker, "ann", "/", ALL).unwrap();
    for (read, filter, expected) in [
        (
            r"^sensors\.{client_id}\.",
            "sensors.c1.temp",
            Some("sensors.c1.temp"),
        ),
        (r"^sensors\.{client_id}\.", "sensors.c1", None),
        // All below, and not the level itself.
        (
            r"^sensors\.{client_id}\.",
            "sensors.c1.#",
            Some("sensors.c1.*.#"),
        ),
        (
            r"^sensors\.{client_id}\.",
            "sensors.c1.*.x",
            Some("sensors.c1.*.x"),
        ),
        (r"^sensors\.{client_id}\.", "sensors.*.x", None),
        (r"^sensors\.{client_id}\.", "sensors.#", None),
        (r"^sensors\.{client_id}\.", "#", None),
        (
            r"^sensors\.{client_id}(\.|$)",
            "sensors.c1.#",
            Some("sensors.c1.#"),
        ),
        (r"^{username}\.{vhost}\.", "ann./.*", Some("ann./.*")),
        (r"^{username}\.", "bob.#", None),
        (".*", "#", Some("#")),
        ("", "#", None),
        ("^[^$]", "#", Some("#")),
        ("^[^$]", "$SYS.#", None),
    ] {
        permit_topics(&node.broker, "ann", "amq.topic", [".*", read]).unwrap();
        let ann = login(&node.broker, "ann", "ann").unwrap().as_client("c1");
        let found = ann.may_subscribe_filter("/", filter.as_bytes());
        let found = found.map(|key| String::from_utf8(key.into_owned()).unwrap());
        assert_eq!(found.as_deref(), expected, "{read} {filter}");
        assert!(
            ann.may_subscribe_filter("/other", filter.as_bytes())
                .is_none()
        );
    }
}

#[test]
fn a_client_name_with_signs_of_patterns_gets_no_other_topics() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    permit(&node.broker, "ann", "/", ALL).unwrap();
    permit_topics(
        &node.broker,
        "ann",
        "amq.topic",
        [r"^t\.{client_id}\.", r"^t\.{client_id}\."],
    )
    .unwrap();
    for client in [".*", "#", "*", "x|t", "(", "", "{username}"] {
        let ann = login(&node.broker, "ann", "ann").unwrap().as_client(client);
        for filter in ["t.other.#", "t.*.x", "t.#", "#"] {
            let found = ann.may_subscribe_filter("/", filter.as_bytes());
            assert_eq!(found, None, "{client} {filter}");
        }
        assert!(!ann.may_publish_topic("/", b"t.other.x"), "{client}");
        let own = format!("t.{client}.x");
        assert!(ann.may_publish_topic("/", own.as_bytes()), "{client}");
    }
}

#[test]
fn sessions_need_their_queue_and_the_exchange_of_topics() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    let ann = login(&node.broker, "ann", "ann").unwrap();
    let queue = "mqtt-subscription-c1";
    for (rights, expected) in [
        (
            ["^mqtt-", "^(mqtt-|amq.topic$)", "^(mqtt-|amq.topic$)"],
            [true; 4],
        ),
        (
            ["", "^(mqtt-|amq.topic$)", "^(mqtt-|amq.topic$)"],
            [false, true, true, true],
        ),
        (
            ["^mqtt-", "^amq.topic$", "^(mqtt-|amq.topic$)"],
            [true, false, true, true],
        ),
        (
            ["^mqtt-", "^(mqtt-|amq.topic$)", "^amq.topic$"],
            [true, false, true, true],
        ),
        (["^mqtt-", "^mqtt-", "^mqtt-"], [true, true, false, false]),
        (["^mqtt-other", "^mqtt-other", "^mqtt-other"], [false; 4]),
    ] {
        permit(&node.broker, "ann", "/", rights).unwrap();
        let found = [
            ann.check_session_begin("/", queue).is_ok(),
            ann.check_session_subscribe("/", queue).is_ok(),
            ann.may_publish_topic("/", b"a.b"),
            ann.may_subscribe_filter("/", b"a.#").is_some(),
        ];
        assert_eq!(found, expected, "{rights:?}");
    }
    permit(&node.broker, "ann", "/", ["", "", ""]).unwrap();
    let refused = ann.check_session_begin("/", queue).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "configure access to queue 'mqtt-subscription-c1' in vhost '/' refused for user 'ann'"
    );
}
