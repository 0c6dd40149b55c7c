//! Device memory: one allocation, carved into blocks that are handed out and taken back, never returned.
//!
//! Blocks of one size form a free list. Everything runs in the order of one stream, so that a block may be handed
//! out again as soon as the last call that uses it has been given to the stream.

use super::driver::{Card, check};
use crate::DeviceError;
use crate::relock::Relock;
use cudarc::driver::sys;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Blocks begin at multiples of this many bytes: what cuBLASLt and 16-byte accesses like.
const ALIGNMENT: usize = 256;

/// The least that is taken from the card at once.
const CHUNK: usize = 64 << 20;

/// A card's memory for activations.
#[derive(Debug)]
pub(super) struct Arena {
    card: Arc<Card>,
    state: Mutex<ArenaState>,
}

#[derive(Debug, Default)]
struct ArenaState {
    chunks: Vec<(u64, usize)>,
    /// Bytes of the last chunk that are carved.
    used: usize,
    free: HashMap<usize, Vec<u64>>,
    /// Blocks handed out.
    out: usize,
}

/// A piece of the arena; goes back to it on drop.
#[derive(Debug)]
pub(super) struct Block {
    /// Its address on the card.
    pub(super) pointer: u64,
    size: usize,
    arena: Arc<Arena>,
}

impl Arena {
    pub(super) fn new(card: Arc<Card>) -> Arc<Arena> {
        Arc::new(Arena { card, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, ArenaState> {
        self.state.relock()
    }

    /// Takes `bytes` from the card at once, for the blocks to come.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), DeviceError> {
        self.grow(&mut self.state(), bytes)
    }

    /// Gives everything back to the card, where no block is handed out; else nothing.
    pub(super) fn release(&self) -> Result<(), DeviceError> {
        let mut state = self.state();
        if state.out > 0 {
            return Ok(());
        }
        self.card.finish(self.card.compute)?;
        self.card.finish(self.card.download)?;
        for (pointer, _) in std::mem::take(&mut *state).chunks {
            // SAFETY: allocated by `grow`; no block of it is handed out and the streams are done.
            check("cuMemFree", unsafe { sys::cuMemFree_v2(pointer) })?;
        }
        Ok(())
    }

    /// A block of at least `bytes`.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<Block, DeviceError> {
        let size = bytes.max(1).next_multiple_of(ALIGNMENT);
        let mut state = self.state();
        let pointer = match state.free.get_mut(&size).and_then(Vec::pop) {
            Some(pointer) => pointer,
            None => self.carve(&mut state, size)?,
        };
        state.out += 1;
        Ok(Block { pointer, size, arena: Arc::clone(self) })
    }

    fn carve(&self, state: &mut ArenaState, size: usize) -> Result<u64, DeviceError> {
        if state.chunks.last().is_none_or(|&(_, len)| len - state.used < size) {
            self.grow(state, size.max(CHUNK))?;
        }
        let &(base, _) = state.chunks.last().expect("a chunk was just made sure of");
        let pointer = base + state.used as u64;
        state.used += size;
        Ok(pointer)
    }

    fn grow(&self, state: &mut ArenaState, bytes: usize) -> Result<(), DeviceError> {
        let pointer = allocate(&self.card, "arena", bytes)?;
        state.chunks.push((pointer, bytes));
        state.used = 0;
        Ok(())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // The last block is gone; what the streams still do must end first.
        let done = self.card.finish(self.card.compute).and_then(|()| self.card.finish(self.card.download));
        for (pointer, _) in self.state().chunks.drain(..) {
            if done.is_ok() {
                // SAFETY: allocated by `grow`, used by no one any more.
                unsafe { sys::cuMemFree_v2(pointer) };
            }
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut state = self.arena.state();
        state.out -= 1;
        state.free.entry(self.size).or_default().push(self.pointer);
    }
}

/// Memory for as long as a model lives.
#[derive(Debug)]
pub(super) struct Fixed {
    /// Its address on the card.
    pub(super) pointer: u64,
    card: Arc<Card>,
}

impl Fixed {
    /// `bytes` of their own.
    pub(super) fn new(card: &Arc<Card>, op: &'static str, bytes: usize) -> Result<Fixed, DeviceError> {
        Ok(Fixed { pointer: allocate(card, op, bytes)?, card: Arc::clone(card) })
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        if self.card.finish(self.card.compute).is_ok() {
            // SAFETY: allocated by `new`; the stream that used it is done.
            unsafe { sys::cuMemFree_v2(self.pointer) };
        }
    }
}

fn allocate(card: &Card, op: &'static str, bytes: usize) -> Result<u64, DeviceError> {
    card.enter()?;
    let mut pointer = 0;
    // SAFETY: a pointer to a local; the context is current.
    let result = unsafe { sys::cuMemAlloc_v2(&mut pointer, bytes.max(ALIGNMENT)) };
    if result == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return Err(DeviceError::OutOfMemory { op, wanted: bytes, free: card.memory()?.0 });
    }
    check("cuMemAlloc", result)?;
    Ok(pointer)
}
