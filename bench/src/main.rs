//! `bench` puts the same load on any broker and says what it cost the broker.
//!
//! Invariants
//! - The generator is far cheaper than any broker: messages are precomputed, and many go into one
//!   write; what it costs is measured beside every result.
//! - The first figure is the CPU time of the broker's processes per message: on a small machine it
//!   is the one that the generator beside it does not disturb.

#![forbid(unsafe_code)]

mod args;
mod bars;
mod charts;
mod cmd;
mod codec;
mod conn;
mod disk;
mod engine;
mod hist;
mod machine;
mod measure;
mod micro;
mod openers;
mod page;
mod procfs;
mod proto;
mod relay;
mod report;
mod scenario;
mod stall;
mod stats;
mod svg;
mod sys;
mod target;

use std::path::Path;
use std::process::ExitCode;

use args::Args;
use scenario::{Kind, SCENARIOS};

/// What goes wrong is told to a person at a terminal: text is enough.
type Res<T> = Result<T, String>;

const HELP: &str = "bench: puts the same load on any broker and says what it cost the broker

  bench run TARGET... [--scenario T1,T2]      each scenario on each target
  bench compare A B [--scenario T3]           two targets in turns, and the ratios between them
  bench suite OURS PEER... [--scenario all]   every scenario, all targets in turns; with --disk DIR
                                              the disk has its turn in each round with confirms
  bench backlog | conns | queues | startup TARGET...        T6, T8 or MI, T9, T12
  bench replay | sessions | storm | retained | subscriptions TARGET...   SR, MC or MCp, MS, MR, MW
  bench wait TARGET...                        until each answers a handshake
  bench relay --port P [--threads 1|2]        a target for proto raw: the machine's ceiling; with
                                              --log DIR for raw-log: it syncs and confirms (T7p)
  bench disk [--disk DIR] [--secs 10]         what the disk below a folder allows, also for a log
                                              of --rate messages a second of --size bytes
  bench micro [routes] [filter] [levels] [cores]
                                              parts of our broker by themselves
  bench selftest                              what the generator costs per message, and whether a
                                              sink that stalls shows in the percentiles

TARGET  name=proto@host:port[,key=value]...   proto: amqp mqtt nats redis raw raw-log
        keys: user pass vhost, pid=N+N (processes to charge; else who listens on the port),
        ports=P+P (further nodes), setup_port (declare there), qtype, shards, durableq=1, replicas,
        version=3.1.1|5 (mqtt)
results --out FILE.md (a page beside the JSON lines, and charts in a folder FILE), --verbose (every
        round), --perf (context switches, read and write calls per message)
length  --secs --warmup --rounds --quiet-wait S (for a quiet machine) --no-retry
        (rounds of T7 and T7p are four times as long, and three at least)
load    --size --rate --producers --consumers --queues --bindings --confirm --prefetch --inflight
        --rates N,N... (T7r) --qos --durable 0|1 --ack auto|each|multi:N
other   --messages (T6) --connections (T8, MI, MC, MCp, MS) --openers N (opened at
        a time: T8, MI) --topics (MR) --declares --keep (T9)
        --window (declares or clients under way) --settle --rest --limit
        --start-cmd --stop-cmd (shell; {name} and {port} stand for the target's)

Scenarios:";

fn dispatch(args: &Args) -> Res<()> {
    match args.words.first().map(String::as_str) {
        Some("run") => cmd::run(args),
        Some("compare") => cmd::compare(args),
        Some("suite") => cmd::suite(args),
        Some("backlog") => cmd::alone(args, Kind::Backlog),
        Some("conns") => cmd::alone(args, Kind::Conns),
        Some("queues") => cmd::alone(args, Kind::Queues),
        Some("replay") => cmd::alone(args, Kind::Replay),
        Some("startup") => cmd::alone(args, Kind::Startup),
        Some("sessions") => cmd::alone(args, Kind::Sessions),
        Some("storm") => cmd::alone(args, Kind::Storm),
        Some("retained") => cmd::alone(args, Kind::Retained),
        Some("subscriptions") => cmd::alone(args, Kind::Subscriptions),
        Some("wait") => cmd::wait(args),
        Some("disk") => cmd::disk(args),
        Some("micro") => cmd::micro(args),
        Some("selftest") => cmd::selftest(args),
        Some("relay") => {
            let log = args.text("log").map(Path::new);
            relay::run(args.value("port", 5890)?, args.value("threads", 1)?, log)
        }
        None | Some("help") => {
            println!("{HELP}");
            for scenario in SCENARIOS {
                println!("  {:4} {}", scenario.name, scenario.title);
            }
            Ok(())
        }
        Some(other) => Err(format!("there is no command `{other}`; see `bench help`")),
    }
}

fn main() -> ExitCode {
    sys::prepare_process();
    let result = Args::parse(std::env::args().skip(1)).and_then(|args| dispatch(&args));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
