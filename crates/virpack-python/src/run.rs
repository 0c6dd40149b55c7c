//! Work on a thread of its own, while the interpreter feeds it, hears from it and heeds Ctrl-C.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender, bounded};
use pyo3::prelude::*;

use virpack_core::seq::ThreadError;
use virpack_core::{CancelToken, Error, Event};

use crate::error::{Failure, Outcome};
use crate::events;
use crate::source::Feed;

/// How long a wait goes on before signals are looked at.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// What the thread is called in errors.
const THREAD: &str = "engine";

/// What comes from the thread.
enum Message<T> {
    Event(Event),
    Item(T),
    /// Nothing comes after it.
    End(Result<(), Error>),
}

/// Work on a thread of its own that gives items.
pub(crate) struct Run<T> {
    /// None once its end was heard.
    messages: Option<Receiver<Message<T>>>,
    cancel: CancelToken,
    /// Records that Python still has to give.
    feed: Option<Feed>,
    /// Called with what kind of event it is, and what it says; None: nothing is told.
    hook: Option<Py<PyAny>>,
    keeps: Keeps,
}

/// Whether a run that is interrupted has something to keep, so that it is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// What is finished is written, or removed, before the run returns.
    Output,
    /// What it finishes is lost in any case: it ends by itself.
    Nothing,
}

/// The thread's end of a run.
pub(crate) struct Reporter<T> {
    to: Sender<Message<T>>,
    told: Option<Instant>,
    /// Progress that came too soon after the last one that was told.
    held: Option<Event>,
}

impl<T> Clone for Reporter<T> {
    /// One more, for another part of the work to tell of its events.
    fn clone(&self) -> Self {
        Reporter { to: self.to.clone(), told: None, held: None }
    }
}

impl<T> Drop for Reporter<T> {
    /// The last progress is always told.
    fn drop(&mut self) {
        if let Some(progress) = self.held.take() {
            let _ = self.to.send(Message::Event(progress));
        }
    }
}

impl<T> Reporter<T> {
    /// Reports an event; progress now and then.
    pub(crate) fn event(&mut self, event: Event) {
        if let Event::Progress(_) = event {
            if self.told.is_some_and(|told| told.elapsed() < PROGRESS_EVERY) {
                self.held = Some(event);
                return;
            }
            self.told = Some(Instant::now());
            self.held = None;
        }
        let _ = self.to.send(Message::Event(event));
    }

    /// Hands an item over, waiting until it is asked for; false if the run is gone.
    pub(crate) fn item(&mut self, item: T) -> bool {
        self.to.send(Message::Item(item)).is_ok()
    }

    fn end(mut self, result: Result<(), Error>) {
        if let Some(progress) = self.held.take() {
            let _ = self.to.send(Message::Event(progress));
        }
        let _ = self.to.send(Message::End(result));
    }
}

impl<T: Send + 'static> Run<T> {
    /// Begins `work`.
    pub(crate) fn start(
        feed: Option<Feed>,
        hook: Option<Py<PyAny>>,
        keeps: Keeps,
        work: impl FnOnce(&mut Reporter<T>, &CancelToken) -> Result<(), Error> + Send + 'static,
    ) -> Outcome<Self> {
        // One that is taken and one that waits: the slower side holds the other back.
        let (to, messages) = bounded(1);
        let cancel = CancelToken::new();
        let mut reporter = Reporter { to, told: None, held: None };
        let token = cancel.clone();
        let body = move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut reporter, &token)));
            reporter.end(result.unwrap_or_else(|panic| Err(ThreadError::panicked(THREAD, &*panic).into())));
        };
        let thread = std::thread::Builder::new().name("virpack-engine".to_owned()).spawn(body);
        thread.map_err(|source| Error::from(ThreadError::NotStarted { thread: THREAD, source }))?;
        Ok(Run { messages: Some(messages), cancel, feed, hook, keeps })
    }

    /// The next item, and None at the end; meanwhile other threads of Python run, and Ctrl-C is heeded.
    ///
    /// # Errors
    ///
    /// What ended the work; what a signal, the hook or the given records raised, which ends the work too.
    pub(crate) fn next(&mut self, py: Python<'_>) -> Outcome<Option<T>> {
        let result = self.wait(py);
        if result.is_err() {
            self.stop(py);
        }
        result
    }

    /// The one item of work that gives one, once all has ended.
    ///
    /// # Errors
    ///
    /// As [`Run::next`].
    pub(crate) fn only(&mut self, py: Python<'_>) -> Outcome<T> {
        let item = self.next(py)?.expect("work that ends well has given its item");
        // Events may come behind it.
        self.next(py)?;
        Ok(item)
    }

    fn wait(&mut self, py: Python<'_>) -> Outcome<Option<T>> {
        loop {
            if let Some(feed) = &mut self.feed
                && !feed.fill(py)?
            {
                self.feed = None;
            }
            let Some(messages) = &self.messages else { return Ok(None) };
            match py.detach(|| hear(messages, self.feed.as_mut())) {
                Some(Message::Event(event)) => events::tell(py, self.hook.as_ref(), event)?,
                Some(Message::Item(item)) => return Ok(Some(item)),
                Some(Message::End(result)) => {
                    (self.messages, self.feed) = (None, None);
                    return result.map(|()| None).map_err(Failure::from);
                }
                None => {}
            }
            py.check_signals()?;
        }
    }

    /// Ends the work. What it keeps is safe when this returns, unless a second signal comes.
    fn stop(&mut self, py: Python<'_>) {
        self.cancel.cancel();
        // Only now: the end of what was given would pass for the end of the input.
        self.feed = None;
        let Some(messages) = self.messages.take() else { return };
        if self.keeps == Keeps::Nothing {
            return;
        }
        loop {
            let heard = py.detach(|| messages.recv_timeout(SIGNALS_EVERY));
            match heard {
                Ok(Message::End(Err(error @ Error::Interrupted { kept: Some(_) }))) => {
                    // An exception is under way already.
                    let _ = events::log(py, self.hook.as_ref(), "warning", &error.to_string());
                    return;
                }
                Ok(Message::End(_)) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            if py.check_signals().is_err() {
                return;
            }
        }
    }
}

/// The next message, or None where none came for a while, or records were given away.
fn hear<T>(messages: &Receiver<Message<T>>, feed: Option<&mut Feed>) -> Option<Message<T>> {
    let Some(feed) = feed else {
        return match messages.recv_timeout(SIGNALS_EVERY) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Message::End(Err(ended()))),
        };
    };
    let to = feed.to().clone();
    let mut select = Select::new();
    let message = select.recv(messages);
    select.send(&to);
    let ready = select.select_timeout(SIGNALS_EVERY).ok()?;
    if ready.index() == message {
        return Some(ready.recv(messages).unwrap_or_else(|_| Message::End(Err(ended()))));
    }
    feed.give(|block| ready.send(&to, block).is_ok());
    None
}

/// A thread that is gone without a word.
fn ended() -> Error {
    ThreadError::panicked(THREAD, &"it ended").into()
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
