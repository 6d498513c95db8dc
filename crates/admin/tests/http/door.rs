//! The door itself: metrics, health, the page, and the limits of a request.

use crate::support::{Door, GUEST};
use ferry_core::arguments::Arguments;
use ferry_log::testing::Fault;

const IDENTITY: &str = "rabbitmq_identity_info\
    {rabbitmq_node=\"ferrymq@test\",rabbitmq_cluster=\"ferrymq@test\"}";

/// Every sample of a page, after a check that it is one that Prometheus takes.
pub fn samples(page: &str) -> Vec<(String, f64)> {
    let mut families: Vec<&str> = Vec::new();
    let mut samples: Vec<(String, f64)> = Vec::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!families.contains(&name) && !text.is_empty(), "{line}");
            families.push(name);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(families.last(), Some(&name));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert_eq!(families.last(), Some(&name), "{line}");
            assert!(
                samples.iter().all(|(known, _)| known != series),
                "twice: {line}"
            );
            samples.push((series.to_owned(), value.parse().unwrap()));
        }
    }
    samples
}

#[tokio::test]
async fn metrics_can_be_read_and_have_the_known_names() {
    let door = Door::open().await;
    door.declare("a\"b", Arguments::new());
    let page = door.request("GET", "/metrics", "").await;
    assert!(
        page.head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        page.head
    );
    let whole = samples(&page.body);
    let value = |name: &str| {
        whole
            .iter()
            .find(|(series, _)| series == name)
            .map(|(_, v)| *v)
    };
    for (name, expected) in [
        ("rabbitmq_connections", 1.0),
        ("rabbitmq_channels", 0.0),
        ("rabbitmq_queues", 1.0),
        ("rabbitmq_queue_messages_ready", 0.0),
        ("rabbitmq_global_messages_received_total", 0.0),
        ("rabbitmq_resident_memory_limit_bytes", 1_048_576.0),
        (IDENTITY, 1.0),
        ("rabbitmq_alarms_memory_used_watermark", 0.0),
        ("ferrymq_log_segments", 1.0),
    ] {
        assert_eq!(value(name), Some(expected), "{name}");
    }
    let page = door.request("GET", "/metrics/per-object", "").await;
    let series = "rabbitmq_queue_messages{vhost=\"/\",queue=\"a\\\"b\"}";
    assert!(
        samples(&page.body).iter().any(|(name, _)| name == series),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn health_tells_alarms_from_the_end() {
    let door = Door::open().await;
    let status = async |path: &str| door.get(path).await.status;
    let http = door.admin.local_addr().port();
    for (path, expected) in [
        ("/api/health/checks/alarms".to_owned(), 200),
        ("/api/health/checks/local-alarms".to_owned(), 200),
        ("/api/health/checks/virtual-hosts".to_owned(), 200),
        ("/api/healthchecks/node".to_owned(), 200),
        (format!("/api/health/checks/port-listener/{http}"), 200),
        ("/api/health/checks/port-listener/1".to_owned(), 503),
        (
            "/api/health/checks/protocol-listener/amqp091".to_owned(),
            200,
        ),
        ("/api/health/checks/protocol-listener/mqtt".to_owned(), 503),
    ] {
        assert_eq!(status(&path).await, expected, "{path}");
    }

    door.broker.memory().account(2 << 20);
    door.broker.commit_log().unwrap();
    let alarms = door.get("/api/health/checks/alarms").await;
    assert_eq!(
        (alarms.status, &alarms.json()["alarms"][0]["resource"]),
        (503, &"memory".into())
    );
    assert_eq!(
        (status("/health/live").await, status("/health/ready").await),
        (200, 200)
    );

    door.disk.fail_call(door.disk.calls() + 1, Fault::Io, true);
    door.declare("more", Arguments::new());
    door.broker.commit_log().unwrap_err();
    assert_eq!(
        (status("/health/live").await, status("/health/ready").await),
        (503, 503)
    );
}

#[tokio::test]
async fn a_node_that_stops_is_not_ready_but_alive() {
    let door = Door::open().await;
    door.admin.set_ready(false);
    assert_eq!(door.get("/health/ready").await.status, 503);
    assert_eq!(door.get("/health/live").await.status, 200);
    let address = door.admin.local_addr();
    door.admin.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn every_answer_is_locked_to_this_origin() {
    let door = Door::open().await;
    let from_elsewhere = format!("{GUEST}Origin: https://elsewhere.example\r\n");
    for path in [
        "/",
        "/page.js",
        "/page.css",
        "/icon.svg",
        "/metrics",
        "/api/overview",
        "/api/none",
    ] {
        let head = door.request("GET", path, &from_elsewhere).await.head;
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"));
        assert!(head.contains("x-content-type-options: nosniff"), "{path}");
        assert!(!head.contains("access-control-"), "{path}: {head}");
    }
    let page = door.request("GET", "/", "").await.body;
    for forbidden in [
        "<script>",
        "<style",
        " style=",
        " onclick=",
        " onload=",
        "http:",
        "https:",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let script = door.request("GET", "/page.js", "").await.body;
    for forbidden in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn requests_beyond_a_limit_are_refused() {
    let door = Door::open().await;
    let big = "x".repeat(200 << 10);
    let many: String = (0..200)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    for (name, more, status) in [
        (
            "a body of 1 MiB and a byte",
            "Content-Length: 1048577\r\n".to_owned(),
            413,
        ),
        (
            "a length that is no number",
            "Content-Length: 99999999999999999999\r\n".to_owned(),
            400,
        ),
        ("a long head", format!("X-Long: {big}\r\n"), 431),
        ("many headers", many, 431),
    ] {
        let answer = door
            .request("GET", "/api/whoami", &format!("{GUEST}{more}"))
            .await;
        assert_eq!(answer.status, status, "{name}: {}", answer.head);
    }
}
