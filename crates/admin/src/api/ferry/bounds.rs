//! What a request may take: time, and bytes of its body.
//!
//! Invariants
//! - Every path has a bound; those that bring messages take one of the largest size, those that
//!   wait have time to wait.

use std::time::Duration;

use super::data::lease::WAIT_MS_MAX;

/// Bounds of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Until the answer begins.
    pub time: Duration,
    pub body_bytes: u64,
}

/// How long a message of the largest size may take to come.
const MESSAGE_TIME_MAX: Duration = Duration::from_secs(120);

/// What the JSON of a batch adds to its payloads.
pub(super) const BATCH_BYTES_MORE: u64 = 1 << 20;

/// The bounds of a path; those of all others are `usual`.
pub(crate) fn of(path: &str, usual: Bounds, message_bytes_max: u64) -> Bounds {
    let Some(rest) = path.strip_prefix("/api/ferry/") else {
        return usual;
    };
    let waits = Duration::from_millis(WAIT_MS_MAX);
    match rest.split('/').next() {
        Some("publish") => Bounds {
            time: MESSAGE_TIME_MAX,
            body_bytes: message_bytes_max,
        },
        Some("publish-batch") => Bounds {
            time: MESSAGE_TIME_MAX,
            body_bytes: message_bytes_max + BATCH_BYTES_MORE,
        },
        Some("request") => Bounds {
            time: MESSAGE_TIME_MAX + waits,
            body_bytes: message_bytes_max,
        },
        Some("lease") => Bounds {
            time: usual.time + waits,
            ..usual
        },
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_or_waits_has_its_own_bounds() {
        let usual = Bounds {
            time: Duration::from_secs(30),
            body_bytes: 1000,
        };
        let bounds = |path| {
            let found = of(path, usual, 50_000_000);
            (found.time.as_secs(), found.body_bytes)
        };
        for (path, expected) in [
            ("/api/queues", (30, 1000)),
            ("/api/ferry/queues/%2F/q/messages", (30, 1000)),
            ("/api/ferry/publish/%2F/e", (120, 50_000_000)),
            ("/api/ferry/publish-batch/%2F/e", (120, 51_048_576)),
            ("/api/ferry/lease/%2F/q", (90, 1000)),
            ("/api/ferry/request/%2F/e", (180, 50_000_000)),
            ("/elsewhere/api/ferry/publish/", (30, 1000)),
        ] {
            assert_eq!(bounds(path), expected, "{path}");
        }
    }
}
