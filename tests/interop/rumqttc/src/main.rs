//! rumqttc, the Rust client, in versions 3.1.1 and 5: `rumqttc-judge HOST PORT`.
//!
//! Prints `ok NAME` or `FAIL NAME: why` for each check, then `N passed, M failed`. Each check gets
//! a topic level and client ids of its own; they run one after the other.

mod client;
mod only_v5;

use std::future::Future;
use std::time::Duration;

pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;
const CHECK_S_MAX: u64 = 30;

/// Fails the check unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition { return Err(format!($($text)*).into()); }
    };
}

/// Where the broker is, and a topic level for one check.
#[derive(Clone)]
pub struct Place {
    pub host: String,
    pub port: u16,
    pub prefix: String,
}

impl Place {
    /// A topic below this check's level.
    pub fn topic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// A client id of this check.
    pub fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }
}

/// Counts and prints.
struct Report {
    place: Place,
    passed: u32,
    failed: u32,
}

impl Report {
    async fn run<F: Future<Output = Outcome>>(&mut self, name: &str, check: impl Fn(Place) -> F) {
        let mut place = self.place.clone();
        place.prefix = format!("rumqttc-{}-{}", std::process::id(), name.replace(' ', "-"));
        let limit = Duration::from_secs(CHECK_S_MAX);
        let outcome = match tokio::time::timeout(limit, check(place)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("took too long".into()),
        };
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error}");
            }
        }
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().expect("HOST");
    let port = arguments.next().and_then(|port| port.parse().ok());
    let place = Place {
        host,
        port: port.expect("PORT"),
        prefix: String::new(),
    };
    let mut report = Report {
        place,
        passed: 0,
        failed: 0,
    };
    macro_rules! both {
        ($($check:ident),*) => {
            $(
                report.run(concat!(stringify!($check), " v4"), client::v4::$check).await;
                report.run(concat!(stringify!($check), " v5"), client::v5::$check).await;
            )*
        };
    }
    both!(
        qualities,
        retained,
        will,
        session,
        large,
        burst,
        unsubscribing
    );
    report.run("properties v5", only_v5::properties).await;
    report.run("options v5", only_v5::options).await;
    report.run("group v5", only_v5::group).await;
    report.run("aliases v5", only_v5::aliases).await;
    report.run("will delay v5", only_v5::will_delay).await;
    println!("{} passed, {} failed", report.passed, report.failed);
    std::process::exit(i32::from(report.failed > 0));
}
