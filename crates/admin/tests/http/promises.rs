//! What a confirm means: as the node tells it, and each queue.

use ferry_broker::{QueueSpec, SyncPolicy};
use ferry_core::arguments::Arguments;
use serde_json::{Value, json};

use crate::support::Door;

/// The `sync` of each queue, by name.
async fn of_queues(door: &Door) -> Vec<(String, Value)> {
    let queues = door.get("/api/queues?sort=name&columns=name,sync").await;
    let queues = queues.json();
    let one = |queue: &Value| {
        (
            queue["name"].as_str().unwrap().into(),
            queue["sync"].clone(),
        )
    };
    queues.as_array().unwrap().iter().map(one).collect()
}

/// What the node says of itself wherever it does.
async fn of_node(door: &Door) -> [Value; 4] {
    let mut said = [const { Value::Null }; 4];
    let places = [
        ("/api/overview", "/sync"),
        ("/api/nodes", "/0/sync"),
        ("/api/nodes/ferrymq@test", "/sync"),
        ("/api/ferry/log", "/sync"),
    ];
    for (said, (path, field)) in said.iter_mut().zip(places) {
        let answer = door.get(path).await.json();
        *said = answer.pointer(field).cloned().unwrap_or_default();
    }
    said
}

#[tokio::test]
async fn a_queue_tells_what_its_confirms_mean() {
    let door = Door::open().await;
    for sync in ["sync", "written", "memory"] {
        door.declare(sync, Arguments::from_iter([("x-sync", sync)]));
    }
    door.declare("unsaid", Arguments::new());
    for (name, durable, exclusive) in [("transient", false, false), ("exclusive", true, true)] {
        let spec = QueueSpec {
            name: name.to_owned(),
            durable,
            exclusive,
            auto_delete: false,
            arguments: Arguments::new(),
        };
        let vhost = door.broker.vhost("/").unwrap();
        vhost.declare_queue(spec, door.connection).unwrap();
    }
    let expected = [
        ("exclusive", Value::Null),
        ("memory", json!("memory")),
        ("sync", json!("sync")),
        ("transient", Value::Null),
        ("unsaid", json!("sync")),
        ("written", json!("written")),
    ];
    let expected = expected.map(|(name, sync)| (name.to_owned(), sync));
    assert_eq!(of_queues(&door).await, expected);
    for (name, sync) in expected {
        for query in ["", "?disable_stats=true"] {
            let path = match query {
                "" => format!("/api/queues/%2F/{name}"),
                query => format!("/api/queues/%2F{query}&name={name}&page=1"),
            };
            let shown = door.get(&path).await.json();
            let shown = shown.pointer("/items/0").unwrap_or(&shown);
            assert_eq!(shown["sync"], sync, "{path}");
        }
    }
    assert_eq!(of_node(&door).await, ["sync"; 4]);
    let sorted = door.get("/api/queues?sort=sync&sort_reverse=true").await;
    assert_eq!(sorted.json()[0]["sync"], "written");
}

#[tokio::test]
async fn a_queue_keeps_the_promise_of_the_node_that_it_was_declared_on() {
    let door = Door::open_with(SyncPolicy::Memory).await;
    assert_eq!(of_node(&door).await, ["memory"; 4]);
    door.declare("unsaid", Arguments::new());
    door.declare("safe", Arguments::from_iter([("x-sync", "sync")]));
    door.declare("log", Arguments::from_iter([("x-queue-type", "stream")]));
    let all = |expected: [(&str, &str); 3]| expected.map(|(name, sync)| (name.into(), sync.into()));
    // A stream promises to keep.
    let expected = all([("log", "written"), ("safe", "sync"), ("unsaid", "memory")]);
    assert_eq!(of_queues(&door).await, expected);
    door.broker.commit_log().unwrap();
    let door = door.killed().await;
    assert_eq!(of_node(&door).await, ["sync"; 4]);
    assert_eq!(of_queues(&door).await, expected);
    door.declare("unsaid", Arguments::new());
    assert_eq!(of_queues(&door).await, expected, "it was there already");
}
