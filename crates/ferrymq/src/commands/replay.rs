//! `replay`: messages of a queue published again, by a job of the node; and the list of jobs.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::list::{self, Column, Show, text};
use super::messages::{self, Matching};
use super::move_messages::chosen;
use super::outcome::{Done, Failure};
use super::progress;
use super::session::{InVhost, Remote, Session, Showing, say};
use crate::client::path;
use crate::show::{count, escape};

/// Between two looks at a job.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

const COLUMNS: [Column; 9] = [
    Column("job", "job", Show::Text),
    Column("vhost", "vhost", Show::Text),
    Column("queue", "queue", Show::Text),
    Column("state", "state", Show::Text),
    Column("matched", "matched", Show::Number),
    Column("replayed", "replayed", Show::Number),
    Column("skipped", "skipped", Show::Number),
    Column("failed", "failed", Show::Number),
    Column("started", "started_at", Show::Moment),
];

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Queue that they are in, usually one of dead letters
    queue: String,
    /// One message by its ref, as `peek` shows it; may be given several times
    #[arg(long = "ref", value_name = "REF")]
    refs: Vec<String>,
    /// All of them, where nothing else is said
    #[arg(long, conflicts_with = "refs")]
    all: bool,
    /// Exchange to publish them to, instead of the one they came through; "" takes names of queues
    #[arg(long, value_name = "EXCHANGE", requires = "to_key")]
    to_exchange: Option<String>,
    /// Routing key to publish them with
    #[arg(long, value_name = "KEY", requires = "to_exchange")]
    to_key: Option<String>,
    /// At most so many a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Does not wait for the end
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    showing: Showing,
}

impl Replay {
    pub fn run(self) -> Done {
        let mut body = chosen(&self.refs, &self.matching, self.all)?;
        // In the body of a replay `to` says where, and `until` when.
        let until = body.as_object_mut().and_then(|body| body.remove("to"));
        if let Some(until) = until {
            body["until"] = until;
        }
        body["to"] = match (&self.to_exchange, &self.to_key) {
            (Some(exchange), Some(key)) => json!({ "exchange": exchange, "routing_key": key }),
            _ => json!("origin"),
        };
        if let Some(rate) = self.rate {
            body["rate"] = json!(rate);
        }
        let session = self.showing.open()?;
        let act = messages::path_of(&self.vhost.vhost, &self.queue, &["replay"]);
        let begun = session.client.post(&act, &body);
        let begun = begun.map_err(|error| error.named("queue", &self.queue))?;
        let job = text(&begun["job"]);
        if self.detach {
            return session.show(&begun, |_, _| format!("{}\n", escape(&job)));
        }
        let job = wait(&session, &job)?;
        if session.json {
            session.show(&job, |_, _| String::new())?;
        }
        verdict(&job)
    }
}

fn wait(session: &Session, job: &str) -> Result<Value, Failure> {
    let bar = progress::bar(Some(0), "replayed");
    loop {
        let found = session.client.get(&path(&["ferry", "replays", job]))?;
        bar.set_length(found["matched"].as_u64().unwrap_or_default());
        let done = ["replayed", "skipped", "failed"].map(|field| found[field].as_u64());
        bar.set_position(done.into_iter().flatten().sum());
        if found["state"] != "running" {
            bar.finish_and_clear();
            return Ok(found);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn verdict(job: &Value) -> Done {
    let number = |field: &str| job[field].as_u64().unwrap_or_default();
    let replayed = count(number("replayed"), "message");
    say(&format!(
        "replayed {replayed}, skipped {}",
        number("skipped")
    ))?;
    match (job["state"].as_str(), number("failed")) {
        (Some("done"), 0) => Ok(()),
        (state, failed) => {
            let state = escape(state.unwrap_or("unknown"));
            Err(Failure::Failed(format!(
                "the replay is {state}, {failed} failed"
            )))
        }
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Replays {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Stops a replay; what it has published stays published
    Stop(Stop),
}

#[derive(Debug, Args)]
struct Stop {
    /// Job, as the list has it
    job: String,
    #[command(flatten)]
    remote: Remote,
}

impl Replays {
    pub fn run(self) -> Done {
        if let Some(Act::Stop(Stop { job, remote })) = self.act {
            let stopped = remote
                .client()?
                .delete(&path(&["ferry", "replays", &job]), &Value::Null);
            stopped.map_err(|error| error.named("replay", &job))?;
            return say(&format!("stopped {}", escape(&job)));
        }
        let session = self.showing.open()?;
        let items = session.client.get(&path(&["ferry", "replays"]))?;
        // A list in a page, or a plain one.
        let items = items.get("items").cloned().unwrap_or(items);
        list::show(&session, &items, &COLUMNS)
    }
}
