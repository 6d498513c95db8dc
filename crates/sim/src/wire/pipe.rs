//! A client's end of a connection: bytes go in pieces, and the client reads when it likes. It is a
//! socket, or a WebSocket.
//!
//! Invariants
//! - Bytes keep their order in both directions; only a break loses some, and then all behind them.

use std::time::Instant;

use ferry_gateway::testing::Conversation;
use ferry_log::testing::Random;

use super::web::Web;
use crate::Checked;

/// How many connections have a client that reads slowly, in percent.
const SLOW_PERCENT: u64 = 25;

/// Most that a slow client reads at once, in bytes.
const SLOW_BYTES: u64 = 400;

/// A client's end of a connection.
pub(super) struct Pipe {
    conversation: Conversation,
    web: Option<Web>,
    /// What the client has said.
    said: Vec<u8>,
    /// The bytes of that which its network has not carried yet.
    outgoing: Vec<u8>,
    slow: bool,
}

impl Pipe {
    /// The end of a connection that was just made.
    pub(super) fn new(conversation: Conversation, web: Option<Web>, random: &mut Random) -> Pipe {
        let slow = random.chance(SLOW_PERCENT);
        if slow {
            conversation.set_room(Some(1 + random.below(2 * SLOW_BYTES) as usize));
        }
        Pipe {
            conversation,
            web,
            said: Vec::new(),
            outgoing: Vec::new(),
            slow,
        }
    }

    /// Where the client puts what it says.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.said
    }

    /// The client says nothing more, and that it is so. None may be said but on a WebSocket.
    pub(super) fn say_close(&mut self) {
        self.wrap();
        if let Some(web) = &mut self.web {
            web.say_close(&mut self.outgoing);
        }
    }

    /// What a WebSocket was closed with from the other side, if it was.
    pub(super) fn closed(&self) -> Option<&str> {
        self.web.as_ref()?.closed()
    }

    /// Whether a WebSocket was closed as the client has said, behind all that it has said.
    pub(super) fn is_echoed(&self) -> bool {
        self.web.as_ref().is_some_and(Web::is_echoed)
    }

    /// Whether the other side has answered what was asked below the protocol.
    pub(super) fn is_answered(&self) -> bool {
        self.web.as_ref().is_none_or(Web::is_answered)
    }

    fn wrap(&mut self) {
        match &mut self.web {
            Some(web) => web.wrap(&self.said, &mut self.outgoing),
            None => self.outgoing.extend_from_slice(&self.said),
        }
        self.said.clear();
    }

    /// The network carries a part of what was said.
    pub(super) fn push(&mut self, random: &mut Random) {
        self.wrap();
        let all = self.outgoing.len() as u64;
        let count = match random.below(8) {
            0 => random.below(all + 1),
            1 => random.below(20).min(all),
            _ => all,
        };
        let rest = self.outgoing.split_off(count as usize);
        self.conversation.send(&self.outgoing);
        self.outgoing = rest;
    }

    /// All of it.
    pub(super) fn push_all(&mut self) {
        self.wrap();
        self.conversation.send(&self.outgoing);
        self.outgoing.clear();
    }

    /// The client reads some of what has come.
    pub(super) fn pull(&mut self, random: &mut Random) -> Checked<Vec<u8>> {
        let bytes_max = match (self.slow, random.below(4)) {
            (true, _) => random.below(SLOW_BYTES) as usize,
            (false, 0) => random.below(100) as usize,
            (false, _) => usize::MAX,
        };
        self.take(bytes_max)
    }

    fn take(&mut self, bytes_max: usize) -> Checked<Vec<u8>> {
        let bytes = self.conversation.take(bytes_max);
        match &mut self.web {
            Some(web) => web.unwrap(&bytes),
            None => Ok(bytes),
        }
    }

    /// All of it.
    pub(super) fn pull_all(&mut self) -> Checked<Vec<u8>> {
        self.take(usize::MAX)
    }

    /// From now on the client reads as fast as it can.
    pub(super) fn hurry(&mut self) {
        self.slow = false;
        self.conversation.set_room(None);
    }

    /// Bytes that have gone and were not worked off.
    pub(super) fn unread(&self) -> usize {
        self.conversation.unread()
    }

    /// Whether everything that was said has been worked off.
    pub(super) fn is_worked_off(&self) -> bool {
        self.is_carried() && self.unread() == 0
    }

    /// Whether everything that was said has come to the other side.
    pub(super) fn is_carried(&self) -> bool {
        self.said.is_empty() && self.outgoing.is_empty()
    }

    /// Whether the other side has ended it, and nothing more can be read.
    pub(super) fn is_over(&self) -> bool {
        self.conversation.is_over() && self.conversation.waiting() == 0
    }

    /// Gives the other side a turn.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        self.conversation.turn(now)
    }

    /// The client goes: orderly, or not, in the middle of whatever it was saying.
    pub(super) fn leave(mut self, random: &mut Random) -> Conversation {
        self.push(random);
        match random.chance(50) {
            true => self.conversation.reset(),
            false => self.conversation.hang_up(),
        }
        self.conversation
    }

    /// The client has said everything, and goes.
    pub(super) fn hang_up(self) -> Conversation {
        self.conversation.hang_up();
        self.conversation
    }

    /// The client forgets the connection, and the other side does not know.
    pub(super) fn forget(self) -> Conversation {
        self.conversation
    }
}
