//! The command line, and what `--help` teaches.
//!
//! Invariants
//! - Flags are kept as text; `config` checks them together with file and environment.

mod mqtt;
mod security;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{self, help_of_groups};
use crate::settings::Settings;
use crate::tools::Subject;

/// The whole help: the commands in groups stand where clap has one long list.
const HELP: &str = "\
{about-with-newline}
{usage-heading} {usage}

{before-help}Flags of `ferrymq serve`, which is what `ferrymq` alone does:
{options}{after-help}";

pub(crate) const EXAMPLES: &str = "\
Examples:
  ferrymq                                        a node for this machine, data in ./ferrymq-data
  ferrymq serve --amqp 0.0.0.0:5672 --http off   clients from everywhere, no HTTP
  ferrymq serve --memory-high 512MiB             publishers wait when messages take that much
  ferrymq verify --data-dir /var/lib/ferrymq     reads everything and says what is damaged
  ferrymq declare queue orders --max-length 100000 --dead-letter-exchange dead
  ferrymq publish orders 'a book'                a message; done when it is safe on the disk
  ferrymq peek orders                            looks, and leaves the message where it is
  ferrymq consume orders --count 1               takes it
  ferrymq watch                                  queues and their rates, live
  ferrymq doctor                                 is all well, and if not, what to do

Settings, with rising priority:
  a TOML file (--config FILE)     keys are the names of the flags with _ for -:
                                    amqp = [\"127.0.0.1:5672\", \"10.0.0.5:5672\"]
                                    memory_high = 0.4
  the environment                 FERRYMQ_DATA_DIR, FERRYMQ_AMQP (several with commas between),
                                  FERRYMQ_HTTP, FERRYMQ_MEMORY_HIGH, ..., and FERRYMQ_CONFIG
  flags

The log goes to standard error. When every listener accepts, standard output gets one line:
ready. SIGTERM and SIGINT end the node in order, a second one at once.

User guest with password guest may log in from this machine only.";

#[derive(Debug, Parser)]
#[command(
    name = "ferrymq",
    version,
    about = "A durable message broker that speaks AMQP 0-9-1, as RabbitMQ does, MQTT and HTTP.",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true
)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node; this is what `ferrymq` without a command does
    #[command(after_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Reads a whole data directory and reports damage; changes nothing, the node must be stopped
    Verify(DataArgs),
    /// Sets damaged parts of a data directory aside, so that a node starts again, and reports them
    Repair(DataArgs),
    #[command(flatten)]
    Remote(Box<commands::Command>),
}

#[derive(Debug, Args)]
struct DataArgs {
    /// The data directory
    #[arg(
        long,
        value_name = "DIR",
        env = "FERRYMQ_DATA_DIR",
        default_value = "./ferrymq-data"
    )]
    data_dir: PathBuf,
    /// Writes the report as JSON
    #[arg(long)]
    json: bool,
}

impl DataArgs {
    fn subject(self) -> Subject {
        Subject {
            data_dir: self.data_dir,
            json: self.json,
        }
    }
}

#[derive(Debug, Default, Args)]
struct ServeArgs {
    /// Directory with all data; made if it is not there [default: ./ferrymq-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for AMQP 0-9-1, or off; may be given several times [default: 127.0.0.1:5672]
    #[arg(long, value_name = "ADDR|off")]
    amqp: Vec<String>,
    /// Address for HTTP: metrics, health, management API and page, or off
    /// [default: 127.0.0.1:15672]
    #[arg(long, value_name = "ADDR|off")]
    http: Option<String>,
    /// Address for Prometheus: metrics and health without a log-in, as on the address for HTTP, or
    /// off [default: 127.0.0.1:15692]
    #[arg(long, value_name = "ADDR|off")]
    prometheus: Option<String>,
    /// When a durable message is safe, and so confirmed: sync (on the disk), written (survives a
    /// crash of the process, not of the machine) or memory [default: sync]
    #[arg(long, value_name = "sync|written|memory")]
    sync: Option<String>,
    /// Memory that messages may take before publishers wait: bytes such as 512MiB, or a fraction
    /// of this machine's or container's memory [default: 0.4]
    #[arg(long, value_name = "BYTES|FRACTION")]
    memory_high: Option<String>,
    /// Threads that serve connections [default: one per processor]
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// What is logged: off, error, warn, info, debug, trace, or by module [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// What a line of the log is: text, or json (one object) [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
    /// Seconds between heartbeats that are proposed to clients, 0 for none [default: 60]
    #[arg(long, value_name = "SECONDS")]
    heartbeat_s: Option<String>,
    /// Largest frame that is offered to clients [default: 128KiB]
    #[arg(long, value_name = "BYTES")]
    frame_bytes_max: Option<String>,
    /// Most channels of a connection, 0 for no limit [default: 2047]
    #[arg(long, value_name = "N")]
    channel_max: Option<String>,
    /// Largest body of a message [default: 16MiB]
    #[arg(long, value_name = "BYTES")]
    message_bytes_max: Option<String>,
    /// Bytes that may wait for one client's socket before its consumers wait [default: 512KiB]
    #[arg(long, value_name = "BYTES")]
    outbox_bytes_max: Option<String>,
    /// Bytes that the passports of messages may take in memory [default: 64MiB]
    #[arg(long, value_name = "BYTES")]
    passport_bytes: Option<String>,
    /// OTLP collector for the hops of traced messages, or off; needs a build with the feature otel
    #[arg(long, value_name = "URL|off")]
    otel_endpoint: Option<String>,
    #[command(flatten)]
    mqtt: self::mqtt::MqttArgs,
    #[command(flatten)]
    security: security::SecurityArgs,
}

/// The flags of `serve`.
#[derive(Debug)]
pub(crate) struct Flags {
    pub config: Option<PathBuf>,
    pub settings: Settings,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Invocation {
    Serve(Flags),
    Verify(Subject),
    Repair(Subject),
    Command(Box<commands::Command>),
}

/// Reads the command line; ends the process with a message if it makes no sense.
pub(crate) fn parse() -> Invocation {
    let line = Line::from_arg_matches(&definition().get_matches());
    invocation(line.unwrap_or_else(|error| error.exit()))
}

/// The command line with the help that is shown.
pub(crate) fn definition() -> clap::Command {
    let line = Line::command();
    let groups = help_of_groups(&line);
    line.help_template(HELP)
        .before_help(groups.trim_end().to_owned())
}

fn invocation(line: Line) -> Invocation {
    match line.command {
        None => Invocation::Serve(flags(line.serve)),
        Some(Command::Serve(serve)) => Invocation::Serve(flags(*serve)),
        Some(Command::Verify(data)) => Invocation::Verify(data.subject()),
        Some(Command::Repair(data)) => Invocation::Repair(data.subject()),
        Some(Command::Remote(command)) => Invocation::Command(command),
    }
}

fn flags(args: ServeArgs) -> Flags {
    let mut settings = Settings::default();
    args.security.put(&mut settings);
    args.mqtt.put(&mut settings);
    if !args.amqp.is_empty() {
        settings.set("amqp", "--amqp", args.amqp);
    }
    for (key, flag, text) in [
        ("data_dir", "--data-dir", args.data_dir),
        ("http", "--http", args.http),
        ("sync", "--sync", args.sync),
        ("memory_high", "--memory-high", args.memory_high),
        ("workers", "--workers", args.workers),
        ("log", "--log", args.log),
        ("log_format", "--log-format", args.log_format),
        ("prometheus", "--prometheus", args.prometheus),
        ("heartbeat_s", "--heartbeat-s", args.heartbeat_s),
        ("frame_bytes_max", "--frame-bytes-max", args.frame_bytes_max),
        ("channel_max", "--channel-max", args.channel_max),
        (
            "message_bytes_max",
            "--message-bytes-max",
            args.message_bytes_max,
        ),
        (
            "outbox_bytes_max",
            "--outbox-bytes-max",
            args.outbox_bytes_max,
        ),
        ("otel_endpoint", "--otel-endpoint", args.otel_endpoint),
        ("passport_bytes", "--passport-bytes", args.passport_bytes),
    ] {
        if let Some(text) = text {
            settings.set(key, flag, vec![text]);
        }
    }
    Flags {
        config: args.config,
        settings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::KEYS;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn every_key_has_a_flag_that_is_read() {
        for key in KEYS {
            let flag = format!("--{}", key.replace('_', "-"));
            let line = Line::try_parse_from(["ferrymq", "serve", &flag, "text"]).unwrap();
            let Invocation::Serve(flags) = invocation(line) else {
                panic!("{key}")
            };
            let setting = flags.settings.get(key).unwrap();
            assert_eq!(
                (setting.texts.as_slice(), &setting.origin),
                (&["text".to_owned()][..], &flag)
            );
        }
    }

    #[test]
    fn serve_is_the_default_command() {
        for line in [&["ferrymq"][..], &["ferrymq", "serve"]] {
            let line = Line::try_parse_from(line).unwrap();
            assert!(matches!(invocation(line), Invocation::Serve(flags) if flags.config.is_none()));
        }
        let line = Line::try_parse_from(["ferrymq", "--amqp", "off", "--amqp", "x"]).unwrap();
        let Invocation::Serve(flags) = invocation(line) else {
            panic!()
        };
        assert_eq!(flags.settings.get("amqp").unwrap().texts, ["off", "x"]);
        Line::try_parse_from(["ferrymq", "--http", "off", "verify"]).unwrap_err();
    }
}
