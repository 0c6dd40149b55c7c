//! Threads that do one job together, and are ready for the next.
//!
//! A forward pass consists of a hundred to a few thousand jobs a second, one right after the other. A thread
//! that waits for a job looks for it for a while before it sleeps, because waking a thread takes tens of
//! microseconds. Tasks are handed out in their order, one at a time: a thread that is slower than others
//! takes fewer.

use super::tiles::SharedRows;
use crate::DeviceError;
use parking_lot::Mutex as Lock;
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, yield_now};
use std::time::{Duration, Instant};

/// How long a thread looks for a job before it sleeps: longer than what lies between two jobs of a batch.
const PATIENCE: Duration = Duration::from_micros(500);

/// Looks at a variable before a thread offers its core to others, each time.
const SPINS: usize = 200;

/// [`Shared::gate`] while a job may be entered. The lower bits count the threads inside.
const OPEN: usize = 1 << (usize::BITS - 1);

thread_local! {
    /// Whether this thread is at a task of a team.
    static IS_AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Threads that work for one caller at a time, who is one of them. A job of one task is its caller's own, and
/// waits for no other.
pub(crate) struct Team {
    shared: Arc<Shared>,
    /// Held by the caller whose job it is.
    caller: Lock<()>,
    threads: usize,
}

struct Shared {
    /// Jobs so far: a change calls the helpers.
    jobs: AtomicUsize,
    gate: AtomicUsize,
    /// Written by the caller while the gate is closed and empty, read by threads inside.
    job: JobSlot,
    /// The next task of the job.
    next: AtomicUsize,
    failure: Lock<Option<Box<dyn Any + Send>>>,
    /// Helpers that sleep, or are about to.
    sleepers: AtomicUsize,
    /// Of the standard library, whose `notify_all` wakes all threads at once: parking_lot's wakes one after
    /// the other.
    bed: Mutex<()>,
    bell: Condvar,
    is_over: AtomicBool,
}

/// A job's tasks: what to do, and how many there are.
#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    count: usize,
}

struct JobSlot(UnsafeCell<Job>);

// SAFETY: `Shared::gate` keeps the caller's writes apart from the helpers' reads, and what the job points to
// may be used by several threads.
unsafe impl Sync for JobSlot {}
// SAFETY: as above.
unsafe impl Send for JobSlot {}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Team").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl Team {
    /// A team of `threads`, the caller included; one for each core where None.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Threads`] when the system refuses a thread.
    pub(crate) fn new(threads: Option<NonZeroUsize>) -> Result<Team, DeviceError> {
        let asked = threads.map_or(0, NonZeroUsize::get);
        let threads =
            threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let shared = Arc::new(Shared {
            jobs: AtomicUsize::new(0),
            gate: AtomicUsize::new(0),
            job: JobSlot(UnsafeCell::new(Job { task: &|_| (), count: 0 })),
            next: AtomicUsize::new(0),
            failure: Lock::default(),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::default(),
            bell: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        let team = Team { shared, caller: Lock::default(), threads };
        for i in 1..threads {
            // Those that were started end with `team` where one is refused.
            let shared = Arc::clone(&team.shared);
            let started = Builder::new().name(format!("cpu-{i}")).spawn(move || shared.help());
            started.map_err(|e| DeviceError::Threads { threads: asked, reason: e.to_string() })?;
        }
        Ok(team)
    }

    /// Threads of the team.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `task` for each of `0..count`, and returns when all are done. A task must not call a team: its
    /// own would never answer.
    ///
    /// # Panics
    ///
    /// As the first task that panics; the tasks that have begun are completed before.
    pub(crate) fn run(&self, count: usize, task: impl Fn(usize) + Sync) {
        debug_assert!(!IS_AT_WORK.get(), "a task calls a team");
        if count < 2 && self.threads > 1 {
            // Not worth the wait for another caller's job.
            return (0..count).for_each(task);
        }
        let _caller = self.caller.lock();
        if self.threads == 1 {
            return (0..count).for_each(task);
        }
        let shared = &*self.shared;
        let task: &(dyn Fn(usize) + Sync) = &task;
        // SAFETY: only the lifetime changes. `run` does not return before the gate is closed and empty, so
        // that no thread uses the task afterwards.
        let task = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(task)
        };
        // SAFETY: the gate is closed and empty, and this is the only caller.
        unsafe { *shared.job.0.get() = Job { task, count } };
        shared.next.store(0, Ordering::Relaxed);
        shared.gate.fetch_or(OPEN, Ordering::Release);
        shared.call();
        // SAFETY: the job is this function's.
        unsafe { shared.work() };
        shared.gate.fetch_and(!OPEN, Ordering::AcqRel);
        wait_for(None, || shared.gate.load(Ordering::Acquire) == 0);
        if let Some(failure) = shared.failure.lock().take() {
            resume_unwind(failure);
        }
    }

    /// Runs `task` on each part of `size` values, the last of which may be shorter.
    pub(crate) fn run_chunks<T: Send>(
        &self,
        values: &mut [T],
        size: usize,
        task: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let (count, len) = (values.len().div_ceil(size.max(1)), values.len());
        let shared = SharedRows::new(values, len.max(1));
        self.run(count, |i| {
            // SAFETY: parts do not overlap, each is one task's, and `values` is borrowed until all are done.
            task(i, unsafe { shared.row(0, i * size..len.min((i + 1) * size)) });
        });
    }
}

impl Drop for Team {
    /// Ends the helpers. It does not wait for them: a fork of the process has none.
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.call();
    }
}

impl Shared {
    /// What a helper does as long as it lives.
    fn help(&self) {
        let mut seen = 0;
        loop {
            if !wait_for(Some(PATIENCE), || self.jobs.load(Ordering::Acquire) != seen) {
                self.sleep(seen);
            }
            seen = self.jobs.load(Ordering::Acquire);
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            if self.gate.fetch_add(1, Ordering::AcqRel) & OPEN != 0 {
                // SAFETY: the gate was open, and the caller waits for this thread before the job ends.
                unsafe { self.work() };
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// Does tasks until none is left, or one has failed.
    ///
    /// # Safety
    ///
    /// The caller has entered the gate, or is the one whose job it is.
    unsafe fn work(&self) {
        // SAFETY: the slot is written only while the gate is closed and empty.
        let Job { task, count } = unsafe { *self.job.0.get() };
        // SAFETY: the caller of the job keeps the task until all threads are outside.
        let task = unsafe { &*task };
        let tasks = || {
            loop {
                let i = self.next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    return;
                }
                task(i);
            }
        };
        IS_AT_WORK.set(true);
        let done = catch_unwind(AssertUnwindSafe(tasks));
        IS_AT_WORK.set(false);
        if let Err(failure) = done {
            self.next.store(count, Ordering::Relaxed);
            self.failure.lock().get_or_insert(failure);
        }
    }

    /// Calls the helpers.
    fn call(&self) {
        // Sequentially consistent, as in `sleep`: either this sees a sleeper, or the sleeper sees the job.
        self.jobs.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(self.bed.lock().unwrap_or_else(PoisonError::into_inner));
            self.bell.notify_all();
        }
    }

    /// Sleeps until there is another job than `seen`.
    fn sleep(&self, seen: usize) {
        let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.jobs.load(Ordering::SeqCst) == seen {
            bed = self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until `is_done`, at most for as long as a thread has `patience`. Returns whether it is.
fn wait_for(patience: Option<Duration>, is_done: impl Fn() -> bool) -> bool {
    for _ in 0..SPINS {
        if is_done() {
            return true;
        }
        spin_loop();
    }
    let begun = Instant::now();
    while patience.is_none_or(|patience| begun.elapsed() < patience) {
        for _ in 0..SPINS {
            if is_done() {
                return true;
            }
            spin_loop();
        }
        yield_now();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(threads: usize) -> Team {
        Team::new(NonZeroUsize::new(threads)).unwrap()
    }

    #[test]
    fn every_task_runs_once_whatever_the_threads() {
        for threads in [1, 2, 3, 8] {
            let team = team(threads);
            assert_eq!(team.threads(), threads);
            for count in [0, 1, 2, 7, 100].repeat(200) {
                let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                team.run(count, |i| {
                    runs[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{threads}, {count}");
            }
        }
    }

    #[test]
    fn threads_that_have_fallen_asleep_work_again() {
        let team = team(3);
        for _ in 0..3 {
            std::thread::sleep(4 * PATIENCE);
            // Each task waits for the others: one thread alone would never return.
            let met = AtomicUsize::new(0);
            team.run(3, |_| {
                met.fetch_add(1, Ordering::SeqCst);
                assert!(wait_for(Some(Duration::from_secs(60)), || met.load(Ordering::SeqCst) == 3));
            });
        }
    }

    #[test]
    fn several_callers_take_turns() {
        let (team, sum) = (team(3), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        team.run(10, |i| {
                            sum.fetch_add(i, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 200 * 45);
    }

    #[test]
    fn a_task_that_panics_is_the_callers_panic_and_the_team_works_on() {
        let team = team(3);
        for failing in [0, 5, 9] {
            let failed = catch_unwind(AssertUnwindSafe(|| {
                team.run(10, |i| assert!(i != failing, "task {failing}"));
            }));
            let message = failed.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(*message, format!("task {failing}"));
            let mut values = [0; 10];
            team.run_chunks(&mut values, 3, |i, part| part.fill(i + 1));
            assert_eq!(values, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]);
        }
    }
}
