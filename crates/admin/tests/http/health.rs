//! Probes: what is alive, ready, started, and what really works.

use crate::support::Door;
use ferry_broker::Threads;

#[tokio::test]
async fn probes_need_no_log_in_and_say_what_they_find() {
    let door = Door::open().await;
    for path in ["/health/live", "/health/ready", "/health/startup"] {
        let answer = door.request("GET", path, "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"status":"ok"}"#)
        );
    }
    door.admin.set_ready(false);
    for (path, status) in [
        ("/health/live", 200),
        ("/health/ready", 503),
        ("/health/startup", 200),
    ] {
        assert_eq!(door.request("GET", path, "").await.status, status, "{path}");
    }
    let body = door.request("GET", "/health/ready", "").await.json();
    assert_eq!(body["reason"], "the node is stopping");
    let page = door.request("GET", "/metrics", "").await.body;
    assert!(page.contains("\nferrymq_ready 0\n"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_check_works_through_the_disk_and_rests() {
    let door = Door::open().await;
    let threads = Threads::start(&door.broker).unwrap();
    let written = |door: &Door| door.broker.log().written();
    let before = written(&door);
    let first = door.request("GET", "/health/deep", "").await;
    assert_eq!((first.status, &first.json()["status"]), (200, &"ok".into()));
    let after = written(&door);
    assert!(after > before, "nothing was written");
    assert!(first.json()["confirm_ms"].as_f64().unwrap() > 0.0);
    let again = door.request("GET", "/health/deep", "").await.json();
    assert_eq!(again["took_ms"], first.json()["took_ms"], "the same one");
    assert!(door.broker.vhost("/").unwrap().queues().is_empty());
    threads.stop().unwrap();
}
