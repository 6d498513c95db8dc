//! `declare`: queues, exchanges and bindings.
//!
//! Invariants
//! - A flag with a name of its own stands for one argument; saying it with `--arg`, too, is an
//!   error.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::arguments::{Pair, object, parse_pair};
use super::outcome::{Done, Failure};
use super::session::{InVhost, Remote, say};
use crate::client::path;
use crate::show::escape;

#[derive(Debug, Args)]
pub(crate) struct Declare {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a queue; one that is there already must be the same
    Queue(Box<Queue>),
    /// Makes an exchange; one that is there already must be the same
    Exchange(Exchange),
    /// Binds a queue or an exchange to an exchange
    Binding(Binding),
}

#[derive(Debug, Args)]
struct More {
    /// Another argument; VALUE is JSON if it can be, else text
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_pair)]
    more: Vec<Pair>,
}

#[derive(Debug, Args)]
struct Queue {
    /// Name
    name: String,
    /// Gone after a restart of the node
    #[arg(long)]
    transient: bool,
    /// Gone when its last consumer goes
    #[arg(long)]
    auto_delete: bool,
    #[command(flatten)]
    arguments: QueueArguments,
    #[command(flatten)]
    more: More,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Arguments")]
struct QueueArguments {
    /// What kind of queue
    #[arg(long = "type", value_name = "TYPE", value_parser = ["classic", "quorum", "stream"])]
    kind: Option<String>,
    /// Exchange that dead letters go to; "" is the one that takes names of queues
    #[arg(long, value_name = "EXCHANGE")]
    dead_letter_exchange: Option<String>,
    /// Routing key of dead letters, instead of the one they came with
    #[arg(long, value_name = "KEY")]
    dead_letter_key: Option<String>,
    /// Ms that a message may wait before it is a dead letter
    #[arg(long, value_name = "MS")]
    ttl_ms: Option<u64>,
    /// Ms without use after which the queue goes
    #[arg(long, value_name = "MS")]
    expires_ms: Option<u64>,
    /// Most messages
    #[arg(long, value_name = "N")]
    max_length: Option<u64>,
    /// Most bytes of bodies
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// What happens when it is full: drop-head, reject-publish or reject-publish-dlx
    #[arg(long, value_name = "HOW")]
    overflow: Option<String>,
    /// Highest priority
    #[arg(long, value_name = "N")]
    max_priority: Option<u64>,
    /// Tries after which a message is a dead letter
    #[arg(long, value_name = "N")]
    retry_limit: Option<u64>,
    /// Ms before the first try after a failed one; each wait is longer
    #[arg(long, value_name = "MS")]
    retry_delay_ms: Option<u64>,
    /// Ms that a consumer may keep a message
    #[arg(long, value_name = "MS")]
    lease_ms: Option<u64>,
    /// Shards: messages of one key stay in order
    #[arg(long, value_name = "N")]
    shards: Option<u64>,
    /// Header that holds the key, instead of the routing key
    #[arg(long, value_name = "HEADER", requires = "shards")]
    shard_key_header: Option<String>,
    /// One consumer at a time
    #[arg(long)]
    single_active_consumer: bool,
    /// A message id that was seen is not stored again
    #[arg(long)]
    deduplicate: bool,
    /// How long a stream keeps messages, such as 7D or 12h
    #[arg(long, value_name = "AGE")]
    max_age: Option<String>,
}

#[derive(Debug, Args)]
struct Exchange {
    /// Name
    name: String,
    /// How it routes: direct, topic, fanout, headers, x-consistent-hash, ...
    #[arg(long = "type", value_name = "TYPE", default_value = "direct")]
    kind: String,
    /// Gone after a restart of the node
    #[arg(long)]
    transient: bool,
    /// Gone when its last binding goes
    #[arg(long)]
    auto_delete: bool,
    /// Clients can not publish to it
    #[arg(long)]
    internal: bool,
    /// Exchange for what has no route here
    #[arg(long, value_name = "EXCHANGE")]
    alternate: Option<String>,
    #[command(flatten)]
    more: More,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Binding {
    #[command(flatten)]
    ends: Ends,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

/// What names a binding; `delete` takes it, too.
#[derive(Debug, Args)]
pub(super) struct Ends {
    /// Exchange
    pub source: String,
    /// Queue, or exchange
    pub destination: String,
    /// The destination is an exchange
    #[arg(long)]
    pub to_exchange: bool,
    /// Routing key, or pattern of a topic exchange
    #[arg(long, value_name = "KEY", default_value = "")]
    pub key: String,
    /// Argument, such as x-match=all; VALUE is JSON if it can be, else text
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub arguments: Vec<Pair>,
}

impl Ends {
    /// Where the bindings between the two are.
    pub fn path(&self, vhost: &str) -> String {
        let to = if self.to_exchange { "e" } else { "q" };
        path(&["bindings", vhost, "e", &self.source, to, &self.destination])
    }
}

impl Declare {
    pub fn run(self) -> Done {
        match self.what {
            What::Queue(queue) => queue.run(),
            What::Exchange(exchange) => exchange.run(),
            What::Binding(binding) => binding.run(),
        }
    }
}

impl QueueArguments {
    fn pairs(&self) -> Vec<Pair> {
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let number = |number: Option<u64>| number.map(|number| json!(number));
        let flag = |flag: bool| flag.then_some(Value::Bool(true));
        let all = [
            ("x-queue-type", text(&self.kind)),
            ("x-dead-letter-exchange", text(&self.dead_letter_exchange)),
            ("x-dead-letter-routing-key", text(&self.dead_letter_key)),
            ("x-message-ttl", number(self.ttl_ms)),
            ("x-expires", number(self.expires_ms)),
            ("x-max-length", number(self.max_length)),
            ("x-max-length-bytes", number(self.max_bytes)),
            ("x-overflow", text(&self.overflow)),
            ("x-max-priority", number(self.max_priority)),
            ("x-retry-limit", number(self.retry_limit)),
            ("x-retry-delay", number(self.retry_delay_ms)),
            ("x-lease-timeout", number(self.lease_ms)),
            ("x-shards", number(self.shards)),
            ("x-shard-key-header", text(&self.shard_key_header)),
            (
                "x-single-active-consumer",
                flag(self.single_active_consumer),
            ),
            ("x-message-deduplication", flag(self.deduplicate)),
            ("x-max-age", text(&self.max_age)),
        ];
        let all = all.into_iter();
        all.filter_map(|(name, value)| {
            let name = name.to_owned();
            value.map(|value| Pair { name, value })
        })
        .collect()
    }
}

impl Queue {
    fn run(self) -> Done {
        let arguments = self.arguments.pairs().into_iter().chain(self.more.more);
        let body = json!({
            "durable": !self.transient,
            "auto_delete": self.auto_delete,
            "arguments": object(arguments)?,
        });
        declare(
            &self.remote,
            "queue",
            &["queues", &self.vhost.vhost, &self.name],
            &body,
        )
    }
}

impl Exchange {
    fn run(self) -> Done {
        let name = "alternate-exchange".to_owned();
        let value = self.alternate.map(Value::String);
        let alternate = value.map(|value| Pair { name, value });
        let body = json!({
            "type": self.kind,
            "durable": !self.transient,
            "auto_delete": self.auto_delete,
            "internal": self.internal,
            "arguments": object(alternate.into_iter().chain(self.more.more))?,
        });
        declare(
            &self.remote,
            "exchange",
            &["exchanges", &self.vhost.vhost, &self.name],
            &body,
        )
    }
}

fn declare(remote: &Remote, what: &str, segments: &[&str], body: &Value) -> Done {
    remote.client()?.put(&path(segments), body)?;
    let name = segments.last().copied().unwrap_or_default();
    say(&format!("declared {what} {}", escape(name)))
}

impl Binding {
    fn run(self) -> Done {
        let arguments: Map<String, Value> = object(self.ends.arguments.clone())?;
        let body = json!({ "routing_key": self.ends.key, "arguments": arguments });
        let bound = self
            .remote
            .client()?
            .post(&self.ends.path(&self.vhost.vhost), &body);
        bound.map_err(|error| Failure::Client(error.named("exchange or queue", &self.names())))?;
        say(&format!("bound {}", self.names()))
    }

    fn names(&self) -> String {
        let Ends {
            source,
            destination,
            ..
        } = &self.ends;
        format!("{} to {}", escape(destination), escape(source))
    }
}
