//! Checks whether a part exists and is valid.

use parking_lot::Mutex;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;

use virpack_seq::shown_path;
use virpack_store::StoreError;

use super::Plan;
use super::part_report::PartReport;
use super::planned::PlannedPart;
use crate::files::{place, sha256_of};

/// The most bytes of a part's report: each skipped record takes about a hundred.
const LARGEST: u64 = 2_000_000_000;

/// The most parts that are looked at once.
const AT_ONCE: usize = 8;

/// How closely a part is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// By its size only: it got its name only when it was complete.
    Size,
    /// By all of its bytes.
    Bytes,
}

/// The problem of a part.
#[derive(Debug)]
pub(crate) enum PartProblem {
    /// It was not made, or one of its files is missing.
    Missing,
    /// It was changed after it was written.
    Torn(String),
    /// It belongs to another plan, or was computed in another way than the others.
    Foreign(String),
    /// A file of it cannot be read.
    Unreadable(String),
    /// Its state is not known, because a store does not answer or fails.
    NoAnswer {
        /// The file that was read.
        path: PathBuf,
        /// The store's error.
        source: io::Error,
    },
}

impl fmt::Display for PartProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartProblem::Missing => f.write_str("missing"),
            PartProblem::Torn(what) => write!(f, "torn: {what}"),
            PartProblem::Foreign(what) => write!(f, "foreign: {what}"),
            PartProblem::Unreadable(what) => write!(f, "cannot be read: {what}"),
            PartProblem::NoAnswer { path, source } => {
                write!(f, "cannot be read: {}: {source}", shown_path(path))
            }
        }
    }
}

impl Plan {
    /// Returns the state of every part, in order, several at once.
    pub(super) fn states(&self, look: Look) -> Vec<(u64, Result<PartReport, PartProblem>)> {
        let (next, states) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(part) = self.parts().get(next.fetch_add(1, Relaxed)) {
                let state = self.state(part, look);
                states.lock().push((part.number, state));
            }
        };
        // A disk needs a thread for each core; a store, which answers late, more.
        let cores = match place::url_of(&self.directory) {
            None => available_parallelism().map_or(1, usize::from).min(AT_ONCE),
            Some(_) => AT_ONCE,
        };
        std::thread::scope(|scope| {
            // If the system starts no more threads, this thread does their work.
            for _ in 1..cores.min(self.parts().len()) {
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut states = states.into_inner();
        states.sort_by_key(|(number, _)| *number);
        states
    }

    /// Returns the report of a part that exists and is valid.
    pub(super) fn state(&self, part: &PlannedPart, look: Look) -> Result<PartReport, PartProblem> {
        let (path, report_path) = (self.part_path(part.number), self.report_path(part.number));
        let written = place::read(&report_path, LARGEST).map_err(|error| unreadable(&report_path, error))?;
        let Some(report) = PartReport::of_json(&written, part.range.source) else {
            return Err(PartProblem::Torn(format!("{} is not as it was written", shown_path(&report_path))));
        };
        if report.plan != self.name {
            return Err(PartProblem::Foreign(format!("it is of another plan, {}", report.plan)));
        }
        if report.number != part.number || report.records != part.range.records {
            let PartReport { number, records, .. } = report;
            let what = format!("{} is of part {number}, of {records} records", shown_path(&report_path));
            return Err(PartProblem::Foreign(what));
        }
        if report.scored.is_some() != self.rows().is_err() {
            return Err(PartProblem::Torn(format!("{} is of another command", shown_path(&report_path))));
        }
        let skipped = report.skipped.len() as u64;
        if report.rows + skipped != report.records {
            let what = format!("{} rows and {skipped} skipped of {} records", report.rows, report.records);
            return Err(PartProblem::Torn(what));
        }
        let (bytes, mut file) = place::open(&path).map_err(|error| unreadable(&path, error))?;
        if bytes != report.bytes {
            let what =
                format!("{} has {bytes} bytes, and was written with {}", shown_path(&path), report.bytes);
            return Err(PartProblem::Torn(what));
        }
        if look == Look::Bytes {
            let found = sha256_of(&mut file).map_err(|error| unreadable(&path, error))?;
            if found != report.sha256 {
                let what = format!(
                    "{} has SHA-256 {found}, and was written with {}",
                    shown_path(&path),
                    report.sha256
                );
                return Err(PartProblem::Torn(what));
            }
        }
        Ok(report)
    }
}

/// Returns the problem of a part with a file that cannot be read. A part that a store does not return now
/// may well exist.
fn unreadable(path: &Path, error: io::Error) -> PartProblem {
    match (error.kind(), StoreError::of_io(&error)) {
        (ErrorKind::NotFound, _) => PartProblem::Missing,
        (_, None | Some(StoreError::Refused { .. } | StoreError::Changed)) => {
            PartProblem::Unreadable(format!("{}: {error}", shown_path(path)))
        }
        _ => PartProblem::NoAnswer { path: path.into(), source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_has_no_missing_parts() {
        let of = |error: StoreError| unreadable(Path::new("s3://b/plan/part"), error.into_io());
        assert!(matches!(of(StoreError::NoObject), PartProblem::Missing));
        assert!(matches!(of(StoreError::Changed), PartProblem::Unreadable(_)));
        for error in [
            StoreError::Network { reason: "reset".into() },
            StoreError::Certificate { reason: "expired".into() },
            StoreError::Other { reason: "SlowDown".into() },
        ] {
            assert!(matches!(of(error), PartProblem::NoAnswer { .. }));
        }
    }
}
