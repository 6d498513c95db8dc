//! The outbox: bytes that wait for one connection's socket.
//!
//! Invariants
//! - Bytes leave in the order in which they came in: `front` before `back`.
//! - At most one thread writes at a time; who finds a writer leaves its bytes to it.
//! - After a refused write nobody tries again before the socket was seen writable.
//! - Empty means no buffer: an idle connection holds no memory here. Buffers come from and go back
//!   to a pool of the thread, so a burst reuses warm ones.
//!
//! Not here: the lock around it and the socket (`link`).

use std::cell::RefCell;
use std::io;

/// Buffers that a thread keeps for reuse.
const POOLED_BUFFERS_MAX: usize = 8;
/// The largest buffer that is worth keeping, in bytes.
const POOLED_BUFFER_BYTES_MAX: usize = 2 << 20;
/// The smallest buffer that is worth keeping, in bytes.
const POOLED_BUFFER_BYTES_MIN: usize = 4 << 10;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_buffer() -> Vec<u8> {
    POOL.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_buffer(mut buffer: Vec<u8>) {
    if !(POOLED_BUFFER_BYTES_MIN..=POOLED_BUFFER_BYTES_MAX).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    POOL.with_borrow_mut(|pool| {
        if pool.len() < POOLED_BUFFERS_MAX {
            pool.push(buffer);
        }
    });
}

/// Bytes on their way to a socket.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    front: Vec<u8>,
    front_at: usize,
    back: Vec<u8>,
    /// What the writer has taken away, in bytes.
    in_hand: usize,
    /// Whether a writer has to come even if there is nothing to write.
    urged: bool,
    writing: bool,
    blocked: bool,
    closed: bool,
}

/// What a writer has in hand.
#[derive(Debug)]
pub(crate) struct Hand {
    buffer: Vec<u8>,
    at: usize,
    /// Whether some of it went to the socket already: it was wrapped, where it is to be.
    begun: bool,
}

/// How a write went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// All in hand is gone.
    All,
    /// The socket is full: its task must wait until it is writable.
    Full,
    /// The socket is broken.
    Broken,
}

impl Hand {
    /// Puts sealed or framed bytes in the place of what was taken from the outbox, once.
    pub(crate) fn wrap(
        &mut self,
        wrap: impl FnOnce(&[u8], &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let mut wrapped = take_buffer();
        wrap(&self.buffer, &mut wrapped)?;
        give_buffer(std::mem::replace(&mut self.buffer, wrapped));
        Ok(())
    }

    /// Writes until nothing is in hand or the socket has no room. Adds to `sent`.
    pub(crate) fn write(
        &mut self,
        sent: &mut usize,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> Written {
        while self.at < self.buffer.len() {
            match write(&self.buffer[self.at..]) {
                Ok(0) => return Written::Broken,
                Ok(count) => {
                    self.at += count;
                    *sent += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Written::Broken,
            }
        }
        Written::All
    }
}

impl Outbox {
    /// Where to append. What is appended to a closed outbox goes nowhere.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.closed {
            self.back.clear();
        } else if self.back.capacity() == 0 {
            self.back = take_buffer();
        }
        &mut self.back
    }

    /// Bytes that the socket has not taken yet.
    pub(crate) fn len(&self) -> usize {
        if self.closed {
            0
        } else {
            let urge = usize::from(self.urged);
            self.front.len() - self.front_at + self.back.len() + self.in_hand + urge
        }
    }

    /// Whether a refused write waits for the socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The socket was seen writable.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// A writer is to come, even if there is nothing to write.
    pub(crate) fn urge(&mut self) {
        self.urged = !self.closed;
    }

    /// Nothing will be written any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.urged = false;
        self.front = Vec::new();
        self.front_at = 0;
        self.back = Vec::new();
    }

    /// Makes the caller the writer and gives it what is to be written; `None` when there is
    /// nothing, another writes, or the socket is full.
    pub(crate) fn begin_write(&mut self) -> Option<Hand> {
        if self.writing || self.blocked || self.closed {
            return None;
        }
        let begun = !self.front.is_empty();
        let (buffer, at) = if begun {
            (
                std::mem::take(&mut self.front),
                std::mem::take(&mut self.front_at),
            )
        } else {
            (std::mem::take(&mut self.back), 0)
        };
        if buffer.is_empty() && !self.urged {
            give_buffer(buffer);
            return None;
        }
        self.urged &= begun;
        self.writing = true;
        self.in_hand = buffer.len() - at;
        Some(Hand { buffer, at, begun })
    }

    /// Ends what [`Outbox::begin_write`] began.
    pub(crate) fn end_write(&mut self, hand: Hand, written: Written) {
        assert!(self.writing, "a writer ends what it began");
        self.writing = false;
        self.in_hand = 0;
        match written {
            Written::All => give_buffer(hand.buffer),
            Written::Full if !self.closed => {
                self.front = hand.buffer;
                self.front_at = hand.at;
                self.blocked = true;
            }
            Written::Full => {}
            Written::Broken => self.close(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes `room` bytes.
    struct Socket {
        room: usize,
        taken: Vec<u8>,
    }

    impl Socket {
        fn flush(&mut self, outbox: &mut Outbox) -> Option<Written> {
            let mut hand = outbox.begin_write()?;
            let written = hand.write(&mut 0, |bytes| {
                let count = bytes.len().min(self.room).min(3);
                if count == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.room -= count;
                self.taken.extend_from_slice(&bytes[..count]);
                Ok(count)
            });
            outbox.end_write(hand, written);
            Some(written)
        }
    }

    #[test]
    fn bytes_leave_in_order_through_full_sockets() {
        let mut outbox = Outbox::default();
        let mut socket = Socket {
            room: 4,
            taken: Vec::new(),
        };
        outbox.buffer().extend_from_slice(b"abcdef");
        assert_eq!(socket.flush(&mut outbox), Some(Written::Full));
        outbox.buffer().extend_from_slice(b"ghi");
        assert_eq!(outbox.len(), 5);
        assert_eq!(
            socket.flush(&mut outbox),
            None,
            "nobody tries before it is writable"
        );
        socket.room = 100;
        outbox.unblock();
        assert_eq!(socket.flush(&mut outbox), Some(Written::All));
        assert_eq!(socket.flush(&mut outbox), Some(Written::All));
        assert_eq!(socket.flush(&mut outbox), None);
        assert_eq!(socket.taken, b"abcdefghi");
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn a_second_writer_is_turned_away_and_its_bytes_stay() {
        let mut outbox = Outbox::default();
        outbox.buffer().extend_from_slice(b"first");
        let hand = outbox.begin_write().unwrap();
        outbox.buffer().extend_from_slice(b"second");
        assert!(outbox.begin_write().is_none());
        assert_eq!(outbox.len(), 11);
        outbox.end_write(hand, Written::All);
        assert_eq!(outbox.len(), 6);
        assert!(outbox.begin_write().is_some());
    }

    #[test]
    fn what_is_sealed_is_sealed_once_and_counts_until_it_is_written() {
        let mut outbox = Outbox::default();
        outbox.urge();
        assert_eq!(outbox.len(), 1, "a writer has to come");
        let seal = |plain: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(b"<");
            out.extend_from_slice(plain);
            out.extend_from_slice(b">");
            Ok(())
        };
        let (mut room, mut taken) = (2, Vec::new());
        let mut flush = |outbox: &mut Outbox, more: usize| {
            room += more;
            let mut hand = outbox.begin_write()?;
            hand.wrap(seal).unwrap();
            let written = hand.write(&mut 0, |bytes| {
                let count = bytes.len().min(room);
                room -= count;
                taken.extend_from_slice(&bytes[..count]);
                match count {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(count),
                }
            });
            outbox.end_write(hand, written);
            Some(written)
        };
        assert_eq!(flush(&mut outbox, 0), Some(Written::All));
        outbox.buffer().extend_from_slice(b"ab");
        assert_eq!(flush(&mut outbox, 1), Some(Written::Full));
        assert_eq!(outbox.len(), 3, "three of `<ab>`");
        outbox.buffer().extend_from_slice(b"c");
        outbox.urge();
        outbox.unblock();
        assert_eq!(flush(&mut outbox, 100), Some(Written::All));
        assert_eq!(outbox.len(), 2, "the urge stands beside what came later");
        assert_eq!(flush(&mut outbox, 0), Some(Written::All));
        assert_eq!(flush(&mut outbox, 0), None);
        assert_eq!(taken, b"<><ab><c>");
    }

    #[test]
    fn an_empty_outbox_holds_no_buffer() {
        let mut outbox = Outbox::default();
        outbox.buffer().resize(64 << 10, 7);
        let mut socket = Socket {
            room: usize::MAX,
            taken: Vec::new(),
        };
        assert_eq!(socket.flush(&mut outbox), Some(Written::All));
        assert_eq!((outbox.front.capacity(), outbox.back.capacity()), (0, 0));
    }

    #[test]
    fn a_broken_socket_swallows_what_comes_later() {
        let mut outbox = Outbox::default();
        outbox.buffer().push(1);
        let hand = outbox.begin_write().unwrap();
        outbox.end_write(hand, Written::Broken);
        outbox.buffer().push(2);
        outbox.buffer().push(3);
        assert!(outbox.begin_write().is_none());
        assert_eq!((outbox.len(), outbox.back.len()), (0, 1));
    }
}
