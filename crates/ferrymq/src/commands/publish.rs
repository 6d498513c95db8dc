//! `publish`: messages in batches; each batch is safe on the disk before the next is sent.
//!
//! Invariants
//! - A batch has at most `BATCH_MESSAGES_MAX` messages, and is sent when it has `BATCH_BYTES`.
//! - While the node holds publishers back, the same batch waits: none is sent twice, none left out.

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::arguments::{Pair, object, parse_pair};
use super::list;
use super::messages::payload;
use super::outcome::{Done, Failure};
use super::progress;
use super::session::{InVhost, Remote, say};
use crate::client::{Client, ClientError, path};
use crate::show::{count, escape};

const BATCH_MESSAGES_MAX: usize = 500;
const BATCH_BYTES: usize = 256 << 10;
/// The longest line that becomes a message, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// From how many messages on the progress is shown.
const PROGRESS_MESSAGES_MIN: u64 = 2;
/// How long to wait for a node that holds publishers back and does not say how long.
const HELD_S: u64 = 1;

/// How the API calls the exchange that takes names of queues.
const DEFAULT_EXCHANGE: &str = "amq.default";

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// Routing key; without --exchange the name of a queue
    key: String,
    /// Body; without one it is standard input
    body: Option<String>,
    /// Exchange
    #[arg(long, value_name = "NAME", default_value = "")]
    exchange: String,
    /// The body is this file, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    file: Option<PathBuf>,
    /// Every line is a message
    #[arg(long, conflicts_with_all = ["body", "count"])]
    lines: bool,
    /// The same message so many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u64,
    /// Fails where a message finds no queue
    #[arg(long)]
    mandatory: bool,
    #[command(flatten)]
    properties: Properties,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Properties")]
struct Properties {
    /// Header; VALUE is JSON if it can be, else text
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_pair)]
    headers: Vec<Pair>,
    /// Ms until it is ready
    #[arg(long, value_name = "MS")]
    delay_ms: Option<u64>,
    /// What the body is, such as application/json
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// How the body is encoded, such as gzip
    #[arg(long, value_name = "ENCODING")]
    content_encoding: Option<String>,
    /// Priority
    #[arg(long, value_name = "N")]
    priority: Option<u8>,
    /// Ms that it may wait
    #[arg(long, value_name = "MS")]
    expiration_ms: Option<u64>,
    /// Message id
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// What the reply is known by
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Queue for the reply
    #[arg(long, value_name = "QUEUE")]
    reply_to: Option<String>,
    /// Name of the message's type
    #[arg(long = "type", value_name = "NAME")]
    kind: Option<String>,
    /// Gone after a restart of the node
    #[arg(long)]
    transient: bool,
}

impl Properties {
    fn object(&self) -> Result<Value, Failure> {
        let delay = self.delay_ms.map(|ms| Pair {
            name: "x-delay".to_owned(),
            value: json!(ms),
        });
        let headers = object(self.headers.iter().cloned().chain(delay))?;
        let mut properties = Map::new();
        properties.insert(
            "delivery_mode".to_owned(),
            json!(if self.transient { 1 } else { 2 }),
        );
        if !headers.is_empty() {
            properties.insert("headers".to_owned(), Value::Object(headers));
        }
        if let Some(priority) = self.priority {
            properties.insert("priority".to_owned(), json!(priority));
        }
        let texts = [
            ("content_type", &self.content_type),
            ("content_encoding", &self.content_encoding),
            ("expiration", &self.expiration_ms.map(|ms| ms.to_string())),
            ("message_id", &self.message_id),
            ("correlation_id", &self.correlation_id),
            ("reply_to", &self.reply_to),
            ("type", &self.kind),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                properties.insert(name.to_owned(), json!(value));
            }
        }
        Ok(Value::Object(properties))
    }
}

impl Publish {
    pub fn run(self) -> Done {
        let client = self.remote.client()?;
        let exchange = match self.exchange.as_str() {
            "" => DEFAULT_EXCHANGE,
            name => name,
        };
        let to = path(&["ferry", "publish-batch", &self.vhost.vhost, exchange]);
        let total = (!self.lines).then_some(self.count);
        let mut sender = Sender {
            client: &client,
            to,
            key: &self.key,
            properties: self.properties.object()?,
            exchange: &self.exchange,
            batch: Vec::new(),
            batch_bytes: 0,
            published: 0,
            nowhere: 0,
            refused: 0,
            why: None,
            bar: match total {
                Some(total) if total < PROGRESS_MESSAGES_MIN => ProgressBar::hidden(),
                total => progress::bar(total, "published"),
            },
        };
        let began = Instant::now();
        match self.lines {
            true => each_line(self.file.as_deref(), |line| sender.add(line))?,
            false => {
                let body = self.whole_body()?;
                for _ in 0..self.count {
                    sender.add(&body)?;
                }
            }
        }
        sender.send()?;
        sender.bar.finish_and_clear();
        sender.verdict(began.elapsed(), self.mandatory)
    }

    fn whole_body(&self) -> Result<Vec<u8>, Failure> {
        if let Some(body) = &self.body {
            return Ok(body.clone().into_bytes());
        }
        let mut bytes = Vec::new();
        let mut input = input(self.file.as_deref())?;
        input
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(self.file.as_deref(), &error))?;
        Ok(bytes)
    }
}

fn input(file: Option<&Path>) -> Result<Box<dyn BufRead>, Failure> {
    match file {
        Some(path) if path != Path::new("-") => {
            let file = std::fs::File::open(path).map_err(|error| unreadable(Some(path), &error))?;
            Ok(Box::new(BufReader::new(file)))
        }
        file => {
            let stdin = io::stdin();
            if file.is_none() && stdin.is_terminal() {
                eprintln!("the body is what you type; Ctrl-D ends it");
            }
            Ok(Box::new(stdin.lock()))
        }
    }
}

fn unreadable(file: Option<&Path>, error: &io::Error) -> Failure {
    let name = file.map_or("standard input".to_owned(), |file| {
        file.display().to_string()
    });
    Failure::Usage(format!("can not read {name}: {error}"))
}

fn each_line(file: Option<&Path>, mut act: impl FnMut(&[u8]) -> Done) -> Done {
    let mut input = input(file)?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input)
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(file, &error))? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.len() as u64 > LINE_BYTES_MAX {
            let text = format!("a line has more than {LINE_BYTES_MAX} bytes");
            return Err(Failure::Usage(text));
        }
        act(&line)?;
    }
}

struct Sender<'a> {
    client: &'a Client,
    to: String,
    key: &'a str,
    properties: Value,
    exchange: &'a str,
    batch: Vec<Value>,
    batch_bytes: usize,
    published: u64,
    /// Published, and no queue wanted them.
    nowhere: u64,
    /// Not published.
    refused: u64,
    /// Why the first of those was not.
    why: Option<String>,
    bar: ProgressBar,
}

impl Sender<'_> {
    fn add(&mut self, body: &[u8]) -> Done {
        let (payload, encoding) = payload(body);
        self.batch.push(json!({
            "routing_key": self.key,
            "properties": self.properties,
            "payload": payload,
            "payload_encoding": encoding,
        }));
        self.batch_bytes += body.len();
        match self.batch.len() >= BATCH_MESSAGES_MAX || self.batch_bytes >= BATCH_BYTES {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Done {
        if self.batch.is_empty() {
            return Ok(());
        }
        let count = self.batch.len();
        let body = json!({ "messages": std::mem::take(&mut self.batch) });
        self.batch_bytes = 0;
        let answer = self.post(&body)?;
        let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
        if results.len() != count {
            let text = format!("{count} messages were sent, {} answered", results.len());
            return Err(Failure::Failed(text));
        }
        for result in results {
            match result.get("error").filter(|error| !error.is_null()) {
                Some(error) => {
                    self.refused += 1;
                    self.why.get_or_insert_with(|| list::text(error));
                }
                None => {
                    self.published += 1;
                    self.nowhere += u64::from(result["routed"] == false);
                }
            }
        }
        self.bar.inc(count as u64);
        Ok(())
    }

    /// Waits while publishers are held back, for as long as an answer may take.
    fn post(&self, body: &Value) -> Result<Value, Failure> {
        let deadline = Instant::now() + self.client.address().answer_time_max;
        loop {
            match self.client.post(&self.to, body) {
                Err(ClientError::Held {
                    retry_after_s,
                    reason,
                }) => {
                    let wait = Duration::from_secs(retry_after_s.unwrap_or(HELD_S).max(1));
                    if Instant::now() + wait > deadline {
                        return Err(ClientError::Held {
                            retry_after_s,
                            reason,
                        }
                        .into());
                    }
                    self.bar.suspend(|| eprintln!("held back: {reason}"));
                    std::thread::sleep(wait);
                }
                answer => {
                    return Ok(answer.map_err(|error| error.named("exchange", self.exchange))?);
                }
            }
        }
    }

    fn verdict(&self, took: Duration, mandatory: bool) -> Done {
        let published = count(self.published, "message");
        if self.published >= PROGRESS_MESSAGES_MIN {
            let rate = self.published as f64 / took.as_secs_f64().max(0.001);
            say(&format!(
                "published {published} in {:.1} s, {rate:.0}/s",
                took.as_secs_f64()
            ))?;
        } else {
            say(&format!("published {published}"))?;
        }
        if let Some(why) = &self.why {
            let refused = count(self.refused, "message");
            return Err(Failure::Failed(format!(
                "{refused} not published: {}",
                escape(why)
            )));
        }
        let nowhere = format!("{} found no queue", count(self.nowhere, "message"));
        match (self.nowhere, mandatory) {
            (0, _) => Ok(()),
            (_, true) => Err(Failure::Failed(nowhere)),
            (_, false) => say(&nowhere),
        }
    }
}
