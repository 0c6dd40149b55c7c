//! Judges a finished run of `predict` again without computing it: all files that are derived from its
//! scores are made from `frames.tsv`, `chunks.tsv` and the facts of records in `sequences.tsv`.
//!
//! They are equal, byte for byte, to the files of a run of `predict` with the same options.
//!
//! ```
//! use virpack_core::CancelToken;
//! use virpack_core::model::mini;
//! use virpack_core::predict::{Bundle, PredictOptions, predict};
//! use virpack_core::report::{FinishedRun, ReportOptions, report};
//! use virpack_core::verdict::CallThresholds;
//!
//! # let folder = tempfile::tempdir()?;
//! let directory = folder.path().join("verdicts");
//! let built_in = Bundle::open(&mini::location())?;
//! let inputs = vec!["../../examples/contigs.fasta".into()];
//! let options = PredictOptions::with_bundle(inputs, &built_in, None, &directory);
//! predict(&options, &CancelToken::new(), |_event| ())?;
//!
//! let run = FinishedRun::open(&directory)?;
//! let options = ReportOptions::of(&run).calls(run.calls().thresholds(CallThresholds::STRICT));
//! let judged = report(&run, &options)?;
//! assert_eq!(judged.calls.counts.records, 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod comparison;
mod error;
mod evidence;
mod letters;
mod options;
mod own_files;
mod run;
mod table;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::Error;
use crate::calls::{CallOptions, CallSummary, CallTables, JudgedRecord, RecordFacts, judge};
use crate::files::StagedFiles;
use crate::html::Summary;
use crate::identity::Identity;
use crate::output::{OutputError, about};
use crate::predict::Files;
use crate::resume::{Remake, describe};
pub use comparison::{check_comparison, compare};
pub use error::ReportError;
use error::ReportProblem;
use evidence::EvidenceTables;
use letters::Letters;
pub use options::ReportOptions;
use own_files::OwnFiles;
pub use run::FinishedRun;

/// The results of a report.
#[derive(Clone, Debug)]
pub struct ReportSummary {
    /// The summary of the calls.
    pub calls: CallSummary,
    /// All files of the run, and the directory of plots.
    pub files: Vec<PathBuf>,
    /// The time that it took.
    pub elapsed: Duration,
    /// The contents of `run.json`.
    pub run_json: Map<String, Value>,
    /// The numbers for a comparison of runs.
    pub(crate) page: Summary,
}

/// What happens to `viral.fna` and `proviruses.fna`.
enum Sequences {
    /// They belong to the same calls, and stay.
    Stay,
    /// They are written again.
    Read(Box<Letters>),
    /// They are removed if one record has other sequences in them than before.
    Go {
        /// Whether there is such a record.
        change: bool,
    },
}

/// Judges a finished run again, and replaces all files that are derived from its scores. Only files that the
/// run or an earlier report has written are replaced or removed. Nothing else changes: if the process is
/// killed, the directory can still be judged again.
///
/// ```
/// use virpack_core::report::{FinishedRun, ReportOptions, report};
/// use virpack_core::verdict::ContigRule;
///
/// # use virpack_core::CancelToken;
/// # use virpack_core::model::mini;
/// # use virpack_core::predict::{Bundle, PredictOptions, predict};
/// # let folder = tempfile::tempdir()?;
/// # let directory = folder.path().join("verdicts");
/// # let built_in = Bundle::open(&mini::location())?;
/// # let inputs = vec!["../../examples/contigs.fasta".into()];
/// # let options = PredictOptions::with_bundle(inputs, &built_in, None, &directory);
/// # predict(&options, &CancelToken::new(), |_event| ())?;
/// let run = FinishedRun::open(&directory)?;
/// report(&run, &ReportOptions::of(&run).calls(run.calls().contigs(ContigRule::default())))?;
/// assert!(directory.join("contigs.tsv").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`ReportError`] if a table or an input has changed since the run, or if a file that the run did not write
/// has one of the names; [`crate::ResumeError`] if another process writes into the directory; an error if a
/// file cannot be written.
pub fn report(run: &FinishedRun, options: &ReportOptions) -> Result<ReportSummary, Error> {
    let start = Instant::now();
    let files = Files::in_directory(&run.directory);
    options.calls.check()?;
    let remake = Remake::take(&run.directory, &files.begun())?;
    let mut sequences = Sequences::of(run, options, &files, remake.is_torn())?;
    let mut evidence = EvidenceTables::open(&files, &run.inputs)?;
    let own = OwnFiles::of(run, remake.is_torn());
    let has_letters = matches!(sequences, Sequences::Read(_));
    let mut tables =
        CallTables::create(&run.directory, &run.inputs, &options.calls, &run.scoring, has_letters)?;
    own.check(tables.names().iter().filter(|path| **path != files.calls.plots))?;
    if tables.names().contains(&files.calls.plots) {
        own.check_directory(&files.calls.plots)?;
    }
    while let Some((facts, chunks)) = evidence.next()? {
        if !sequences.read(&facts)? {
            return Err(evidence.not_of_input().into());
        }
        let record = judge(facts, chunks, &options.calls, &run.scoring);
        tables.add(&record, sequences.letters())?;
        sequences.compare(run, &record);
    }
    let mut names = tables.names();
    names.extend([files.frames.clone(), files.run_json.clone()]);
    let letters = files.calls.letters().map(Path::to_path_buf);
    let stale = match sequences {
        Sequences::Read(letters) => {
            if !letters.finish()? {
                return Err(evidence.lacks_rows().into());
            }
            None
        }
        Sequences::Stay | Sequences::Go { change: false } => {
            names.extend(letters);
            None
        }
        Sequences::Go { change: true } => Some(letters),
    };
    names.sort();
    let calls = tables.summary();
    let identity = run.identity().map(|mut identity| {
        options.calls.identify(&run.scoring, &mut identity);
        identity
    });
    own.check_plots(&files.calls.plots, tables.plots())?;
    let mut run_json = told(run, &options.calls, &calls, identity.as_ref(), &names);
    tables.tell_plots(&mut run_json);
    let Some(mut complete) = tables.complete(&run_json)? else {
        return Err(run::of_standard_output());
    };
    complete.stale.extend(stale.into_iter().flatten());
    complete.stale.retain(|path| own.has(path));
    let page = complete.page.clone();
    let main = about::write_run(&files.run_json, &run_json, &complete.whole)?;
    remake.publish(identity.unwrap_or_default(), || {
        complete.publish_plots(|name| own.has_plot(name))?;
        let sides = std::mem::take(&mut complete.whole);
        Ok(StagedFiles { main, sides }.publish_over(&complete.stale).map_err(OutputError::from)?)
    })?;
    Ok(ReportSummary { calls, files: names, elapsed: start.elapsed(), run_json, page })
}

/// Returns `run.json` after these calls.
fn told(
    run: &FinishedRun,
    options: &CallOptions,
    calls: &CallSummary,
    identity: Option<&Identity>,
    names: &[PathBuf],
) -> Map<String, Value> {
    let mut facts = run.facts.clone();
    let mut part = |name: &str, tell: &dyn Fn(&mut Map<String, Value>)| {
        facts.get_mut(name).and_then(Value::as_object_mut).into_iter().for_each(tell);
    };
    part("options", &|own| options.tell(own));
    part("counts", &|counts| calls.tell(counts));
    describe(&mut facts, identity, names);
    facts
}

impl Sequences {
    /// Decides what happens to them. `is_torn` says whether they may belong to other calls than those in
    /// `run.json`.
    fn of(run: &FinishedRun, options: &ReportOptions, files: &Files, is_torn: bool) -> Result<Self, Error> {
        let are_there = files.calls.letters().iter().all(|path| path.exists());
        if !is_torn && are_there && run.calls().thresholds == options.calls.thresholds {
            return Ok(Sequences::Stay);
        }
        if !options.sequences {
            return Ok(Sequences::Go { change: is_torn || !are_there });
        }
        Ok(Sequences::Read(Box::new(Letters::open(run, options.limits)?)))
    }

    /// Reads the letters of the next record, if they are needed. Returns false if the inputs are those of the
    /// run and have another record there.
    fn read(&mut self, facts: &RecordFacts) -> Result<bool, Error> {
        match self {
            Sequences::Read(letters) => letters.read(facts),
            Sequences::Stay | Sequences::Go { .. } => Ok(true),
        }
    }

    /// Returns the letters of the record, if they are needed.
    fn letters(&self) -> &[u8] {
        match self {
            Sequences::Read(letters) => letters.letters(),
            Sequences::Stay | Sequences::Go { .. } => &[],
        }
    }

    /// Notes whether a record has the same sequences in the files as by the calls of the run.
    fn compare(&mut self, run: &FinishedRun, record: &JudgedRecord) {
        if let Sequences::Go { change: change @ false } = self {
            let JudgedRecord { facts, chunks, .. } = record.clone();
            *change = !judge(facts, chunks, &run.calls(), &run.scoring).has_sequences_of(record);
        }
    }
}
