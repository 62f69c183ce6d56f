use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A bound on bytes in memory: whoever is about to read takes a permit first, and waits while too much is out.
///
/// A request larger than the whole budget waits until nothing else is out and then goes through alone, so that no
/// photograph can be too large to be read.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    state: Mutex<State>,
    changed: Condvar,
    limit: u64,
}

#[derive(Debug, Default)]
struct State {
    out: u64,
    closed: bool,
}

impl State {
    fn has_room(&self, bytes: u64, limit: u64) -> bool {
        self.out == 0 || self.out + bytes <= limit
    }
}

/// Bytes that are taken from a budget until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<ByteBudget>,
    bytes: u64,
}

impl ByteBudget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            limit,
        })
    }

    /// Waits until `bytes` more may be out; `None` after [`close`](Self::close).
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Permit> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .changed
            .wait_while(state, |state| {
                !state.closed && !state.has_room(bytes, self.limit)
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        state.out += bytes;
        Some(Permit {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// Ends all waiting, now and later.
    pub(crate) fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.changed.notify_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let budget = &self.budget;
        budget
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .out -= self.bytes;
        budget.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn there_is_room_up_to_the_limit_and_for_a_larger_one_alone() {
        let out = |out| State { out, closed: false };
        assert!(out(60).has_room(40, 100));
        assert!(!out(60).has_room(41, 100));
        assert!(!out(1).has_room(500, 100));
        assert!(out(0).has_room(500, 100));
    }

    #[test]
    fn who_waits_goes_on_when_room_comes_back() {
        let budget = ByteBudget::new(100);
        let held = [60, 40].map(|bytes| budget.take(bytes).unwrap());
        let (out, done) = mpsc::channel();
        let waiting = std::thread::spawn({
            let budget = Arc::clone(&budget);
            move || {
                let large = budget.take(500).unwrap();
                out.send(budget.state.lock().unwrap().out).unwrap();
                drop(large);
            }
        });
        drop(held);
        assert_eq!(done.recv().unwrap(), 500, "alone");
        waiting.join().unwrap();
        assert_eq!(budget.state.lock().unwrap().out, 0);
    }

    #[test]
    fn closing_ends_the_waiting() {
        let budget = ByteBudget::new(10);
        let held = budget.take(10).unwrap();
        let waiting = std::thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.take(1).is_none()
        });
        budget.close();
        assert!(waiting.join().unwrap());
        drop(held);
        assert!(budget.take(1).is_none());
    }
}
