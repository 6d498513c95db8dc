//! The door itself: metrics, health, the page, and the limits of a request.

use crate::exposition::{self, Dialect};
use crate::support::{Door, GUEST};
use ferry_core::arguments::Arguments;
use ferry_log::testing::Fault;

/// Every sample of a page, after a check that it is one that Prometheus takes.
pub fn samples(page: &str) -> Vec<(String, f64)> {
    exposition::read(page, Dialect::Prometheus).samples
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

    door.disk.fail_call(1, Fault::Io, true);
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
        "/page/main.js",
        "/page/style/base.css",
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
}

#[tokio::test]
async fn a_file_of_the_page_is_sent_once_per_version() {
    let door = Door::open().await;
    for path in ["/", "/page/lib/dom.js", "/page/style/base.css", "/icon.svg"] {
        let first = door.request("GET", path, "").await;
        assert_eq!(first.status, 200, "{path}");
        assert!(first.head.contains("cache-control: no-cache"), "{path}");
        let tag = first
            .head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "));
        let known = format!("If-None-Match: {}\r\n", tag.unwrap());
        let again = door.request("GET", path, &known).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
    for path in [
        "/page/none.js",
        "/page/",
        "/page/../routes.rs",
        "/page/mod.rs",
    ] {
        assert_eq!(door.request("GET", path, "").await.status, 404, "{path}");
    }
    let head = door.get("/api/overview").await.head;
    assert!(head.contains("cache-control: no-store"), "{head}");
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
