//! What reaches a collector, and what a collector that does not answer costs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use ferry_broker::{Event, Options, SyncPolicy};
use ferry_log::RealDisk;
use serde_json::{Value, json};

use super::*;
use crate::clock::SteadyClock;

fn trace(sampled: bool) -> TraceContext {
    TraceContext {
        trace_id: [0xab; 16],
        parent_id: [0xcd; 8],
        sampled,
    }
}

fn hop(queue: Option<&str>, event: Event) -> Hop {
    Hop {
        at: 1_700_000_000_123,
        queue: queue.map(str::to_owned),
        trace_id: Some([0xab; 16]),
        event,
    }
}

fn broker(directory: &tempfile::TempDir) -> Arc<Broker> {
    Broker::open(Options {
        disk: Arc::new(RealDisk::open(directory.path()).unwrap()),
        log: ferry_log::Options::default(),
        clock: Arc::new(SteadyClock::new()),
        formats: ferry_gateway::formats(),
        sync: SyncPolicy::Sync,
        memory_high_bytes: 1 << 20,
        disk_free_bytes_min: 0,
    })
    .unwrap()
}

/// Reads a request and answers it with that status; its head and body.
fn answer(stream: &mut TcpStream, status: &str) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("Content-Length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() == length {
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
                return (head.to_owned(), serde_json::from_str(body).unwrap());
            }
        }
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "{text}");
        bytes.extend_from_slice(&part[..read]);
    }
}

#[test]
fn hops_of_a_recorded_trace_become_spans() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory);
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/otlp/", collector.local_addr().unwrap());
    let (queue, waiting) = sync_channel(WAITING_MAX);
    let weak = Arc::downgrade(&broker);
    let exporter = Exporter {
        queue,
        broker: weak.clone(),
    };
    let moved = Event::DeadLettered {
        reason: "expired".to_owned(),
        exchange: "dlx".to_owned(),
        routing_key: "k".to_owned(),
        queues: vec!["dead".to_owned()],
    };
    exporter.hop(&trace(false), b"m", &hop(None, Event::Entered));
    exporter.hop(&trace(true), b"m", &hop(Some("q"), Event::Acked));
    exporter.hop(&trace(true), b"\xff", &hop(None, moved));
    drop(exporter);
    let sender = Sender {
        endpoint: Endpoint::parse(&url).unwrap(),
        broker: weak,
        spans: Spans::default(),
        complained_at: None,
    };
    let thread = std::thread::spawn(move || sender.run(&waiting));
    let (head, body) = answer(&mut collector.accept().unwrap().0, "200 OK");
    thread.join().unwrap();
    assert!(
        head.starts_with("POST /otlp/v1/traces HTTP/1.1\r\n"),
        "{head}"
    );
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans.as_array().unwrap().len(), 2, "{spans}");
    assert_eq!(spans[0]["name"], "q acked");
    assert_eq!(spans[0]["traceId"], "ab".repeat(16));
    assert_eq!(spans[0]["parentSpanId"], "cd".repeat(8));
    assert_eq!(spans[0]["startTimeUnixNano"], "1700000000123000000");
    assert_ne!(spans[0]["spanId"], spans[1]["spanId"]);
    let attributes = spans[1]["attributes"].as_array().unwrap();
    let queues = json!({ "key": "ferrymq.queues",
        "value": { "arrayValue": { "values": [{ "stringValue": "dead" }] } } });
    assert!(attributes.contains(&queues), "{attributes:?}");
    assert_eq!(
        broker
            .metrics()
            .spans_dropped
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

#[test]
fn nobody_waits_for_a_collector_and_what_is_dropped_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory);
    let dropped = || {
        broker
            .metrics()
            .spans_dropped
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let (queue, waiting) = sync_channel(10);
    let weak = Arc::downgrade(&broker);
    let exporter = Exporter {
        queue,
        broker: weak.clone(),
    };
    for _ in 0..25 {
        exporter.hop(&trace(true), b"m", &hop(None, Event::Entered));
    }
    assert_eq!(dropped(), 15);
    drop(exporter);
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", collector.local_addr().unwrap());
    let sender = Sender {
        endpoint: Endpoint::parse(&url).unwrap(),
        broker: weak,
        spans: Spans::default(),
        complained_at: None,
    };
    let thread = std::thread::spawn(move || sender.run(&waiting));
    answer(&mut collector.accept().unwrap().0, "503 Busy");
    thread.join().unwrap();
    assert_eq!(
        dropped(),
        25,
        "a batch that the collector refuses is dropped"
    );
    start(&broker, Endpoint::parse("http://127.0.0.1:1").unwrap()).unwrap();
}

#[test]
fn an_endpoint_is_a_plain_url_with_a_port() {
    for (text, is_endpoint) in [
        ("http://127.0.0.1:4318", true),
        ("http://[::1]:4318/", true),
        ("http://collector:4318/base/path", true),
        ("https://collector:4318", false),
        ("http://collector", false),
        ("http://:4318", false),
        ("http://c:99999", false),
        ("http://user@c:1", false),
        ("http://c:1/a b", false),
        ("http://c:1/\r\nX: y", false),
        ("", false),
    ] {
        assert_eq!(Endpoint::parse(text).is_some(), is_endpoint, "{text}");
    }
}
