//! A message of its own: declared a queue for, published, synced, leased, compared and settled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::consume::lease_of;
use super::super::messages::{body, now_ms};
use super::super::outcome::Failure;
use super::{Finding, Session, State, first_line};
use crate::client::path;

/// How long the queue stays if it can not be deleted.
const EXPIRES_MS: u64 = 60_000;
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(5);

pub(super) fn run(session: &Session, vhost: &str, confirm_max: Duration) -> Vec<Finding> {
    let queue = format!("ferrymq.doctor.{}.{}", std::process::id(), now_ms());
    let place = path(&["queues", vhost, &queue]);
    // It is the disk that is tried, also where the node promises less.
    let asked = json!({ "x-expires": EXPIRES_MS, "x-sync": "sync" });
    let arguments = json!({ "durable": true, "arguments": asked });
    if let Err(error) = session.client.put(&place, &arguments) {
        return vec![Finding::bad(
            "declare",
            first_line(&error),
            "The user needs the right to configure, write and read ferrymq.doctor.* here.",
        )];
    }
    let mut findings = Vec::new();
    let published = publish(session, vhost, &queue, confirm_max);
    let safe = published.state != State::Bad;
    findings.push(published);
    if safe {
        findings.push(consume(session, vhost, &queue));
    }
    if let Err(error) = session.client.delete(&place, &Value::Null) {
        let advice = format!("Queue {queue} goes by itself within a minute.");
        findings.push(Finding::warn("delete", first_line(&error), &advice));
    }
    findings
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn publish(session: &Session, vhost: &str, queue: &str, confirm_max: Duration) -> Finding {
    let to = path(&["ferry", "publish-batch", vhost, "amq.default"]);
    let message = json!({
        "routing_key": queue,
        "properties": { "delivery_mode": 2 },
        "payload": queue,
        "payload_encoding": "string",
    });
    let began = Instant::now();
    let published = session.client.post(&to, &json!({ "messages": [message] }));
    let took = began.elapsed();
    let text = format!(
        "a durable message was safe on the disk after {} ms",
        ms(took)
    );
    match published {
        Ok(answer) if answer["results"][0]["routed"] != true => Finding::bad(
            "publish",
            format!("the node answers {answer}"),
            "Look at the log of the node.",
        ),
        Ok(_) if took > confirm_max => Finding::warn(
            "publish",
            text,
            "The disk is slow, or much waits for it: look at ferrymq_log_backlog_bytes.",
        ),
        Ok(_) => Finding::ok("publish", text),
        Err(error) => Finding::bad(
            "publish",
            first_line(&error),
            "If publishers are held back, the lines on memory and disk say why.",
        ),
    }
}

fn consume(session: &Session, vhost: &str, queue: &str) -> Finding {
    let began = Instant::now();
    match take(session, vhost, queue) {
        Ok(Some(message)) if body(&message).unwrap_or_default() == queue.as_bytes() => {
            let text = format!(
                "it came back after {} ms, and was settled",
                ms(began.elapsed())
            );
            Finding::ok("consume", text)
        }
        Ok(Some(_)) => Finding::bad(
            "consume",
            "another body came back than was sent",
            "Stop the node and run `ferrymq verify` on its data directory.",
        ),
        Ok(None) => {
            let text = format!("nothing came within {} s", DELIVERY_TIME_MAX.as_secs());
            Finding::bad("consume", text, "Look at the log of the node.")
        }
        Err(error) => {
            let advice = "The user needs the right to read ferrymq.doctor.* here.";
            Finding::bad("consume", error.to_string(), advice)
        }
    }
}

fn take(session: &Session, vhost: &str, queue: &str) -> Result<Option<Value>, Failure> {
    let wait = DELIVERY_TIME_MAX;
    let lease = json!({ "max": 1, "wait_ms": wait.as_millis() as u64, "lease_ms": EXPIRES_MS });
    let to = path(&["ferry", "lease", vhost, queue]);
    let mut answer = session.client.post_waiting(&to, &lease, wait)?;
    let message = answer["messages"][0].take();
    if message.is_null() {
        return Ok(None);
    }
    let settle = json!({ "lease": lease_of(&message)?, "outcome": "accept" });
    let to = path(&["ferry", "settle", vhost, queue]);
    let settled = session.client.post(&to, &json!({ "leases": [settle] }))?;
    match settled["results"][0]["settled"] == true {
        true => Ok(Some(message)),
        false => Err(Failure::Failed(format!("it was not settled: {settled}"))),
    }
}
