//! Dead letters brought back one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferry_broker::{
    BindingSpec, Edit, Exchange, ExchangeKind, Listed, MessageRef, MoveTo, OperateError, What,
};
use ferry_core::arguments::{Arguments, Value};

use crate::common::Node;
use crate::common::properties::Full;
use crate::support::*;

fn replay(node: &Node, body: &str, to: &MoveTo, edit: Option<&Edit>) -> Result<(), OperateError> {
    let name = name_of(node, "dead", What::Ready, body);
    let queue = node.queue("dead");
    node.broker.replay_message(&queue, &name, to, edit, ACTOR)?;
    Ok(())
}

fn note(listed: &Listed) -> &Arguments {
    listed
        .headers
        .get("x-ferry-replay")
        .unwrap()
        .as_table()
        .unwrap()
}

fn only(node: &Node, queue: &str) -> Listed {
    let mut listed = look(node, queue, What::Ready);
    assert_eq!(listed.len(), 1);
    listed.remove(0)
}

#[test]
fn a_dead_letter_goes_back_to_where_it_was_first_published_to() {
    let mut node = Node::new();
    shop(&node);
    die(&mut node, &["a"]);
    let dead = only(&node, "dead");
    assert_eq!(dead.routing_key, b"dead");
    replay(&node, "a", &MoveTo::Origin, None).unwrap();
    let back = only(&node, "work");
    assert_eq!(
        (back.exchange.as_slice(), back.routing_key.as_slice()),
        (&b"orders"[..], &b"paid"[..])
    );
    assert_eq!(back.headers.get("x-death"), dead.headers.get("x-death"));
    assert_eq!(note(&back).get("queue"), Some(&Value::from("dead")));
    assert_eq!(note(&back).get("time"), Some(&Value::Timestamp(1000)));
    assert_eq!(note(&back).get("count"), Some(&Value::I64(1)));
    assert!(!note(&back).contains("edited"));
    let mut without = back.headers.clone();
    without.remove("x-ferry-replay");
    assert_eq!(without, dead.headers);
    // It dies again, is counted with its first death, and comes back once more.
    kill_all(&mut node, "work");
    replay(&node, "a", &MoveTo::Origin, None).unwrap();
    let back = only(&node, "work");
    assert_eq!(note(&back).get("count"), Some(&Value::I64(2)));
    let Some(Value::Array(deaths)) = back.headers.get("x-death") else {
        panic!("no history");
    };
    let count = deaths[0].as_table().unwrap().get("count");
    assert_eq!((deaths.len(), count), (1, Some(&Value::I64(2))));
    assert_eq!(node.ready("dead"), 0);
}

#[test]
fn without_its_exchange_it_goes_back_to_the_queue_of_its_first_death() {
    for gone in ["exchange", "binding", "default"] {
        let mut node = Node::new();
        shop(&node);
        match gone {
            "default" => {
                post("work", "a").send(&mut node);
                kill_all(&mut node, "work");
            }
            _ => die(&mut node, &["a"]),
        }
        if gone == "exchange" {
            node.vhost.delete_exchange("orders", false).unwrap();
        } else {
            node.vhost
                .delete_queue("work", false, false, node.connection)
                .unwrap();
            node.declare("work", &[]);
        }
        replay(&node, "a", &MoveTo::Origin, None).unwrap();
        let key = if gone == "default" { "work" } else { "paid" };
        assert_eq!(only(&node, "work").routing_key, key.as_bytes(), "{gone}");
    }
    let mut node = Node::new();
    shop(&node);
    die(&mut node, &["a"]);
    node.vhost
        .delete_queue("work", false, false, node.connection)
        .unwrap();
    let lost = replay(&node, "a", &MoveTo::Origin, None);
    assert!(matches!(lost, Err(OperateError::NoSuchQueue { name, .. }) if name == "work"));
    assert_eq!(ready(&node, "dead"), ["a"]);
}

#[test]
fn the_first_death_counts_however_many_followed() {
    let mut node = Node::new();
    shop(&node);
    let again = texts(&[
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "dead"),
    ]);
    node.declare("second", &again);
    die(&mut node, &["a"]);
    replay(&node, "a", &MoveTo::Queue("second".to_owned()), None).unwrap();
    kill_all(&mut node, "second");
    replay(&node, "a", &MoveTo::Origin, None).unwrap();
    assert_eq!(only(&node, "work").routing_key, b"paid");
}

#[test]
fn what_never_died_has_no_origin() {
    let mut node = Node::new();
    shop(&node);
    let death: Arguments = [("queue", Value::from("work"))].into_iter().collect();
    let history = Value::Array(vec![Value::Table(death)]);
    let lie = Post {
        full: Full::new(
            "lie",
            &[
                ("x-death", history),
                ("x-first-death-queue", Value::from("work")),
            ],
        ),
        ..post("dead", "lie")
    };
    lie.send(&mut node);
    let refused = replay(&node, "lie", &MoveTo::Origin, None);
    assert!(matches!(refused, Err(OperateError::NoOrigin)));
    replay(&node, "lie", &MoveTo::Queue("work".to_owned()), None).unwrap();
    assert_eq!(ready(&node, "work"), ["lie"]);
}

#[test]
fn an_edited_copy_keeps_the_link_to_what_it_was() {
    let mut node = Node::new();
    shop(&node);
    node.declare("fixed", &[]);
    bind(&node, "orders", "fixed", "refund");
    die(&mut node, &["a"]);
    let full = Full {
        priority: 2,
        ttl_ms: Some(5_000),
        ..Full::new("a-2", &[("new", Value::Bool(true))])
    };
    let edit = Edit {
        properties: Some(full.write()),
        body: Some(b"better".to_vec()),
        routing_key: Some(b"refund".to_vec()),
        headers: None,
    };
    replay(&node, "a", &MoveTo::Origin, Some(&edit)).unwrap();
    assert_eq!((node.ready("work"), node.ready("dead")), (0, 0));
    let back = only(&node, "fixed");
    assert_eq!((back.body.as_slice(), back.size), (&b"better"[..], 6));
    assert_eq!(back.routing_key, b"refund");
    assert_eq!(back.expires_at, Some(node.broker.now() + 5_000));
    assert_eq!(back.headers.get("new"), Some(&Value::Bool(true)));
    assert_eq!(note(&back).get("edited"), Some(&Value::Bool(true)));
    assert_eq!(
        note(&back).get("original-message-id"),
        Some(&Value::from("a"))
    );
    assert_eq!(
        Full::read(&back.properties).unwrap().message_id.as_deref(),
        Some("a-2")
    );
}

#[test]
fn edited_headers_replace_the_old_ones_and_the_rest_stays() {
    let mut node = Node::new();
    shop(&node);
    die(&mut node, &["a"]);
    let edit = Edit {
        headers: Some([("only", Value::I32(1))].into_iter().collect()),
        ..Edit::default()
    };
    replay(&node, "a", &MoveTo::Origin, Some(&edit)).unwrap();
    let back = only(&node, "work");
    let names: Vec<_> = back.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["only", "x-ferry-replay"]);
    assert!(
        !note(&back).contains("original-message-id"),
        "the id is the same"
    );
    let full = Full::read(&back.properties).unwrap();
    assert_eq!(
        (full.message_id.as_deref(), full.persistent),
        (Some("a"), true)
    );
}

#[test]
fn an_edit_that_makes_no_message_is_refused_and_changes_nothing() {
    let mut node = Node::new();
    shop(&node);
    die(&mut node, &["a"]);
    let before = only(&node, "dead");
    let large = Value::from("x".repeat(64 << 10));
    for edit in [
        Edit {
            properties: Some(b"nonsense".to_vec()),
            ..Edit::default()
        },
        Edit {
            properties: Some(vec![0; (64 << 10) + 1]),
            ..Edit::default()
        },
        Edit {
            headers: Some([("h", large)].into_iter().collect()),
            ..Edit::default()
        },
        Edit {
            routing_key: Some(vec![b'k'; 1 << 16]),
            ..Edit::default()
        },
    ] {
        let refused = replay(&node, "a", &MoveTo::Origin, Some(&edit));
        assert!(
            matches!(refused, Err(OperateError::OutOfRange { .. })),
            "{refused:?}"
        );
        assert_eq!(only(&node, "dead"), before);
    }
}

#[test]
fn a_message_is_replayed_once_whoever_asks_however_often() {
    let mut node = Node::new();
    shop(&node);
    let many: Vec<String> = (0..200).map(|index| format!("m{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    die(&mut node, &many);
    let names: Vec<MessageRef> = look(&node, "dead", What::Ready)
        .iter()
        .map(|one| one.name)
        .collect();
    let done = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (broker, queue) = (Arc::clone(&node.broker), node.queue("dead"));
            let (names, done) = (names.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                for step in 0..names.len() {
                    let name = &names[(step * 7 + thread * 50) % names.len()];
                    match broker.replay_message(&queue, name, &MoveTo::Origin, None, ACTOR) {
                        Ok(_) => {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(OperateError::NotFound | OperateError::Leased) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(done.load(Ordering::Relaxed), 200);
    let mut back = ready(&node, "work");
    back.sort_unstable();
    let mut expected: Vec<_> = many.iter().map(|text| (*text).to_owned()).collect();
    expected.sort_unstable();
    assert_eq!(back, expected);
    assert_eq!((node.ready("dead"), node.queue("dead").unsettled()), (0, 0));
}

#[test]
fn edited_headers_lead_where_they_say() {
    let mut node = Node::new();
    shop(&node);
    node.declare("north", &[]);
    node.declare("south", &[]);
    node.vhost
        .declare_exchange(Exchange::new("by-region", ExchangeKind::Headers))
        .unwrap();
    for queue in ["north", "south"] {
        let binding = BindingSpec {
            source: "by-region",
            queue: Some(queue),
            exchange: None,
            routing_key: b"",
            arguments: texts(&[("x-match", "all"), ("region", queue)])
                .into_iter()
                .collect(),
            connection: node.connection,
        };
        node.vhost.bind(&binding).unwrap();
    }
    let wrong = Post {
        full: Full::new("a", &texts(&[("region", "south")])),
        ..post("dead", "a")
    };
    wrong.send(&mut node);
    let edit = Edit {
        headers: Some(texts(&[("region", "north")]).into_iter().collect()),
        ..Edit::default()
    };
    let to = MoveTo::Exchange {
        name: "by-region".to_owned(),
        routing_key: None,
    };
    replay(&node, "a", &to, Some(&edit)).unwrap();
    assert_eq!((node.ready("north"), node.ready("south")), (1, 0));
}
