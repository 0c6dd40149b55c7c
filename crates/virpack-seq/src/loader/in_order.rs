//! Tasks that several threads do, and whose results one thread takes in the tasks' order.
//!
//! A task goes to whichever thread is free, and the place of its result to the thread that takes results.

use std::num::NonZeroUsize;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::queue::{StopReason, WaitOutcome, receive, send};
use super::workers::{AHEAD, spawn};
use crate::error::{SeqError, ThreadError};

/// More threads would only wait: four tokenize 600 million letters a second.
const MOST_THREADS: usize = 8;

/// Returns the number of threads for tasks: half of the cores, as reading, collating and the model need
/// the others.
pub(crate) fn half_of_cores() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    NonZeroUsize::new((cores / 2).clamp(1, MOST_THREADS)).unwrap_or(NonZeroUsize::MIN)
}

/// Hands tasks `T` to threads, and notes `N` to the thread that takes their results `D`.
pub(crate) struct TaskSender<T, D, N> {
    thread: &'static str,
    to: Sender<Task<T, D>>,
    to_order: Sender<Place<D, N>>,
    stopped: Receiver<()>,
    /// Threads to start, one with each task: an input of a few records has one.
    spare: Vec<TaskThread>,
}

/// Gives results and notes in the order in which their tasks and they were sent.
pub(crate) struct InOrder<D, N> {
    thread: &'static str,
    from: Receiver<Place<D, N>>,
    stopped: Receiver<()>,
}

/// What an [`InOrder`] gives.
pub(crate) enum Turn<D, N> {
    /// The result of a task.
    Done(D),
    /// A note.
    Note(N),
}

/// Both ends: where tasks go in, and where results come out.
type Ends<T, D, N> = (TaskSender<T, D, N>, InOrder<D, N>);

/// A task, and the place of its result.
type Task<T, D> = (T, Sender<D>);

/// A place among results and notes.
enum Place<D, N> {
    Task(Receiver<D>),
    Note(N),
}

/// What a thread runs.
type TaskThread = Box<dyn FnOnce() -> Result<(), StopReason> + Send>;

/// Starts one thread for tasks, and keeps the others until there is a task for each. `thread` is their name,
/// and `workers` has what each of them does with a task. They end when the sender or `stopped` does.
///
/// # Errors
///
/// If the first thread does not start.
pub(crate) fn in_order<T, D, N, W>(
    thread: &'static str,
    workers: Vec<W>,
    stopped: &Receiver<()>,
) -> Result<Ends<T, D, N>, SeqError>
where
    T: Send + 'static,
    D: Send + 'static,
    W: FnMut(T) -> D + Send + 'static,
{
    let (to, tasks) = bounded::<Task<T, D>>(AHEAD.max(workers.len()));
    let (to_order, from) = bounded(AHEAD + workers.len());
    let mut spare: Vec<TaskThread> = Vec::new();
    for mut worker in workers {
        let (tasks, stopped) = (tasks.clone(), stopped.clone());
        spare.push(Box::new(move || {
            while let WaitOutcome::Message((task, to)) = receive(&tasks, &stopped, None)? {
                // Where it is not waited for, the stream has ended.
                let _ = to.send(worker(task));
            }
            Ok(())
        }));
    }
    if let Some(first) = spare.pop() {
        spawn(thread, first)?;
    }
    let sender = TaskSender { thread, to, to_order, stopped: stopped.clone(), spare };
    Ok((sender, InOrder { thread, from, stopped: stopped.clone() }))
}

impl<T, D, N> TaskSender<T, D, N> {
    /// Sends a task to the next thread that is free.
    pub(crate) fn task(&mut self, task: T) -> Result<(), StopReason> {
        let (to, from) = bounded(1);
        send(&self.to_order, &self.stopped, Place::Task(from))?;
        if !self.to.is_empty()
            && let Some(next) = self.spare.pop()
        {
            // Where the system gives no thread, those that there are do its work.
            let _ = spawn(self.thread, next);
        }
        send(&self.to, &self.stopped, (task, to))
    }

    /// Sends a note, which comes after the results of all tasks before it.
    pub(crate) fn note(&self, note: N) -> Result<(), StopReason> {
        send(&self.to_order, &self.stopped, Place::Note(note))
    }
}

impl<D, N> InOrder<D, N> {
    /// Returns the next result or note, after waiting for it; None at the end.
    pub(crate) fn next(&self) -> Result<Option<Turn<D, N>>, StopReason> {
        let from = match receive(&self.from, &self.stopped, None)? {
            WaitOutcome::Message(Place::Note(note)) => return Ok(Some(Turn::Note(note))),
            WaitOutcome::Message(Place::Task(from)) => from,
            WaitOutcome::Late | WaitOutcome::End => return Ok(None),
        };
        match receive(&from, &self.stopped, None)? {
            WaitOutcome::Message(done) => Ok(Some(Turn::Done(done))),
            // Its thread ended without a result: that is not the end of the input.
            WaitOutcome::Late | WaitOutcome::End => {
                Err(SeqError::from(ThreadError::Panicked { thread: self.thread, message: None }).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adders(threads: usize) -> Vec<impl FnMut(u64) -> u64 + Send + 'static> {
        // The earlier tasks take longer.
        let slow = |task: u64| {
            std::thread::sleep(std::time::Duration::from_micros(200 - 2 * (task % 100)));
            task + 1
        };
        (0..threads).map(|_| slow).collect()
    }

    #[test]
    fn results_and_notes_come_in_the_order_of_their_tasks() {
        for threads in [1, 4] {
            let (_stop, stopped) = bounded(0);
            let (mut tasks, results) = in_order("adding", adders(threads), &stopped).unwrap();
            spawn("sending", move || {
                for task in 0..300 {
                    tasks.task(task)?;
                    if task % 7 == 0 {
                        tasks.note(task)?;
                    }
                }
                Ok(())
            })
            .unwrap();
            for task in 0..300 {
                assert!(matches!(results.next(), Ok(Some(Turn::Done(done))) if done == task + 1));
                if task % 7 == 0 {
                    assert!(matches!(results.next(), Ok(Some(Turn::Note(note))) if note == task));
                }
            }
            assert!(matches!(results.next(), Ok(None)));
        }
    }

    #[test]
    fn a_thread_that_ends_without_a_result_is_an_error() {
        let (_stop, stopped) = bounded(0);
        let panics = vec![|_: u64| -> u64 { panic!("a task that fails, as it should") }];
        let (mut tasks, results) = in_order::<_, _, (), _>("adding", panics, &stopped).unwrap();
        tasks.task(1).unwrap();
        let Err(StopReason::Failed(error)) = results.next() else { panic!("it has no result") };
        assert_eq!(error.to_string(), "the adding thread panicked");
    }

    #[test]
    fn all_end_when_the_consumer_is_gone() {
        let (stop, stopped) = bounded(0);
        let (mut tasks, results) = in_order::<_, _, (), _>("adding", adders(2), &stopped).unwrap();
        drop(stop);
        assert!(matches!(results.next(), Err(StopReason::ConsumerGone)));
        let gone = (0..1_000).find_map(|task| tasks.task(task).err());
        assert!(matches!(gone, Some(StopReason::ConsumerGone)), "nothing waits for room for ever");
    }
}
