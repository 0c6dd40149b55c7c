//! Parts of several threads.

use std::sync::mpsc;

use super::super::part_entry::HandOn;
use super::*;
use crate::identity::Identity;

/// A record of this number.
struct One(u64);

impl Entries for One {
    fn each(&self, hand_on: &mut HandOn<'_>) -> Result<(), OutputError> {
        hand_on(self.0, b"a row")
    }
}

fn logging(folder: &Path, writers: usize, options: CheckpointOptions) -> Logging {
    Logging {
        folder: folder.to_owned(),
        run: RunId::new(),
        options,
        done: Arc::default(),
        next: 1.into(),
        writers: NonZeroUsize::new(writers).unwrap(),
        reading: Arc::default(),
    }
}

fn manifest() -> Result<Manifest, Error> {
    Ok(Manifest::new(RunId::new(), Identity::default(), Vec::new()))
}

#[test]
fn no_thread_waits_for_the_checksums_of_inputs() {
    let folder = tempfile::tempdir().unwrap();
    // Every record fills a part, and is old at once.
    let options = CheckpointOptions::default().records(1).every(Duration::from_millis(1));
    let (release, hashed) = mpsc::channel();
    let begin = Box::new(move || hashed.recv().map_err(|_| panicked()).and_then(|()| manifest()));
    let log = Log::start(logging(folder.path(), 4, options), begin).unwrap();
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        let mut log = log;
        for number in 0..200 {
            log.keep(Box::new(One(number))).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        done.send(log).unwrap();
    });
    let log = finished.recv_timeout(Duration::from_secs(60)).expect("nothing waits for what is hashed");
    release.send(()).unwrap();
    let manifest = log.close().unwrap();
    assert_eq!(manifest.entries(), 200);
    let parts = manifest.parts.len();
    assert!((1..100).contains(&parts), "{parts} parts: they grow while none can be listed");
}

#[test]
#[should_panic(expected = "one thread writes what is computed and not finished")]
fn several_threads_take_nothing_that_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let logging = logging(folder.path(), 2, CheckpointOptions::default());
    let mut log = Log::start(logging, Box::new(manifest)).unwrap();
    let _ = log.keep_under_way(Box::new(One(0)));
}
