//! What a link does for TLS: seals what is in a writer's hand, and has it write when TLS wants to.

use super::Link;
use crate::outbox::{Hand, Written};
use crate::sealed::Sealed;

impl Link {
    pub(super) fn write(&self, hand: &mut Hand, sent: &mut usize) -> Written {
        if let Some(sealed) = &self.sealed
            && hand.seal(|plain, out| sealed.seal(plain, out)).is_err()
        {
            return Written::Broken;
        }
        hand.write(sent, |bytes| self.writer.try_write(bytes))
    }

    /// What seals the bytes, if the socket is not plain.
    pub(crate) fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_deref()
    }

    /// Has the outbox written even if it is empty: the TLS has something to say.
    pub(crate) fn urge(&self) {
        self.with(|state| state.outbox.urge());
        self.flush();
    }
}
