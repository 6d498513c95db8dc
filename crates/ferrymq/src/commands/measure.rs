//! `bench`: how fast a node takes and gives messages over HTTP.
//!
//! What it measures is one node, one queue and the way through the data plane: every batch is
//! durable before the next of its publisher is sent, and every message is leased and settled.
//! AMQP is faster: it needs no request for each batch.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::consume::lease_of;
use super::messages::now_ms;
use super::outcome::{Done, Failure};
use super::progress;
use super::session::{InVhost, Showing};
use crate::client::{Client, NodeAddress, path};
use crate::show::{Align, Table};

/// How long the queue stays if it can not be deleted.
const EXPIRES_MS: u64 = 300_000;
const LEASES_MAX: u64 = 100;
const LEASE_MS: u64 = 60_000;
/// How long an empty queue is waited for.
const WAIT: Duration = Duration::from_millis(200);
/// What consumers have to take what is left, after publishers have stopped.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[command(after_help = "\
It measures HTTP: durable batches in, leases out, through one queue that is deleted afterwards.
A node that is in use gets slower meanwhile. Clients of AMQP are faster.")]
pub(crate) struct Bench {
    /// Seconds to publish for
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Bytes of a body
    #[arg(long, value_name = "N", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(0..=65_536))]
    bytes: u64,
    /// Messages of a request
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=500))]
    batch: u64,
    /// Connections that publish
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u64).range(1..=64))]
    publishers: u64,
    /// Connections that consume
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=64))]
    consumers: u64,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    showing: Showing,
}

/// What both sides share.
struct Run<'a> {
    address: &'a NodeAddress,
    vhost: &'a str,
    queue: &'a str,
    published: AtomicU64,
    consumed: AtomicU64,
    /// Nothing is published any more.
    closed: AtomicBool,
}

impl Bench {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let vhost = self.vhost.vhost.as_str();
        let queue = format!("ferrymq.bench.{}.{}", std::process::id(), now_ms());
        let place = path(&["queues", vhost, &queue]);
        let arguments = json!({ "durable": true, "arguments": { "x-expires": EXPIRES_MS } });
        session.client.put(&place, &arguments)?;
        let run = Run {
            address: session.client.address(),
            vhost,
            queue: &queue,
            published: AtomicU64::new(0),
            consumed: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        };
        let measured = self.measure(&run);
        let deleted = session.client.delete(&place, &Value::Null);
        let measured = measured?;
        deleted?;
        session.show(&measured, |measured, terminal| {
            let mut table = Table::new([("what", Align::Left), ("how much", Align::Right)]);
            for (name, value) in measured.as_object().into_iter().flatten() {
                let value = match value.as_f64() {
                    Some(number) if value.is_f64() => format!("{number:.1}"),
                    _ => value.to_string(),
                };
                table.row([name.replace('_', " "), value]);
            }
            table.render(terminal)
        })
    }

    fn measure(&self, run: &Run<'_>) -> Result<Value, Failure> {
        let began = Instant::now();
        let deadline = began + Duration::from_secs(self.seconds);
        let bar = progress::bar(None, "published");
        let mut times = Vec::new();
        let (published_s, consumed_s) = std::thread::scope(|scope| {
            let consumers: Vec<_> = (0..self.consumers)
                .map(|_| scope.spawn(|| run.consume()))
                .collect();
            let publishers: Vec<_> = (0..self.publishers)
                .map(|_| scope.spawn(|| run.publish(self.batch, self.bytes, deadline)))
                .collect();
            while publishers.iter().any(|publisher| !publisher.is_finished()) {
                bar.set_position(run.published.load(Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(50));
            }
            let mut outcome = Ok(());
            for publisher in publishers {
                match publisher.join().expect("a publisher does not panic") {
                    Ok(more) => times.extend(more),
                    Err(error) => outcome = Err(error),
                }
            }
            let published_s = began.elapsed().as_secs_f64();
            run.closed.store(true, Ordering::Release);
            for consumer in consumers {
                let consumed = consumer.join().expect("a consumer does not panic");
                outcome = outcome.and(consumed);
            }
            outcome.map(|()| (published_s, began.elapsed().as_secs_f64()))
        })?;
        bar.finish_and_clear();
        let (published, consumed) = (
            run.published.load(Ordering::Relaxed),
            run.consumed.load(Ordering::Relaxed),
        );
        if published != consumed {
            let text = format!("{published} were published, and {consumed} consumed");
            return Err(Failure::Failed(text));
        }
        times.sort_unstable();
        Ok(json!({
            "published": published,
            "published_per_second": published as f64 / published_s,
            "consumed_per_second": consumed as f64 / consumed_s,
            "request_ms_median": quantile_ms(&times, 50),
            "request_ms_p99": quantile_ms(&times, 99),
            "request_ms_max": quantile_ms(&times, 100),
        }))
    }
}

/// A time that so many percent are not above.
fn quantile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted
        .get(index)
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

impl Run<'_> {
    /// Returns how long each request took.
    fn publish(&self, batch: u64, bytes: u64, until: Instant) -> Result<Vec<Duration>, Failure> {
        let client = Client::new(self.address)?;
        let to = path(&["ferry", "publish-batch", self.vhost, "amq.default"]);
        let message = json!({
            "routing_key": self.queue,
            "properties": { "delivery_mode": 2 },
            "payload": "x".repeat(bytes as usize),
            "payload_encoding": "string",
        });
        let messages = vec![message; batch as usize];
        let body = json!({ "messages": messages });
        let mut times = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            let answer = client.post(&to, &body)?;
            times.push(began.elapsed());
            let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
            let routed = results
                .iter()
                .filter(|result| result["routed"] == true)
                .count();
            if routed as u64 != batch {
                let text = format!("of {batch} messages {routed} came into the queue");
                return Err(Failure::Failed(text));
            }
            self.published.fetch_add(batch, Ordering::Relaxed);
        }
        Ok(times)
    }

    fn consume(&self) -> Done {
        let client = Client::new(self.address)?;
        let lease = path(&["ferry", "lease", self.vhost, self.queue]);
        let settle = path(&["ferry", "settle", self.vhost, self.queue]);
        let wait_ms = WAIT.as_millis() as u64;
        let body = json!({ "max": LEASES_MAX, "wait_ms": wait_ms, "lease_ms": LEASE_MS });
        let mut closed_at = None;
        loop {
            // Looked at first: what was published before is found after.
            let closed = self.closed.load(Ordering::Acquire);
            let mut answer = client.post_waiting(&lease, &body, WAIT)?;
            let Value::Array(messages) = answer["messages"].take() else {
                return Err(Failure::Failed(
                    "the node's answer has no messages".to_owned(),
                ));
            };
            if messages.is_empty() && closed {
                return Ok(());
            }
            if closed && closed_at.get_or_insert_with(Instant::now).elapsed() > DRAIN_TIME_MAX {
                return Err(Failure::Failed("consumers did not keep up".to_owned()));
            }
            if messages.is_empty() {
                continue;
            }
            let mut leases = Vec::with_capacity(messages.len());
            for message in &messages {
                leases.push(json!({ "lease": lease_of(message)?, "outcome": "accept" }));
            }
            let answer = client.post(&settle, &json!({ "leases": leases }))?;
            let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
            let settled = results
                .iter()
                .filter(|result| result["settled"] == true)
                .count();
            self.consumed.fetch_add(settled as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        for (percent, expected) in [(50, 50.0), (99, 99.0), (100, 100.0), (0, 1.0)] {
            assert_eq!(quantile_ms(&times, percent), expected, "{percent}");
        }
        assert_eq!(quantile_ms(&[], 50), 0.0);
    }
}
