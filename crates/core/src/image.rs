//! Bytes to be written down, of which large parts stay with whoever has them in memory.
//!
//! Invariants
//! - What was shared is not copied, and its owner may let it go at any time.
//! - Owned pieces are of bounded size unless one append is larger.

use std::sync::Arc;

/// Shorter ones are copied: a piece of its own would cost more.
const SHARED_BYTES_MIN: usize = 128;

/// An owned piece is closed when it is this long.
const PIECE_BYTES: usize = 256 << 10;

/// Where an image goes.
pub trait ImageOut {
    /// The bytes written last, to append to.
    fn tail(&mut self) -> &mut Vec<u8>;

    /// Appends bytes that the caller keeps.
    fn share(&mut self, bytes: &Arc<[u8]>);
}

impl ImageOut for Vec<u8> {
    fn tail(&mut self) -> &mut Vec<u8> {
        self
    }

    fn share(&mut self, bytes: &Arc<[u8]>) {
        self.extend_from_slice(bytes);
    }
}

/// An image in pieces.
#[derive(Debug, Default)]
pub struct Image {
    pieces: Vec<Arc<[u8]>>,
    /// Length of all pieces, in bytes.
    pieces_bytes: usize,
    tail: Vec<u8>,
}

impl Image {
    /// Its length, in bytes.
    pub fn bytes(&self) -> usize {
        self.pieces_bytes + self.tail.len()
    }

    /// Moves all of another one behind this.
    pub fn append(&mut self, other: &mut Image) {
        if !other.pieces.is_empty() {
            self.close_piece();
            self.pieces.append(&mut other.pieces);
            self.pieces_bytes += std::mem::take(&mut other.pieces_bytes);
        }
        self.tail().append(&mut other.tail);
    }

    /// Its bytes, one piece after the other.
    pub fn into_pieces(mut self) -> Vec<Arc<[u8]>> {
        self.close_piece();
        self.pieces
    }

    fn close_piece(&mut self) {
        if !self.tail.is_empty() {
            self.push(Arc::from(self.tail.as_slice()));
            self.tail.clear();
        }
    }

    fn push(&mut self, piece: Arc<[u8]>) {
        self.pieces_bytes += piece.len();
        self.pieces.push(piece);
    }
}

impl ImageOut for Image {
    fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.len() >= PIECE_BYTES {
            self.close_piece();
        }
        &mut self.tail
    }

    fn share(&mut self, bytes: &Arc<[u8]>) {
        if bytes.len() < SHARED_BYTES_MIN {
            return self.tail().extend_from_slice(bytes);
        }
        self.close_piece();
        self.push(Arc::clone(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_as_bytes_do_and_large_ones_are_not_copied() {
        let (large, small): (Arc<[u8]>, Arc<[u8]>) = ([1; 5000].into(), [2; 5].into());
        let mut plain = Vec::new();
        let mut image = Image::default();
        fn write(out: &mut impl ImageOut, large: &Arc<[u8]>, small: &Arc<[u8]>) {
            out.tail().push(3);
            out.share(large);
            out.share(small);
            out.tail().extend([4; 300_000]);
            out.tail().push(5);
            out.share(large);
        }
        write(&mut plain, &large, &small);
        write(&mut image, &large, &small);
        let mut all = Image::default();
        all.tail().push(6);
        all.append(&mut image);
        all.append(&mut image);
        all.tail().push(7);
        assert_eq!((image.bytes(), all.bytes()), (0, plain.len() + 2));
        let pieces = all.into_pieces();
        let shared = pieces.iter().filter(|piece| Arc::ptr_eq(piece, &large));
        assert_eq!(shared.count(), 2);
        assert_eq!(pieces.concat(), [&[6], plain.as_slice(), &[7]].concat());
    }
}
