//! What each thread of the process does: its time on a processor, as Linux counts it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often threads are looked at: a thread's last moments before it ends are not seen.
const EVERY: Duration = Duration::from_millis(50);

/// The stages of a run, in the order of a record's path, with the names of their threads as Linux shortens
/// them.
const STAGES: [(&str, &str); 11] = [
    ("reading", "virpack-reading"),
    ("translating, tokenizing", "virpack-framing"),
    ("numbering", "virpack-numberi"),
    ("parsing, tokenizing", "virpack-tokeniz"),
    ("their order", "virpack-orderin"),
    ("collating, packing", "virpack-collati"),
    ("devices' threads", "device "),
    ("scoring", "scoring"),
    ("order, rows", MAIN),
    ("writing the file", "writing file"),
    ("writing parts", "writing parts"),
];

/// The name that the first thread gets here, whatever the program's file is called.
const MAIN: &str = "main";

/// Looks at the threads of this process until it is stopped.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    looks: Arc<Mutex<Vec<Look>>>,
    thread: JoinHandle<()>,
}

/// Each thread's name and time on a processor, by its number.
type Threads = BTreeMap<u64, (String, Duration)>;

/// The threads at one time.
struct Look {
    at: Instant,
    threads: Threads,
}

/// What a stage took between two times.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// Its threads.
    pub(crate) threads: usize,
    /// The share of the time that its busiest thread was on a processor.
    pub(crate) busiest: f64,
    /// Processors that all its threads took.
    pub(crate) cores: f64,
}

impl Watch {
    /// Begins to look.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn({
            let (stop, looks) = (Arc::clone(&stop), Arc::clone(&looks));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let look = Look { at: Instant::now(), threads: threads() };
                    looks.lock().unwrap_or_else(PoisonError::into_inner).push(look);
                    std::thread::sleep(EVERY);
                }
            }
        })?;
        Ok(Watch { stop, looks, thread })
    }

    /// Ends, and gives each stage's share of the time between two moments.
    pub(crate) fn stages(self, begin: Instant, end: Instant) -> Vec<Stage> {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that looks does not panic; if it did, what it saw is there.
        let _ = self.thread.join();
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spent: BTreeMap<u64, (String, Duration, Duration)> = BTreeMap::new();
        for look in looks.iter().filter(|look| look.at <= end + EVERY) {
            for (thread, (name, time)) in &look.threads {
                let before = if look.at <= begin { *time } else { Duration::ZERO };
                let entry = spent.entry(*thread).or_insert_with(|| (name.clone(), before, *time));
                // A thread that begins has its parent's name for a moment.
                entry.0.clone_from(name);
                entry.1 = entry.1.max(before);
                entry.2 = *time;
            }
        }
        let elapsed = end.saturating_duration_since(begin).as_secs_f64();
        let share = |(_, before, after): &(String, Duration, Duration)| {
            after.saturating_sub(*before).as_secs_f64() / elapsed
        };
        let stage = |(name, thread): (&'static str, &str)| {
            let shares: Vec<f64> =
                spent.values().filter(|(name, ..)| name.starts_with(thread)).map(share).collect();
            Stage {
                name,
                threads: shares.len(),
                busiest: shares.iter().copied().fold(0.0, f64::max),
                cores: shares.iter().sum(),
            }
        };
        STAGES.into_iter().map(stage).filter(|stage| stage.threads > 0).collect()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.0} %", self.name, 100.0 * self.busiest)?;
        if self.threads > 1 { write!(f, " ({:.1})", self.cores) } else { Ok(()) }
    }
}

/// The threads of this process now; none where the system does not say.
fn threads() -> Threads {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let look = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let spent = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        let nanoseconds = spent.split_whitespace().next()?.parse().ok()?;
        let name = if number == u64::from(std::process::id()) { MAIN } else { name.trim_end() };
        Some((number, (name.to_owned(), Duration::from_nanos(nanoseconds))))
    };
    entries.filter_map(look).collect()
}
