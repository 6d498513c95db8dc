//! `consume` and `get`: messages taken off a queue by leases over HTTP.
//!
//! Invariants
//! - A message is settled after its line is written, never before.
//! - What is to go back goes back at the end, so that it is not taken twice.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::messages;
use super::outcome::{Done, Failure};
use super::session::{InVhost, Session, Showing, say};
use crate::client::path;
use crate::show::{self, count};

/// Most messages that are leased at once.
const LEASES_MAX: u64 = 100;
/// How long the node holds an empty answer back.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// What becomes of a message that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    /// It is done
    Accept,
    /// It goes back to its queue
    Requeue,
    /// It is a dead letter, where the queue has an exchange for them
    Reject,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Accept => "accept",
            Outcome::Requeue => "requeue",
            Outcome::Reject => "reject",
        }
    }
}

#[derive(Debug, Args)]
struct Taking {
    /// Queue
    queue: String,
    /// What becomes of a message that was written
    #[arg(long, value_name = "OUTCOME", value_enum, default_value = "accept")]
    ack: Outcome,
    /// Ms after which a message that was not settled is given to others
    #[arg(long, value_name = "MS", default_value_t = 30_000,
          value_parser = clap::value_parser!(u64).range(1_000..))]
    lease_ms: u64,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Debug, Args)]
pub(crate) struct Consume {
    #[command(flatten)]
    taking: Taking,
    /// Ends after so many [default: goes on]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Ends when nothing came for so many seconds [default: goes on]
    #[arg(long, value_name = "SECONDS")]
    idle_s: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    taking: Taking,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
}

impl Consume {
    pub fn run(self) -> Done {
        if self.taking.ack == Outcome::Requeue && self.count.is_none() {
            let text = "--ack requeue goes with --count: else it would never end";
            return Err(Failure::Usage(text.to_owned()));
        }
        let mut taker = Taker::new(&self.taking)?;
        let idle_max = self.idle_s.map(Duration::from_secs);
        let mut last = Instant::now();
        while self.count.is_none_or(|count| taker.taken < count) {
            let left = self.count.map_or(LEASES_MAX, |count| count - taker.taken);
            let idle_left = idle_max.map(|idle_max| idle_max.saturating_sub(last.elapsed()));
            let wait = idle_left.map_or(WAIT_MAX, |left| left.min(WAIT_MAX));
            if taker.take(left, wait)? > 0 {
                last = Instant::now();
            } else if idle_max.is_some_and(|idle_max| last.elapsed() >= idle_max) {
                break;
            }
        }
        taker.finish()
    }
}

impl Get {
    pub fn run(self) -> Done {
        let mut taker = Taker::new(&self.taking)?;
        while taker.taken < self.count {
            if taker.take(self.count - taker.taken, Duration::ZERO)? == 0 {
                break;
            }
        }
        if taker.taken == 0 {
            say("no message is ready")?;
        }
        taker.finish()
    }
}

struct Taker<'a> {
    taking: &'a Taking,
    session: Session,
    taken: u64,
    /// Leases that end when all is taken.
    kept: Vec<Value>,
    late: u64,
}

impl Taker<'_> {
    fn new(taking: &Taking) -> Result<Taker<'_>, Failure> {
        let session = taking.showing.open()?;
        Ok(Taker {
            taking,
            session,
            taken: 0,
            kept: Vec::new(),
            late: 0,
        })
    }

    /// Takes what is there, at most `left`, and writes it; returns how many that were.
    fn take(&mut self, left: u64, wait: Duration) -> Result<u64, Failure> {
        let Taking {
            queue,
            vhost,
            lease_ms,
            ack,
            ..
        } = self.taking;
        let body = json!({
            "max": left.min(LEASES_MAX),
            "wait_ms": wait.as_millis() as u64,
            "lease_ms": lease_ms,
        });
        let path = path(&["ferry", "lease", &vhost.vhost, queue]);
        let mut answer = self
            .session
            .client
            .post_waiting(&path, &body, wait)
            .map_err(|error| error.named("queue", queue))?;
        let Value::Array(messages) = answer["messages"].take() else {
            return Err(Failure::Failed(
                "the node's answer has no messages".to_owned(),
            ));
        };
        let mut leases = Vec::new();
        for message in &messages {
            let lease = lease_of(message)?;
            show::write(&messages::written(
                message,
                self.session.json,
                self.session.terminal,
            )?)?;
            leases.push(json!({ "lease": lease, "outcome": ack.word() }));
        }
        let count = messages.len() as u64;
        self.taken += count;
        match ack {
            Outcome::Requeue => self.kept.extend(leases),
            Outcome::Accept | Outcome::Reject => self.settle(&leases)?,
        }
        Ok(count)
    }

    fn settle(&mut self, leases: &[Value]) -> Done {
        let Taking { queue, vhost, .. } = self.taking;
        let path = path(&["ferry", "settle", &vhost.vhost, queue]);
        for leases in leases.chunks(LEASES_MAX as usize) {
            let answer = self
                .session
                .client
                .post(&path, &json!({ "leases": leases }))?;
            let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
            let settled = results
                .iter()
                .filter(|result| result["settled"] == true)
                .count();
            self.late += leases.len().saturating_sub(settled) as u64;
        }
        Ok(())
    }

    fn finish(mut self) -> Done {
        let kept = std::mem::take(&mut self.kept);
        self.settle(&kept)?;
        match self.late {
            0 => Ok(()),
            late => Err(Failure::Failed(format!(
                "{} had been given back before it was settled: others get it, too (--lease-ms)",
                count(late, "message")
            ))),
        }
    }
}

/// What a lease is settled by.
pub(super) fn lease_of(message: &Value) -> Result<&Value, Failure> {
    match &message["lease"] {
        Value::Null => Err(Failure::Failed(
            "a message came without its lease".to_owned(),
        )),
        lease => Ok(lease.get("lease").unwrap_or(lease)),
    }
}
