//! Queues whose both ends let go as soon as the consumers are gone.

use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError};

use crate::error::SeqError;

/// Why a thread stops before its input ends.
#[derive(Debug)]
pub(crate) enum StopReason {
    /// All consumers have been dropped.
    ConsumerGone,
    /// An error, which the consumers must get.
    Failed(SeqError),
}

impl From<SeqError> for StopReason {
    fn from(error: SeqError) -> Self {
        StopReason::Failed(error)
    }
}

/// What a wait for the next message came to.
pub(super) enum WaitOutcome<T> {
    Message(T),
    /// Nothing came for the time given.
    Late,
    /// The sender has finished.
    End,
}

/// Sends, waiting for room until `stopped` is disconnected.
pub(super) fn send<T>(to: &Sender<T>, stopped: &Receiver<()>, message: T) -> Result<(), StopReason> {
    let message = match to.try_send(message) {
        Ok(()) => return Ok(()),
        Err(TrySendError::Disconnected(_)) => return Err(StopReason::ConsumerGone),
        Err(TrySendError::Full(message)) => message,
    };
    let mut select = Select::new();
    let room = select.send(to);
    select.recv(stopped);
    let ready = select.select();
    if ready.index() == room {
        ready.send(to, message).map_err(|_| StopReason::ConsumerGone)
    } else {
        // Nothing is ever sent there: it is ready because it is disconnected.
        let _ = ready.recv(stopped);
        Err(StopReason::ConsumerGone)
    }
}

/// Receives, waiting until a message, the end, `stopped` or the timeout.
pub(super) fn receive<T>(
    from: &Receiver<T>,
    stopped: &Receiver<()>,
    timeout: Option<Duration>,
) -> Result<WaitOutcome<T>, StopReason> {
    match from.try_recv() {
        Ok(message) => return Ok(WaitOutcome::Message(message)),
        Err(TryRecvError::Disconnected) => return Ok(WaitOutcome::End),
        Err(TryRecvError::Empty) => {}
    }
    let mut select = Select::new();
    let data = select.recv(from);
    select.recv(stopped);
    let ready = match timeout {
        None => select.select(),
        Some(timeout) => match select.select_timeout(timeout) {
            Ok(ready) => ready,
            Err(_) => return Ok(WaitOutcome::Late),
        },
    };
    if ready.index() == data {
        Ok(ready.recv(from).map_or(WaitOutcome::End, WaitOutcome::Message))
    } else {
        let _ = ready.recv(stopped);
        Err(StopReason::ConsumerGone)
    }
}
