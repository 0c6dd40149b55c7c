//! Runs work on a thread, while the interpreter feeds it, receives its reports and handles Ctrl-C.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender, bounded};
use pyo3::prelude::*;

use virpack_core::seq::ThreadError;
use virpack_core::{CancelToken, Error, Event};

use crate::error::{Failure, Outcome};
use crate::events;
use crate::source::Feed;

/// How long a wait lasts before signals are checked.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// The interval of progress reports.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The name of the thread in errors.
const THREAD: &str = "engine";

/// A message from the thread.
enum Message<T> {
    Event(Event),
    Item(T),
    /// The end; nothing follows it.
    End(Result<(), Error>),
}

/// Work on a thread that returns items.
pub(crate) struct Run<T> {
    /// None once its end was received.
    messages: Option<Receiver<Message<T>>>,
    cancel: CancelToken,
    /// Records that Python has yet to provide.
    feed: Option<Feed>,
    /// Called with the kind of each event and its text; None: nothing is reported.
    hook: Option<Py<PyAny>>,
    keeps: Keeps,
}

/// Whether an interrupted run has work to keep, so that its end is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Finished work is written, or removed, before the run returns.
    Output,
    /// Finished work is lost in any case, so the run ends by itself.
    Nothing,
}

/// The thread's end of a run.
pub(crate) struct Reporter<T> {
    to: Sender<Message<T>>,
    told: Option<Instant>,
    /// Progress that followed too soon after the last report.
    held: Option<Event>,
}

impl<T> Clone for Reporter<T> {
    /// Returns another reporter, for a different part of the work.
    fn clone(&self) -> Self {
        Reporter { to: self.to.clone(), told: None, held: None }
    }
}

impl<T> Drop for Reporter<T> {
    /// The last progress is always reported.
    fn drop(&mut self) {
        if let Some(progress) = self.held.take() {
            let _ = self.to.send(Message::Event(progress));
        }
    }
}

impl<T> Reporter<T> {
    /// Reports an event; progress at intervals only.
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

    /// Passes an item on, after waiting until it is requested; false if the run is gone.
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
        // One item is taken and one waits: the slower side limits the other.
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

    /// Returns the one item of `work`, which is done on a thread, so that Ctrl-C works meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Run::next`].
    pub(crate) fn once(
        py: Python<'_>,
        hook: Option<Py<PyAny>>,
        work: impl FnOnce(&mut Reporter<T>) -> Result<T, Error> + Send + 'static,
    ) -> Outcome<T> {
        let work = move |reporter: &mut Reporter<T>, _: &_| {
            let item = work(reporter)?;
            reporter.item(item);
            Ok(())
        };
        let mut run = Run::start(None, hook, Keeps::Nothing, work)?;
        Ok(run.next(py)?.expect("work that ends well has given its item"))
    }

    /// Returns the next item, and None at the end. Meanwhile other Python threads run, and Ctrl-C is
    /// handled.
    ///
    /// # Errors
    ///
    /// The error that ended the work; or what a signal, the hook or the given records raised, which also
    /// ends the work.
    pub(crate) fn next(&mut self, py: Python<'_>) -> Outcome<Option<T>> {
        let result = self.wait(py);
        if result.is_err() {
            self.stop(py);
        }
        result
    }

    /// Returns the one item of work that returns one, after the work has ended.
    ///
    /// # Errors
    ///
    /// As [`Run::next`].
    pub(crate) fn only(&mut self, py: Python<'_>) -> Outcome<T> {
        let item = self.next(py)?.expect("work that ends well has given its item");
        // Events may follow the item.
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

    /// Ends the work. Kept work is safe when this returns, unless a second signal arrives.
    fn stop(&mut self, py: Python<'_>) {
        self.cancel.cancel();
        // The feed is dropped only now: its end would be taken for the end of the input.
        self.feed = None;
        let Some(messages) = self.messages.take() else { return };
        if self.keeps == Keeps::Nothing {
            return;
        }
        loop {
            let heard = py.detach(|| messages.recv_timeout(SIGNALS_EVERY));
            match heard {
                Ok(Message::End(Err(error @ Error::Interrupted { kept: Some(_) }))) => {
                    // Another exception is already being raised.
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

/// Returns the next message; None if none arrived for a while, or if records were passed on.
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

/// Returns the error of a thread that ended without a message.
fn ended() -> Error {
    ThreadError::panicked(THREAD, &"it ended").into()
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
