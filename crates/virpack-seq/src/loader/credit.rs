//! Limits the bytes in flight.

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::queue::StopReason;

/// Limits the bytes in flight. A single larger record is still admitted, alone.
#[derive(Debug)]
pub(crate) struct Credit {
    limit: u64,
    state: Mutex<CreditState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CreditState {
    held: u64,
    closed: bool,
}

impl Credit {
    pub(crate) fn new(limit: u64) -> Self {
        Credit { limit, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, CreditState> {
        self.state.lock()
    }

    fn has_room(&self, state: &CreditState, amount: u64) -> bool {
        state.held == 0 || state.held.saturating_add(amount) <= self.limit
    }

    /// Takes an amount if there is room for it now.
    pub(crate) fn try_take(&self, amount: u64) -> bool {
        let mut state = self.state();
        let room = self.has_room(&state, amount);
        state.held += if room { amount } else { 0 };
        room
    }

    /// Waits for room, and takes an amount.
    pub(crate) fn take(&self, amount: u64) -> Result<(), StopReason> {
        let mut state = self.state();
        self.changed.wait_while(&mut state, |state| !state.closed && !self.has_room(state, amount));
        if state.closed {
            return Err(StopReason::ConsumerGone);
        }
        state.held += amount;
        Ok(())
    }

    /// Returns an amount.
    pub(crate) fn give(&self, amount: u64) {
        let mut state = self.state();
        state.held = state.held.saturating_sub(amount);
        self.changed.notify_all();
    }

    /// Wakes all waiting threads: no amount will be returned any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}
