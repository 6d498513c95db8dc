//! What waits for its time, what can not leave its queue, and emptying a queue.

use std::sync::Arc;

use crate::door::samples;
use crate::support::{Door, GUEST};
use ferry_broker::{Burst, Lease, Outcome, QueueHandle, QueueSpec};
use ferry_core::arguments::Arguments;
use serde_json::{Value, json};

const LATER_MS: u64 = 10_000;

impl Door {
    /// Ready, unacknowledged, delayed, dead letters pending, and what `messages` says.
    async fn counts(&self, queue: &str) -> [u64; 5] {
        counts(&self.get(&format!("/api/queues/%2F/{queue}")).await.json())
    }

    /// A sample of the metrics page.
    async fn sample(&self, path: &str, series: &str) -> f64 {
        let page = self.request("GET", path, "").await.body;
        let found = samples(&page).into_iter().find(|(name, _)| name == series);
        found.unwrap_or_else(|| panic!("no {series}: {page}")).1
    }

    fn take(&self, queue: &str) -> Lease {
        let queue = self.queue(queue);
        let mut lease = None;
        self.broker
            .get(&queue, false, &mut |delivery| lease = delivery.lease)
            .unwrap();
        lease.unwrap()
    }

    fn settle(&self, queue: &str, lease: Lease, outcome: Outcome) {
        let mut burst = Burst::new();
        burst.settle(&self.queue(queue), lease, outcome);
        burst.submit(&self.broker);
    }

    fn queue(&self, name: &str) -> Arc<QueueHandle> {
        let vhost = self.broker.vhost("/").unwrap();
        vhost.queue(name, self.connection).unwrap()
    }
}

fn counts(object: &Value) -> [u64; 5] {
    let names = [
        "messages_ready",
        "messages_unacknowledged",
        "messages_delayed",
        "messages_dead_letter_pending",
        "messages",
    ];
    names.map(|name| object[name].as_u64().unwrap())
}

#[tokio::test]
async fn what_waits_for_its_time_is_counted_apart() {
    let door = Door::open().await;
    for name in ["a", "jobs"] {
        door.declare(name, Arguments::new());
    }
    for delay_ms in [None, Some(LATER_MS), Some(LATER_MS), Some(2 * LATER_MS)] {
        door.publish("jobs", delay_ms);
    }
    assert_eq!(door.counts("jobs").await, [1, 0, 3, 0, 1]);
    let totals = door.get("/api/overview").await.json()["queue_totals"].clone();
    assert_eq!(counts(&totals), [1, 0, 3, 0, 1]);
    let sorted = "/api/queues?sort=messages_delayed&sort_reverse=true&columns=name";
    let list = door.get(sorted).await.json();
    assert_eq!(list, json!([{ "name": "jobs" }, { "name": "a" }]));
    let delayed = "ferrymq_messages_delayed";
    assert_eq!(door.sample("/metrics", delayed).await, 3.0);
    let of_queue = format!("{delayed}{{vhost=\"/\",queue=\"jobs\"}}");
    assert_eq!(door.sample("/metrics/per-object", &of_queue).await, 3.0);

    door.pass(LATER_MS);
    assert_eq!(door.counts("jobs").await, [3, 0, 1, 0, 3]);
    let woken = "ferrymq_messages_woken_total";
    assert_eq!(door.sample("/metrics", woken).await, 2.0);
}

#[tokio::test]
async fn dead_letters_that_can_not_arrive_are_counted_apart() {
    let door = Door::open().await;
    let mut arguments = Arguments::from_iter([
        ("x-dead-letter-exchange", "nowhere"),
        ("x-dead-letter-strategy", "at-least-once"),
    ]);
    door.declare("kept", arguments.clone());
    arguments.insert("x-dead-letter-strategy", "at-most-once");
    door.declare("dropped", arguments);
    for queue in ["kept", "kept", "dropped"] {
        door.publish(queue, None);
        let lease = door.take(queue);
        door.settle(queue, lease, Outcome::Reject);
    }
    assert_eq!(door.counts("kept").await, [0, 0, 0, 2, 0]);
    assert_eq!(door.counts("dropped").await, [0, 0, 0, 0, 0]);
    let totals = door.get("/api/overview").await.json()["queue_totals"].clone();
    assert_eq!(counts(&totals), [0, 0, 0, 2, 0]);
    let pending = "ferrymq_messages_dead_letter_pending";
    assert_eq!(door.sample("/metrics", pending).await, 2.0);
    let of_queue = format!("{pending}{{vhost=\"/\",queue=\"kept\"}}");
    assert_eq!(door.sample("/metrics/per-object", &of_queue).await, 2.0);
    let dropped = "ferrymq_messages_dead_letter_dropped_total";
    assert_eq!(door.sample("/metrics", dropped).await, 1.0);
}

#[tokio::test]
async fn leases_that_end_by_themselves_are_counted() {
    let door = Door::open().await;
    let lease_timeout = Arguments::from_iter([("x-lease-timeout", 1000)]);
    door.declare("jobs", lease_timeout);
    door.publish("jobs", None);
    let lease = door.take("jobs");
    assert_eq!(door.counts("jobs").await, [0, 1, 0, 0, 1]);
    door.pass(1001);
    assert_eq!(door.counts("jobs").await, [1, 0, 0, 0, 1]);
    door.settle("jobs", lease, Outcome::Accept);
    for (name, expected) in [
        ("ferrymq_leases_expired_total", 1.0),
        ("ferrymq_messages_settled_late_total", 1.0),
        ("ferrymq_messages_duplicate_total", 0.0),
        ("ferrymq_gathers_begun_total", 0.0),
        ("ferrymq_messages_delay_ignored_total", 0.0),
        ("ferrymq_messages_woken_total", 0.0),
    ] {
        assert_eq!(door.sample("/metrics", name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_purge_takes_the_ready_ones_or_those_that_wait_and_stays_done() {
    let door = Door::open().await;
    door.declare("a/b", Arguments::new());
    let publish = |door: &Door| {
        for delay_ms in [None, None, Some(LATER_MS)] {
            door.publish("a/b", delay_ms);
        }
    };
    publish(&door);
    door.take("a/b");
    let (ready, delayed) = (
        "/api/queues/%2F/a%2Fb/contents",
        "/api/ferry/queues/%2F/a%2Fb/delayed",
    );
    let purged = door.change("DELETE", ready, "").await;
    assert_eq!((purged.status, purged.body.as_str()), (204, ""));
    assert_eq!(door.counts("a%2Fb").await, [0, 1, 1, 0, 1]);
    publish(&door);
    let purged = door.change("DELETE", delayed, "").await;
    assert_eq!((purged.status, purged.body.as_str()), (204, ""));
    assert_eq!(door.counts("a%2Fb").await, [2, 1, 0, 0, 3]);
    for path in [ready, delayed] {
        assert_eq!(door.change("DELETE", path, "").await.status, 204);
    }

    let door = door.killed().await;
    assert_eq!(door.counts("a%2Fb").await, [1, 0, 0, 0, 1]);
    door.pass(LATER_MS);
    assert_eq!(door.counts("a%2Fb").await, [1, 0, 0, 0, 1]);
}

#[tokio::test]
async fn only_what_is_there_and_nobodys_own_can_be_purged() {
    let door = Door::open().await;
    let own = QueueSpec {
        name: "own".to_owned(),
        durable: false,
        exclusive: true,
        auto_delete: false,
        arguments: Arguments::new(),
    };
    let vhost = door.broker.vhost("/").unwrap();
    vhost.declare_queue(own, door.connection).unwrap();
    door.publish("own", None);
    door.publish("own", Some(LATER_MS));
    let paths = |vhost: &str, queue: &str| {
        [
            format!("/api/queues/{vhost}/{queue}/contents"),
            format!("/api/ferry/queues/{vhost}/{queue}/delayed"),
        ]
    };
    for (method, vhost, queue, who, status) in [
        ("DELETE", "%2F", "none", GUEST, 404),
        ("DELETE", "none", "own", GUEST, 404),
        ("DELETE", "%2F", "own", "", 401),
        ("GET", "%2F", "own", GUEST, 405),
        ("POST", "%2F", "own", GUEST, 405),
    ] {
        for path in paths(vhost, queue) {
            let answer = door.request(method, &path, who).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        }
    }
    let [contents, delayed] = paths("%2F", "own");
    for (path, status) in [(&contents, 400), (&delayed, 409)] {
        let answer = door.request("DELETE", path, GUEST).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let refused = door.request("DELETE", &contents, GUEST).await.json();
    assert_eq!(refused["error"], "bad_request");
    let reason = refused["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("cannot obtain exclusive access to locked queue 'own' in vhost '/'."),
        "{reason}"
    );
    assert_eq!(door.counts("own").await, [1, 0, 1, 0, 1]);
}
