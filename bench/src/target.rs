//! A broker under load: how to reach it, and which processes to charge.
//!
//! Invariants
//! - `pids` names processes seen listening on the target's ports, or those given with `pid=`.
//! - A run without a process to charge is refused: its first figure would be a false 0.

use std::collections::HashMap;
use std::net::TcpStream;
use std::str::FromStr;
use std::time::Duration;

use crate::Res;
use crate::procfs::{self, Pid};

/// How long a reply may take while a run is being prepared.
const REPLY_S_MAX: u64 = 60;

/// The protocol that is spoken with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    /// AMQP 0-9-1.
    Amqp,
    /// MQTT 3.1.1, or 5 with `version=5`.
    Mqtt,
    /// NATS; JetStream where messages are durable.
    Nats,
    /// Redis streams.
    Redis,
    /// Messages without any framing, for the relay.
    Raw,
    /// The same with confirms, for the relay with a log.
    RawLog,
}

impl Proto {
    /// The name as written in a target.
    pub fn name(self) -> &'static str {
        match self {
            Proto::Amqp => "amqp",
            Proto::Mqtt => "mqtt",
            Proto::Nats => "nats",
            Proto::Redis => "redis",
            Proto::Raw => "raw",
            Proto::RawLog => "raw-log",
        }
    }
}

impl FromStr for Proto {
    type Err = String;

    fn from_str(name: &str) -> Res<Proto> {
        [
            Proto::Amqp,
            Proto::Mqtt,
            Proto::Nats,
            Proto::Redis,
            Proto::Raw,
            Proto::RawLog,
        ]
        .into_iter()
        .find(|proto| proto.name() == name)
        .ok_or_else(|| format!("there is no protocol `{name}`"))
    }
}

const OPTIONS: &[&str] = &[
    "durableq",
    "pass",
    "pid",
    "ports",
    "qtype",
    "shards",
    "replicas",
    "setup_port",
    "user",
    "version",
    "vhost",
];

/// A broker: `name=proto@host:port[,key=value]...`.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name in the results.
    pub name: String,
    /// What is spoken.
    pub proto: Proto,
    /// Where it listens.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// The processes to charge; empty if nothing listens yet.
    pub pids: Vec<Pid>,
    options: HashMap<String, String>,
}

impl Target {
    /// Parses the written form and looks for the processes.
    pub fn parse(text: &str) -> Res<Target> {
        let bad = || format!("target `{text}` is not name=proto@host:port[,key=value]...");
        let (name, rest) = text.split_once('=').ok_or_else(bad)?;
        let mut parts = rest.split(',');
        let (proto, address) = parts
            .next()
            .and_then(|p| p.split_once('@'))
            .ok_or_else(bad)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let mut options = HashMap::new();
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(bad)?;
            if !OPTIONS.contains(&key) {
                return Err(format!("target `{text}`: there is no option `{key}`"));
            }
            options.insert(key.to_string(), value.to_string());
        }
        let mut target = Target {
            name: name.to_string(),
            proto: proto.parse()?,
            host: host.to_string(),
            port: port.parse().map_err(|_| bad())?,
            pids: Vec::new(),
            options,
        };
        target.find_pids();
        Ok(target)
    }

    /// Looks for the processes anew, as after a restart.
    pub fn find_pids(&mut self) {
        if let Some(given) = self.options.get("pid") {
            self.pids = given
                .split('+')
                .filter_map(|pid| pid.parse().ok())
                .collect();
            return;
        }
        // further nodes of a cluster, by their ports
        let others = self.option("ports", "");
        let ports = others
            .split('+')
            .filter_map(|port| port.parse::<u16>().ok());
        self.pids = std::iter::once(self.port)
            .chain(ports)
            .filter_map(procfs::listener_pid)
            .collect();
        self.pids.sort_unstable();
        self.pids.dedup();
    }

    /// The processes to charge.
    pub fn charged(&self) -> Res<&[Pid]> {
        if self.pids.is_empty() {
            let name = &self.name;
            return Err(format!(
                "{name}: nothing listens on port {}; pid=N names it",
                self.port
            ));
        }
        Ok(&self.pids)
    }

    /// The value of an option.
    pub fn option(&self, key: &str, default: &str) -> String {
        self.options
            .get(key)
            .map_or_else(|| default.to_string(), Clone::clone)
    }

    /// The same broker reached through another port.
    pub fn at_port(&self, port: u16) -> Target {
        Target {
            port,
            ..self.clone()
        }
    }

    /// A blocking connection with a limit on the wait for a reply.
    pub fn connect(&self) -> Res<TcpStream> {
        let describe = |error| format!("{}: connect to {}: {error}", self.name, self.port);
        let socket = TcpStream::connect((self.host.as_str(), self.port)).map_err(describe)?;
        socket.set_nodelay(true).map_err(describe)?;
        let limit = Duration::from_secs(REPLY_S_MAX);
        socket.set_read_timeout(Some(limit)).map_err(describe)?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_name_protocol_address_and_options() {
        let text = "rmq=amqp@127.0.0.1:1,user=u,qtype=quorum,pid=7+9";
        let target = Target::parse(text).expect("well formed");
        assert_eq!(
            (target.name.as_str(), target.proto, target.port),
            ("rmq", Proto::Amqp, 1)
        );
        assert_eq!(target.option("user", "guest"), "u");
        assert_eq!(target.option("pass", "guest"), "guest");
        assert_eq!(target.charged(), Ok(&[7, 9][..]));
    }

    #[test]
    fn malformed_targets_are_refused() {
        for text in [
            "",
            "a",
            "a=amqp",
            "a=amqp@host",
            "a=amqp@host:99999",
            "a=smtp@host:25",
            "a=amqp@host:5672,user",
            "a=amqp@host:5672,usr=x",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_that_nobody_serves_can_not_be_charged() {
        let target = Target::parse("a=amqp@127.0.0.1:1").expect("well formed");
        assert!(target.charged().is_err());
    }
}
