//! The command line: positional words and `--flag value`.
//!
//! Invariants
//! - A flag that no command knows, a value that is missing and a value that does not parse are
//!   refused: a mistyped flag must not turn into a run under other conditions.

use std::collections::HashMap;
use std::str::FromStr;

use crate::Res;

const SWITCHES: &[&str] = &["keep", "no-retry", "perf", "verbose"];
const VALUES: &[&str] = &[
    "ack",
    "bindings",
    "confirm",
    "connections",
    "consumers",
    "declares",
    "disk",
    "durable",
    "inflight",
    "limit",
    "log",
    "messages",
    "openers",
    "out",
    "port",
    "prefetch",
    "producers",
    "qos",
    "queues",
    "quiet-wait",
    "rate",
    "rates",
    "rest",
    "rounds",
    "scenario",
    "secs",
    "settle",
    "size",
    "start-cmd",
    "stop-cmd",
    "threads",
    "topics",
    "warmup",
    "window",
];

/// A parsed command line.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// The words that are not flags; the first is the command.
    pub words: Vec<String>,
    flags: HashMap<String, String>,
}

impl Args {
    /// Parses the words behind the program's name.
    pub fn parse(words: impl Iterator<Item = String>) -> Res<Args> {
        let mut args = Args::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--") else {
                args.words.push(word);
                continue;
            };
            let value = if SWITCHES.contains(&flag) {
                String::new()
            } else if VALUES.contains(&flag) {
                words
                    .next()
                    .ok_or_else(|| format!("--{flag} wants a value"))?
            } else {
                return Err(format!("there is no flag --{flag}"));
            };
            args.flags.insert(flag.to_string(), value);
        }
        Ok(args)
    }

    /// Is the switch given?
    pub fn on(&self, switch: &str) -> bool {
        self.flags.contains_key(switch)
    }

    /// The text behind a flag.
    pub fn text(&self, flag: &str) -> Option<&str> {
        self.flags.get(flag).map(String::as_str)
    }

    /// The parsed value behind a flag, or `default` if it is not given.
    pub fn value<T: FromStr>(&self, flag: &str, default: T) -> Res<T> {
        match self.text(flag) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("--{flag} {text} can not be read")),
        }
    }

    /// The words behind the command, at least `min` of them.
    pub fn targets(&self, min: usize) -> Res<&[String]> {
        let targets = self.words.get(1..).unwrap_or_default();
        if targets.len() < min {
            return Err(format!("{min} target(s) wanted, {} given", targets.len()));
        }
        Ok(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Res<Args> {
        Args::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn words_switches_and_values_are_told_apart() {
        let args = parse("compare a=amqp@h:1 --perf b=amqp@h:2 --secs 2.5").expect("a good line");
        assert_eq!(args.words, ["compare", "a=amqp@h:1", "b=amqp@h:2"]);
        assert!(args.on("perf"));
        assert!(!args.on("keep"));
        assert_eq!(args.value("secs", 8.0), Ok(2.5));
        assert_eq!(args.value("rounds", 5usize), Ok(5));
        assert_eq!(args.targets(2).map(<[String]>::len), Ok(2));
        assert!(args.targets(3).is_err());
    }

    #[test]
    fn mistakes_are_refused() {
        for line in ["run --sces 3", "run --secs", "run --"] {
            assert!(parse(line).is_err(), "{line}");
        }
        let args = parse("run --secs soon").expect("it is a string until asked for");
        assert!(args.value("secs", 1.0).is_err());
    }
}
