//! The loads, as data: what each scenario asks of a broker.
//!
//! Invariants
//! - A scenario means the same on every protocol that can express it; one that a protocol can not
//!   express is refused, not bent.

mod list;

pub use list::{Kind, SCENARIOS, Scenario, find, is_of_latency};

use crate::Res;
use crate::args::Args;
use crate::target::Proto;

/// The smallest body: it must have room for a time stamp.
const BODY_BYTES_MIN: usize = 8;

/// How a consumer acknowledges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ack {
    /// Not at all: delivered is done.
    Auto,
    /// Each message by itself.
    Each,
    /// One acknowledgement for so many messages.
    Multi(u32),
}

/// What the filters of bindings compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    /// A text with a constant: can be looked up.
    Equal,
    /// A number with a range: has to be tried.
    Range,
}

/// Can `proto` express the scenario?
pub fn supports(proto: Proto, name: &str) -> bool {
    let mqtt_only = name.starts_with('M') || name == "T5w";
    match proto {
        _ if mqtt_only => proto == Proto::Mqtt,
        Proto::Amqp => true,
        _ if !name.starts_with('T') => false,
        Proto::Mqtt | Proto::Nats => !matches!(name, "T9" | "T11"),
        Proto::Redis => !matches!(name, "T5" | "T9" | "T11"),
        Proto::Raw => matches!(
            name,
            "T1" | "T2" | "T3" | "T3s" | "T4" | "T4p" | "T7" | "T7p" | "T7r"
        ),
        Proto::RawLog => matches!(name, "T3" | "T3s" | "T7p"),
    }
}

/// What a load run looks like, independent of the protocol.
#[derive(Clone, Debug)]
pub struct Load {
    /// The scenario's name; queues and topics are named after it.
    pub scenario: String,
    /// Connections that publish.
    pub producers: usize,
    /// Connections that consume.
    pub consumers: usize,
    /// Queues, or topics.
    pub queues: usize,
    /// Body size.
    pub size_bytes: usize,
    /// Durable queues and persistent messages.
    pub durable: bool,
    /// Unconfirmed messages that a producer may have under way; 0: no confirms.
    pub confirm_window: usize,
    /// How consumers acknowledge.
    pub ack: Ack,
    /// Unacknowledged messages that a consumer may hold.
    pub prefetch: u16,
    /// Copies of a message that the broker hands out (fan-out width).
    pub copies: usize,
    /// Bound on published but not delivered messages; 0: none.
    pub inflight_max: usize,
    /// Messages per second over all producers in an open loop; 0: closed loop.
    pub rate_per_s: f64,
    /// MQTT quality of service.
    pub qos: u8,
    /// Bindings of the topic exchange, or filters of MQTT; 0: no topic exchange, one filter for
    /// each queue.
    pub bindings: usize,
    /// What the bindings filter by, if they do; the exchange is then a fanout.
    pub filter: Option<Filter>,
    /// Different keys in the messages' headers; 0: none.
    pub keys: usize,
    /// Queues are streams.
    pub stream: bool,
    /// Readers of a stream begin with its first message.
    pub from_first: bool,
    /// Topics of retained messages; 0: messages are not retained.
    pub retained: usize,
    /// Measured time.
    pub seconds: f64,
    /// Time before the measured time.
    pub warmup_s: f64,
    /// Stop after so many published (and, with confirms, confirmed) messages; 0: by time.
    pub publish_count: u64,
    /// Stop after so many deliveries; 0: by time.
    pub drain_count: u64,
    /// Begin with new, empty queues.
    pub fresh: bool,
    /// Wait at most this long for a quiet machine before a run.
    pub quiet_wait_s: f64,
}

impl Load {
    /// The load of a scenario on a protocol.
    pub fn of(name: &str, proto: Proto) -> Res<Load> {
        find(name)?;
        if !supports(proto, name) {
            return Err(format!("{name} can not be put on {}", proto.name()));
        }
        let mut load = Load::plain(name);
        match name {
            "T2" => load.size_bytes = 1024,
            "T3" => load.make_durable(1024),
            "T3s" => load.make_durable(16),
            "T4" => load.widen(10),
            "T4p" => {
                load.make_durable(1024);
                load.widen(10);
                load.confirm_window = 200;
            }
            "T5" => {
                load.queues = 100;
                // an MQTT client gets one copy, however often it subscribes
                load.consumers = if proto == Proto::Mqtt { 100 } else { 10 };
                load.copies = 100;
                load.inflight_max = 500;
            }
            "T6" => {
                load.make_durable(128);
                load.ack = Ack::Multi(100);
                load.inflight_max = 0;
            }
            "T7" | "T7r" => load.open_loop(),
            "T7p" => {
                load.make_durable(64);
                load.open_loop();
                load.confirm_window = 20_000;
            }
            _ => load.shape_further(name),
        }
        if proto == Proto::Raw {
            // a relay answers nothing: the same bytes, and no more
            load.confirm_window = 0;
            load.ack = Ack::Auto;
            load.durable = false;
        }
        if proto == Proto::RawLog {
            // confirms, and nothing else
            load.ack = Ack::Auto;
        }
        Ok(load)
    }

    /// What only one protocol can express.
    fn shape_further(&mut self, name: &str) {
        match name {
            "MQ2" => {
                self.make_durable(1024);
                self.qos = 2;
            }
            "T5w" => {
                self.consumers = 10_000;
                self.copies = 10_000;
                self.size_bytes = 1024;
                // 50,000 deliveries
                self.inflight_max = 5;
            }
            "MR" => {
                self.retained = 1_000_000;
                self.qos = 1;
                // a broker that holds its answers back is not to be measured by the wait for them
                self.confirm_window = 10_000;
            }
            "MW" => {
                self.consumers = 10;
                self.bindings = 100_000;
            }
            "T11" => {
                self.queues = 10;
                self.consumers = 10;
                self.bindings = 10_000;
            }
            "K1" => {
                self.consumers = 16;
                self.keys = 10_000;
                self.ack = Ack::Each;
                self.prefetch = 100;
            }
            "F1" | "F2" => {
                self.queues = 10;
                self.consumers = 10;
                self.bindings = if name == "F1" { 10_000 } else { 100 };
                self.filter = Some(match name {
                    "F1" => Filter::Equal,
                    _ => Filter::Range,
                });
            }
            "S1" | "S100" | "SQ" => {
                self.durable = true;
                self.stream = name != "SQ";
                // a stream gives nothing without acks
                self.ack = if self.stream {
                    Ack::Multi(100)
                } else {
                    Ack::Auto
                };
                self.prefetch = 10_000;
                self.inflight_max = 5_000;
                self.consumers = if name == "S100" { 100 } else { 1 };
                self.copies = self.consumers;
            }
            "SR" => {
                self.make_durable(1024);
                self.stream = true;
                self.from_first = true;
                self.ack = Ack::Multi(100);
                self.inflight_max = 0;
            }
            _ => {}
        }
    }

    fn plain(name: &str) -> Load {
        Load {
            scenario: name.to_string(),
            producers: 1,
            consumers: 1,
            queues: 1,
            size_bytes: 16,
            durable: false,
            confirm_window: 0,
            ack: Ack::Auto,
            prefetch: 1000,
            copies: 1,
            inflight_max: 20_000,
            rate_per_s: 0.0,
            qos: 0,
            bindings: 0,
            filter: None,
            keys: 0,
            stream: false,
            from_first: false,
            retained: 0,
            seconds: 8.0,
            warmup_s: 2.0,
            publish_count: 0,
            drain_count: 0,
            fresh: true,
            quiet_wait_s: 0.0,
        }
    }

    fn make_durable(&mut self, size_bytes: usize) {
        self.size_bytes = size_bytes;
        self.durable = true;
        self.confirm_window = 1000;
        self.ack = Ack::Each;
        self.qos = 1;
    }

    fn widen(&mut self, width: usize) {
        self.producers = width;
        self.consumers = width;
        self.queues = width;
    }

    fn open_loop(&mut self) {
        self.rate_per_s = 5000.0;
        self.size_bytes = 64;
        self.inflight_max = 0;
    }

    /// What the command line says otherwise.
    pub fn with(mut self, args: &Args) -> Res<Load> {
        self.size_bytes = args.value("size", self.size_bytes)?.max(BODY_BYTES_MIN);
        self.producers = args.value("producers", self.producers)?.max(1);
        let each_gets_a_copy = self.copies > 1 && self.copies == self.consumers;
        self.consumers = args.value("consumers", self.consumers)?.max(1);
        if each_gets_a_copy {
            self.copies = self.consumers;
        }
        self.queues = args.value("queues", self.queues)?.max(1);
        self.confirm_window = args.value("confirm", self.confirm_window)?;
        self.prefetch = args.value("prefetch", self.prefetch)?;
        self.inflight_max = args.value("inflight", self.inflight_max)?;
        self.bindings = args.value("bindings", self.bindings)?;
        self.qos = args.value("qos", self.qos)?;
        self.rate_per_s = args.value("rate", self.rate_per_s)?;
        self.seconds = args.value("secs", self.seconds)?;
        self.warmup_s = args.value("warmup", self.warmup_s)?;
        self.quiet_wait_s = args.value("quiet-wait", self.quiet_wait_s)?;
        self.durable = args.value("durable", u8::from(self.durable))? == 1;
        if let Some(text) = args.text("ack") {
            self.ack = parse_ack(text)?;
        }
        if self.qos > 2 {
            return Err(format!("--qos {} is over 2", self.qos));
        }
        Ok(self)
    }
}

fn parse_ack(text: &str) -> Res<Ack> {
    let bad = || format!("--ack {text} is none of auto, each, multi:N");
    match text {
        "auto" => Ok(Ack::Auto),
        "each" => Ok(Ack::Each),
        _ => {
            let count = text.strip_prefix("multi:").ok_or_else(bad)?;
            match count.parse() {
                Ok(count) if count > 0 => Ok(Ack::Multi(count)),
                _ => Err(bad()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_scenario_differs_from_the_first() {
        let plain = format!(
            "{:?}",
            Load {
                scenario: String::new(),
                ..Load::plain("T1")
            }
        );
        for scenario in SCENARIOS
            .iter()
            .filter(|s| s.kind == Kind::Load && s.name != "T1")
        {
            let able = [Proto::Amqp, Proto::Mqtt].map(|proto| Load::of(scenario.name, proto));
            let load = able
                .into_iter()
                .find_map(Result::ok)
                .expect("one can do it");
            let shape = format!(
                "{:?}",
                Load {
                    scenario: String::new(),
                    ..load
                }
            );
            assert_ne!(shape, plain, "{}", scenario.name);
        }
    }

    #[test]
    fn what_a_protocol_can_not_express_is_refused() {
        assert!(Load::of("T11", Proto::Mqtt).is_err());
        assert!(Load::of("MQ2", Proto::Amqp).is_err());
        assert!(Load::of("T5w", Proto::Amqp).is_err());
        assert!(Load::of("T5", Proto::Redis).is_err());
        assert!(Load::of("K1", Proto::Nats).is_err());
        assert!(Load::of("T99", Proto::Amqp).is_err());
        assert!(Load::of("T5", Proto::Raw).is_err());
        let relayed = Load::of("T3", Proto::Raw).expect("the bytes alone");
        assert_eq!((relayed.size_bytes, relayed.confirm_window), (1024, 0));
        assert!(Load::of("T7", Proto::RawLog).is_err());
        for name in ["T3", "T7p"] {
            let logged = Load::of(name, Proto::RawLog).expect("what it is for");
            assert!(logged.durable && logged.confirm_window > 0 && logged.ack == Ack::Auto);
        }
    }

    #[test]
    fn the_command_line_overrides_a_scenario() {
        let line = "run --size 2 --ack multi:50 --rate 10 --durable 0";
        let args = Args::parse(line.split(' ').map(String::from)).expect("known flags");
        let load = Load::of("T3", Proto::Amqp)
            .and_then(|l| l.with(&args))
            .expect("valid");
        assert_eq!(
            (load.size_bytes, load.ack),
            (BODY_BYTES_MIN, Ack::Multi(50))
        );
        assert!(!load.durable);
        assert_eq!(load.confirm_window, 1000, "kept");
        let line = "run --consumers 7";
        let args = Args::parse(line.split(' ').map(String::from)).expect("known flags");
        for (name, proto, copies) in [
            ("T1", Proto::Amqp, 1),
            ("T5", Proto::Amqp, 100),
            ("T5", Proto::Mqtt, 7),
            ("S100", Proto::Amqp, 7),
        ] {
            let load = Load::of(name, proto).and_then(|load| load.with(&args));
            assert_eq!(load.map(|load| load.copies), Ok(copies), "{name}");
        }
    }

    #[test]
    fn acks_are_auto_each_or_multi() {
        for (text, expected) in [
            ("auto", Ok(Ack::Auto)),
            ("each", Ok(Ack::Each)),
            ("multi:7", Ok(Ack::Multi(7))),
            ("multi:0", Err(())),
            ("multi", Err(())),
            ("all", Err(())),
        ] {
            assert_eq!(parse_ack(text).map_err(|_| ()), expected, "{text}");
        }
    }
}
