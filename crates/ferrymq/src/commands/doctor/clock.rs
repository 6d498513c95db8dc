//! The clock of this machine while the doctor is at work, and that of the node beside it.
//!
//! A node counts time monotonically: a jump of the wall clock hurts nothing that runs. It moves
//! what is to happen at a moment of the calendar, and the times that people are shown.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use hyper::header::DATE;

use super::{Finding, Session};
use crate::client::{ClientError, path};

/// By how much wall clock and monotonic one may differ.
const JUMP_MAX: Duration = Duration::from_millis(100);
/// By how much the node's clock may differ from this one; its answers have whole seconds.
const SKEW_S_MAX: u64 = 2;
/// The file that systemd's service for the time makes when it knows the time.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Both clocks at one moment.
pub(super) struct Watched {
    steady: Instant,
    wall: SystemTime,
}

impl Watched {
    pub fn new() -> Watched {
        Watched {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    pub fn check(&self, session: &Session) -> Result<Vec<Finding>, ClientError> {
        let mut findings = Vec::new();
        let steady = self.steady.elapsed();
        let wall = self.wall.elapsed().unwrap_or_default();
        let jump = steady.abs_diff(wall);
        findings.push(match jump > JUMP_MAX {
            true => Finding::warn(
                "clock",
                format!("this machine's jumped by {} ms just now", jump.as_millis()),
                "Let a service keep the time that slews the clock: chrony, or systemd-timesyncd.",
            ),
            false => Finding::ok("clock", "no jump while this ran"),
        });
        findings.push(skew(session)?);
        findings.push(match Path::new(SYNCHRONISED).exists() {
            true => Finding::ok("clock", "this machine's is kept by systemd-timesyncd"),
            false => Finding::ok("clock", "whether something keeps it right is unknown"),
        });
        Ok(findings)
    }
}

fn skew(session: &Session) -> Result<Finding, ClientError> {
    let answer = session.client.look(&path(&["overview"]))?;
    let said = answer.headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(node_s) = said.and_then(parse_date) else {
        return Ok(Finding::warn(
            "clock",
            "the node's is unknown",
            "It does not tell it.",
        ));
    };
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let here_s = since.map_or(0, |since| since.as_secs());
    let skew = node_s.abs_diff(here_s);
    Ok(match skew > SKEW_S_MAX {
        true => Finding::warn(
            "clock",
            format!("the node's and this machine's differ by {skew} s"),
            "Times in messages and logs will mislead: let something keep both.",
        ),
        false => Finding::ok("clock", "the node's and this machine's agree"),
    })
}

/// Seconds since 1970 of `Sat, 21 Nov 2026 20:00:00 GMT`.
fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split([' ', ':']).collect();
    let [day, month, year, hour, minute, second, "GMT"] = parts[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let day = number(day).filter(|day| (1..=31).contains(day))?;
    let year = number(year).filter(|year| (1970..10_000).contains(year))?;
    // Counted in years that begin with March: the leap day is the last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let below = |text: &str, end: u64| number(text).filter(|value| *value < end);
    let (hour, minute) = (below(hour, 24)?, below(minute, 60)?);
    Some(((days * 24 + hour) * 60 + minute) * 60 + below(second, 61)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_answers_are_read() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 09 Sep 2001 01:46:40 GMT", Some(1_000_000_000)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
            ("Tue, 31 Dec 2024 23:59:59 GMT", Some(1_735_689_599)),
            ("Tue, 31 Dec 2024 23:59:59 UTC", None),
            ("Tue, 31 Foo 2024 23:59:59 GMT", None),
            ("Tue, 31 Dec 999999999999999999 23:59:59 GMT", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text), expected, "{text}");
        }
    }
}
