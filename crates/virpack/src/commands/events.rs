//! Shows what runs report while they are in progress, on stderr.

use virpack_core::Event;

use super::checkpoint::Keeps;
use crate::messages;
use crate::watch::Watch;

/// Shows an event that all commands show in the same way, and returns any other.
pub(crate) fn show(watch: &Watch, keeps: &Keeps, event: Event) -> Option<Event> {
    match event {
        Event::Progress(progress) => watch.update(progress),
        Event::LeftOut(card) => watch.warn(messages::of_left_out(&card)),
        Event::Weights(note) => watch.info(note),
        Event::Kept(resumed) => keeps.begin(watch, &resumed),
        Event::Device(event) => watch.warn(messages::of_device_event(&event)),
        other => return Some(other),
    }
    None
}
