use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;

/// Batch buffers start at a multiple of this: a cache line, and more than any number needs.
const ALIGNMENT: usize = 64;

/// Batch buffers that are used again and again.
///
/// All that a run needs are made at the start: those in preparation and one in the caller's hands. A caller that holds
/// more batches at once makes more buffers come into being, and they stay: none is ever waited for, so that no
/// number of held batches can block the loader.
#[derive(Debug, Clone)]
pub(crate) struct Buffers {
    free: Arc<Mutex<Vec<BytesMut>>>,
    bytes: usize,
}

impl Buffers {
    /// `count` buffers of `bytes` bytes each.
    pub(crate) fn new(count: usize, bytes: usize) -> Self {
        Self {
            free: Arc::new(Mutex::new((0..count).map(|_| aligned(bytes)).collect())),
            bytes,
        }
    }

    /// A buffer with whatever content.
    pub(crate) fn take(&self) -> BytesMut {
        let free = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        free.unwrap_or_else(|| aligned(self.bytes))
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, buffer: BytesMut) {
        debug_assert_eq!(buffer.len(), self.bytes, "a whole buffer comes back");
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(buffer);
    }
}

/// A buffer of so many bytes that starts at a multiple of [`ALIGNMENT`].
fn aligned(bytes: usize) -> BytesMut {
    let mut buffer = BytesMut::zeroed(bytes + ALIGNMENT - 1);
    let start = buffer.as_ptr().align_offset(ALIGNMENT);
    let mut buffer = buffer.split_off(start);
    buffer.truncate(bytes);
    buffer
}

/// Cuts a buffer into consecutive pieces of `bytes` bytes, without copying.
pub(crate) fn split(mut buffer: BytesMut, bytes: usize) -> impl Iterator<Item = BytesMut> {
    std::iter::from_fn(move || (!buffer.is_empty()).then(|| buffer.split_to(bytes)))
}

/// Puts the pieces of one buffer together again, in their order, without copying.
pub(crate) fn rejoin(pieces: impl IntoIterator<Item = BytesMut>) -> BytesMut {
    let mut pieces = pieces.into_iter();
    let mut whole = pieces.next().unwrap_or_default();
    for piece in pieces {
        debug_assert_eq!(
            whole.as_ptr() as usize + whole.len(),
            piece.as_ptr() as usize,
            "pieces are neighbours, so joining them copies nothing"
        );
        whole.unsplit(piece);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_rejoin_in_place() {
        let buffers = Buffers::new(1, 12);
        let mut places = Vec::new();
        for round in 0..3_u8 {
            let buffer = buffers.take();
            places.push(buffer.as_ptr() as usize);
            assert!(places[0].is_multiple_of(ALIGNMENT));
            let mut pieces: Vec<_> = split(buffer, 4).collect();
            assert_eq!(pieces.len(), 3);
            // Written out of order, as threads do.
            for index in [2, 0, 1] {
                pieces[index].fill(10 * round + index as u8);
            }
            let whole = rejoin(pieces);
            let r = 10 * round;
            assert_eq!(
                whole[..],
                [
                    r,
                    r,
                    r,
                    r,
                    r + 1,
                    r + 1,
                    r + 1,
                    r + 1,
                    r + 2,
                    r + 2,
                    r + 2,
                    r + 2
                ]
            );
            assert_eq!(whole.as_ptr() as usize, places[0], "nothing was copied");
            buffers.give(whole);
        }
    }

    #[test]
    fn a_buffer_of_one_piece_works_too() {
        let whole = rejoin(split(BytesMut::zeroed(5), 5));
        assert_eq!(whole.len(), 5);
    }
}
