//! A client, whatever it speaks and whatever it is there to show.

use ferry_gateway::testing::Protocol;

use super::desk::Desk;
use super::line::MaybeLine;
use super::pipe::Pipe;
use crate::Checked;

/// A client. What it does not do, it leaves out.
pub(super) trait Client {
    fn protocol(&self) -> Protocol;

    fn name(&self) -> String;

    /// Begins with a connection.
    fn connect(&mut self, pipe: Pipe, life: u64, desk: &mut Desk<'_>);

    /// Its connection, if it has one.
    fn line(&self) -> &dyn MaybeLine;

    fn line_mut(&mut self) -> &mut dyn MaybeLine;

    fn pipe(&mut self) -> Option<&mut Pipe> {
        self.line_mut()
            .line_mut()
            .map(|line| &mut line.end_mut().pipe)
    }

    /// The number of its connection.
    fn life(&self) -> Option<u64> {
        self.line().line().map(|line| line.end().life)
    }

    /// Its connection is lost, without a word unless it has said one; gives its end of it.
    fn lose(&mut self, _desk: &mut Desk<'_>) -> Option<Pipe> {
        self.line_mut().let_go()
    }

    /// It forgets its connection, whose other end does not know of that.
    fn forget(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        self.lose(desk)
    }

    /// Whether it may do as it likes.
    fn is_open(&self) -> bool {
        self.line().line().is_some_and(|line| line.is_open())
    }

    /// Why its connection was closed from the other side, if it was.
    fn closed(&self) -> Option<&str> {
        self.line().line()?.closed()
    }

    /// Whether it has said goodbye, and has heard it.
    fn is_gone(&self) -> bool {
        self.line().line().is_some_and(|line| line.is_gone())
    }

    /// What is due to it and what it owes; none if all is said.
    fn open_ends(&self) -> Option<String>;

    /// Whether what it publishes to is there for good.
    fn is_ready(&self) -> bool;

    /// Reads what has come.
    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked;

    fn publish(&mut self, desk: &mut Desk<'_>);

    /// Settles something.
    fn settle(&mut self, desk: &mut Desk<'_>);

    /// Accepts everything.
    fn settle_all(&mut self, desk: &mut Desk<'_>);

    /// Asks for something.
    fn ask(&mut self, _desk: &mut Desk<'_>) {}

    /// Begins to consume.
    fn consume(&mut self, _desk: &mut Desk<'_>) {}

    /// Consumes from everything that is to be empty at the end.
    fn consume_all(&mut self, _desk: &mut Desk<'_>) {}

    /// Ends a consumer, a channel or a subscription.
    fn cancel(&mut self, _desk: &mut Desk<'_>) {}

    /// Says that it goes; false if that is not said where it comes from, or not now.
    fn say_goodbye(&mut self, _desk: &mut Desk<'_>) -> bool {
        false
    }

    /// Whether it may forget a connection whose other end does not know of that: the next one
    /// takes its place.
    fn may_be_taken_over(&self) -> bool {
        false
    }

    /// The other side is about to end its connection.
    fn brace(&mut self, _desk: &mut Desk<'_>) {}

    /// The node was down.
    fn go_down(&mut self, _desk: &mut Desk<'_>) {}

    /// A step is over; `alone` is who is there without a connection of any time before.
    fn look_at_clock(&mut self, _alone: bool, _desk: &mut Desk<'_>) {}

    /// Whether it does not come now, where it might.
    fn stays_away(&self, _desk: &mut Desk<'_>) -> bool {
        false
    }

    /// The end is near: from now on it leaves nothing behind.
    fn retire(&mut self, _desk: &mut Desk<'_>) {}

    /// Everybody has said and heard everything: what was due has come.
    fn check_calm(&self, _desk: &Desk<'_>) -> Checked {
        Ok(())
    }
}
