//! What a link does for WebSocket and TLS: frames and seals what is in a writer's hand, and has it
//! write when one of them wants to.

use super::{Link, Wire};
use crate::outbox::{Hand, Written};
use crate::sealed::Sealed;
use crate::websocket::Framed;

impl<W: Wire> Link<W> {
    pub(super) fn write(&self, hand: &mut Hand, sent: &mut usize) -> Written {
        let wrapped = match (&self.framed, &self.sealed) {
            (None, None) => Ok(()),
            (None, Some(sealed)) => hand.wrap(|plain, out| sealed.seal(plain, out)),
            (Some(framed), None) => hand.wrap(|plain, out| {
                framed.frame(plain, out);
                Ok(())
            }),
            (Some(framed), Some(sealed)) => hand.wrap(|plain, out| {
                let mut frames = Vec::new();
                framed.frame(plain, &mut frames);
                sealed.seal(&frames, out)
            }),
        };
        if wrapped.is_err() {
            return Written::Broken;
        }
        hand.write(sent, |bytes| self.writer.try_write(bytes))
    }

    /// What seals the bytes, if the socket is not plain.
    pub(crate) fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_deref()
    }

    /// What puts them into frames, if it is a WebSocket.
    pub(crate) fn framed(&self) -> Option<&Framed> {
        self.framed.as_deref()
    }

    /// Has the outbox written even if it is empty: WebSocket or TLS has something to say.
    pub(crate) fn urge(&self) {
        self.with(|state| state.outbox.urge());
        self.flush();
    }
}
