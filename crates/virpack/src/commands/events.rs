//! What runs report while they go on, shown on stderr.

use virpack_core::Event;
use virpack_core::runner::DeviceEvent;

use super::checkpoint::Keeps;
use crate::text::grouped;
use crate::watch::Watch;

/// Shows an event that all commands show alike, and gives back any other.
pub(crate) fn show(watch: &Watch, keeps: &Keeps, event: Event) -> Option<Event> {
    match event {
        Event::Progress(progress) => watch.update(progress),
        Event::Weights(note) => watch.info(note),
        Event::Kept(resumed) => keeps.begin(watch, &resumed),
        Event::Device(DeviceEvent::Lost { device, reason }) => {
            watch.warn(format_args!("device {device} is given up, the others go on: {reason}"));
        }
        Event::Device(DeviceEvent::Halved { token_budget, reason }) => {
            let tokens = grouped(token_budget as u64);
            watch.warn(format_args!("batches have at most {tokens} tokens from here on: {reason}"));
        }
        other => return Some(other),
    }
    None
}
