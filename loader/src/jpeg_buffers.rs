use std::sync::{Arc, Mutex, PoisonError};

/// Buffers grow in steps of this, so that one that held a photograph usually holds the next without growing.
const STEP_BYTES: usize = 64 << 10;
/// A buffer larger than this is not kept: few photographs are, and all buffers would end up so large.
const KEEP_BYTES: usize = 512 << 10;

/// Buffers for encoded photographs that are used again and again.
#[derive(Debug, Clone, Default)]
pub(crate) struct JpegBuffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer that goes back to where it came from.
#[derive(Debug)]
pub(crate) struct JpegBuffer {
    /// Whatever was put in.
    pub(crate) bytes: Vec<u8>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl JpegBuffers {
    /// An empty buffer with room for `bytes`: the smallest of those at hand, or else the largest, enlarged.
    pub(crate) fn take(&self, bytes: usize) -> JpegBuffer {
        let mut found = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let sizes = || free.iter().map(Vec::capacity).enumerate();
            let best = sizes()
                .filter(|&(_, capacity)| capacity >= bytes)
                .min_by_key(|&(_, capacity)| capacity)
                .or_else(|| sizes().max_by_key(|&(_, capacity)| capacity));
            match best {
                Some((at, _)) => free.swap_remove(at),
                None => Vec::new(),
            }
        };
        found.clear();
        found.reserve_exact(bytes.next_multiple_of(STEP_BYTES));
        JpegBuffer {
            bytes: found,
            free: Arc::clone(&self.free),
        }
    }

    /// The room that a photograph of so many bytes takes up.
    pub(crate) fn room(bytes: u64) -> u64 {
        bytes.next_multiple_of(STEP_BYTES as u64)
    }
}

impl Drop for JpegBuffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() <= KEEP_BYTES {
            self.free
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_and_fit() {
        let buffers = JpegBuffers::default();
        let places = [10, 200_000, 70_000].map(|bytes| {
            let buffer = buffers.take(bytes);
            assert!(buffer.bytes.capacity() >= bytes);
            (buffer.bytes.as_ptr(), buffer)
        });
        let [small, large, middle] = places.map(|(place, buffer)| {
            drop(buffer);
            place
        });
        // The smallest that fits, in whatever order they are asked for.
        let again = [100_000, 60_000, 190_000].map(|bytes| buffers.take(bytes));
        assert_eq!(
            again.each_ref().map(|buffer| buffer.bytes.as_ptr()),
            [middle, small, large]
        );
        assert!(again.iter().all(|buffer| buffer.bytes.is_empty()));
    }

    #[test]
    fn an_enormous_one_is_not_kept() {
        let buffers = JpegBuffers::default();
        drop(buffers.take(KEEP_BYTES + 1));
        assert!(buffers.free.lock().unwrap().is_empty());
    }
}
