//! What a positive reply waits for.

use ferry_log::{Log, Position};

/// How far the log must have come before a reply may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Nothing is waited for.
    Now,
    /// All below is in the file: survives a crash of the process.
    Written(Position),
    /// All below is synced: survives a power cut.
    Synced(Position),
}

impl Promise {
    /// The promise that keeps both.
    #[must_use]
    pub fn max(self, other: Promise) -> Promise {
        match (self, other) {
            (Promise::Now, promise) | (promise, Promise::Now) => promise,
            (Promise::Written(a), Promise::Written(b)) => Promise::Written(a.max(b)),
            (Promise::Synced(a), Promise::Synced(b) | Promise::Written(b))
            | (Promise::Written(a), Promise::Synced(b)) => Promise::Synced(a.max(b)),
        }
    }

    /// Whether `log` keeps it already.
    pub(crate) fn kept_by(self, log: &Log) -> bool {
        match self {
            Promise::Now => true,
            Promise::Written(end) => log.written() >= end,
            Promise::Synced(end) => log.durable() >= end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_promise_keeps_both() {
        let (low, high) = (Position(5), Position(9));
        for (a, b, both) in [
            (Promise::Now, Promise::Written(low), Promise::Written(low)),
            (
                Promise::Written(high),
                Promise::Written(low),
                Promise::Written(high),
            ),
            (
                Promise::Written(high),
                Promise::Synced(low),
                Promise::Synced(high),
            ),
            (
                Promise::Synced(low),
                Promise::Synced(high),
                Promise::Synced(high),
            ),
        ] {
            assert_eq!((a.max(b), b.max(a)), (both, both));
        }
    }
}
