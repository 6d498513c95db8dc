//! What is known of a session that expires.
//!
//! ```text
//!        let in            connection over, at some time from `since` on
//! none ---------> there ----------------------------------------------> kept
//!   ^                                                                     |
//!   '--- over: `until` is when it was over at the latest, and the longest that it is kept
//! ```
//!
//! Invariants
//! - It is there as long as it was kept at least, and gone when it was kept at most; between the
//!   two nobody knows.
//! - After a start of the node the time begins again, and may be the one of a connected client.

/// How long a session is kept at most while its client is there, in milliseconds: what counts if
/// the node dies then.
const CONNECTED_MS: u64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    None,
    Perhaps,
    There,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    known: Known,
    /// How long it is kept without a connection: at least, and at most.
    kept_ms: (u64, u64),
    /// Since when nobody is there; none while its client is.
    since_ms: Option<u64>,
    /// When nobody was there any more in any case, if that is known.
    until_ms: Option<u64>,
}

impl Session {
    /// There is none.
    pub(super) fn none() -> Session {
        Session {
            known: Known::None,
            kept_ms: (0, 0),
            since_ms: None,
            until_ms: None,
        }
    }

    /// Whether it is certain that it is there.
    pub(super) fn is_certain(&self, now_ms: u64) -> bool {
        let is_kept = |since: u64| now_ms < since + self.kept_ms.0;
        self.known == Known::There && self.since_ms.is_none_or(is_kept)
    }

    /// Whether it must be there for who asked at `asked_ms` and is answered now, if that is known.
    pub(super) fn expected(&self, asked_ms: u64, now_ms: u64) -> Option<bool> {
        let is_over = |until: u64| until + self.kept_ms.1 <= asked_ms;
        match self.known {
            Known::None => Some(false),
            _ if self.is_certain(now_ms) => Some(true),
            _ if self.until_ms.is_some_and(is_over) => Some(false),
            _ => None,
        }
    }

    /// Its client is there, and it is kept for so long after that.
    pub(super) fn let_in(&mut self, keep_ms: u64) {
        *self = Session {
            known: Known::There,
            kept_ms: (keep_ms, keep_ms),
            since_ms: None,
            until_ms: None,
        };
    }

    /// Its client has asked for another time, which may not be heard.
    pub(super) fn keep(&mut self, keep_ms: u64) {
        let (least, most) = self.kept_ms;
        self.kept_ms = (least.min(keep_ms), most.max(keep_ms));
    }

    /// That was heard.
    pub(super) fn keep_exactly(&mut self, keep_ms: u64) {
        self.kept_ms = (keep_ms, keep_ms);
    }

    /// Its client has gone, who was let in.
    pub(super) fn leave(&mut self, now_ms: u64) {
        self.since_ms = Some(now_ms);
        self.until_ms = None;
    }

    /// Somebody has asked for it, perhaps anew, and has not heard whether that was done.
    pub(super) fn doubt(&mut self, keep_ms: u64) {
        self.known = Known::Perhaps;
        self.kept_ms = (0, self.kept_ms.1.max(keep_ms));
        self.until_ms = None;
    }

    /// No connection of its client is there.
    pub(super) fn alone(&mut self, now_ms: u64) {
        self.until_ms.get_or_insert(now_ms);
    }

    /// The node was down.
    pub(super) fn go_down(&mut self, now_ms: u64) {
        if self.known != Known::None && !self.is_certain(now_ms) {
            // That it was over may have been forgotten.
            self.known = Known::Perhaps;
        }
        self.kept_ms.1 = self.kept_ms.1.max(CONNECTED_MS);
        (self.since_ms, self.until_ms) = (Some(now_ms), Some(now_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_there_until_its_time() {
        let mut session = Session::none();
        assert_eq!(session.expected(0, 0), Some(false));
        session.let_in(2000);
        assert_eq!(session.expected(9000, 9000), Some(true));
        session.leave(10_000);
        session.alone(10_500);
        for (asked_ms, now_ms, is_there) in [
            (11_000, 11_999, Some(true)),
            (11_000, 12_000, None),
            (12_499, 12_499, None),
            (12_500, 12_500, Some(false)),
        ] {
            let found = session.expected(asked_ms, now_ms);
            assert_eq!(found, is_there, "{asked_ms} {now_ms}");
        }
    }

    #[test]
    fn what_was_not_heard_is_in_doubt_until_both_times_are_over() {
        let mut session = Session::none();
        session.let_in(2000);
        session.keep(5000);
        session.leave(0);
        session.alone(0);
        assert_eq!(session.expected(1999, 1999), Some(true));
        assert_eq!(session.expected(4999, 4999), None);
        assert_eq!(session.expected(5000, 5000), Some(false));
        session.keep_exactly(5000);
        assert_eq!(session.expected(4999, 4999), Some(true));
        session.doubt(1000);
        session.alone(100);
        assert_eq!(session.expected(0, 0), None);
        assert_eq!(session.expected(5100, 5100), Some(false));
    }

    #[test]
    fn a_start_of_the_node_begins_the_time_again() {
        for (down_ms, asked_ms, is_there) in [
            (1000, 2999, Some(true)),
            (1000, 3000, None),
            (1000, 61_000, Some(false)),
            (2000, 2000, None),
        ] {
            let mut session = Session::none();
            session.let_in(2000);
            session.leave(0);
            session.go_down(down_ms);
            let found = session.expected(asked_ms, asked_ms);
            assert_eq!(found, is_there, "{down_ms} {asked_ms}");
        }
    }
}
