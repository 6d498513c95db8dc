//! A socket whose other end is in memory.
//!
//! Invariants
//! - A side that found nothing to read, or no room to write, is woken when there is some.
//! - What the other side sends before it ends is read; what it sends before it breaks is not.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::ReadBuf;

#[derive(Default)]
struct State {
    /// From the client.
    inward: VecDeque<u8>,
    /// The client sends no more.
    ended: bool,
    /// Nothing goes either way any more.
    broken: bool,
    /// To the client, which has not taken it yet.
    outward: Vec<u8>,
    /// Bytes that the client may leave there; none for any number.
    room: Option<usize>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    fn has_room(&self) -> bool {
        self.broken || self.room.is_none_or(|room| self.outward.len() < room)
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if self.has_room()
            && let Some(waker) = self.writer.take()
        {
            waker.wake();
        }
    }
}

/// The socket.
#[derive(Default)]
pub(crate) struct Memory(Mutex<State>);

impl Memory {
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.inward.is_empty() && !state.ended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = state.inward.len().min(buffer.remaining());
        for byte in state.inward.drain(..count) {
            buffer.put_slice(&[byte]);
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = state
            .room
            .map_or(usize::MAX, |room| room.saturating_sub(state.outward.len()));
        match bytes.len().min(room) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            count => {
                state.outward.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.has_room() {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn shut_down(&self) {
        self.break_off(true);
    }

    /// The client sends.
    pub(super) fn send(&self, bytes: &[u8]) {
        let mut state = self.0.lock();
        state.inward.extend(bytes);
        state.wake_reader();
    }

    /// Bytes that were sent and not read yet.
    pub(super) fn unread(&self) -> usize {
        self.0.lock().inward.len()
    }

    /// The client sends no more.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.wake_reader();
    }

    /// The connection breaks; what was written can be read still if it was `ours` to end it.
    pub(super) fn break_off(&self, ours: bool) {
        let mut state = self.0.lock();
        state.broken = true;
        state.inward.clear();
        if !ours {
            state.outward.clear();
        }
        state.wake_reader();
        state.wake_writer();
    }

    /// How much may wait for the client.
    pub(super) fn set_room(&self, room: Option<usize>) {
        let mut state = self.0.lock();
        state.room = room;
        state.wake_writer();
    }

    /// The client takes so much at most of what waits for it.
    pub(super) fn take(&self, bytes_max: usize) -> Vec<u8> {
        let mut state = self.0.lock();
        let count = state.outward.len().min(bytes_max);
        let rest = state.outward.split_off(count);
        let taken = std::mem::replace(&mut state.outward, rest);
        state.wake_writer();
        taken
    }

    /// Bytes that wait for the client.
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().outward.len()
    }
}
