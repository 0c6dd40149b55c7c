//! Writes a run's verdicts to tables in a directory.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use virpack_device::Device;

use virpack_seq::ReadProgress;

use super::files::Files;
use super::judges::Judges;
use super::kept_scores::KeptScores;
use super::pairing::{PairingStage, ScoredItem};
use super::tables::Tables;
use super::{PredictOptions, PredictSummary, identity, run_json};
use crate::Error;
use crate::event::Event;
use crate::files::NewDirectory;
use crate::output::{check_all, is_stdout};
use crate::resume::{Session, describe};

/// The tables of a run, in their directory.
pub(super) struct PredictOutput<'a> {
    options: &'a PredictOptions,
    tables: Tables<'a>,
    /// Whether existing tables may be replaced.
    replace: bool,
    /// Time spent writing.
    writing: Duration,
    // Last: dropped after what is inside it. Standard output has none.
    directory: Option<NewDirectory>,
}

impl<'a> PredictOutput<'a> {
    /// Creates the directory if it is missing, removes what a killed run has begun, opens the tables and
    /// starts to keep scores. Returns the output and the store of scores.
    pub(super) fn create<B: Device + 'static>(
        options: &'a PredictOptions,
        judges: &mut Judges<B>,
        mut session: Session,
        reading: Arc<ReadProgress>,
        on_event: &mut impl FnMut(Event),
    ) -> Result<(Self, KeptScores), Error> {
        let replace = options.force || session.replaces();
        let make = || NewDirectory::create(&options.output);
        let directory = (!is_stdout(&options.output)).then(make).transpose()?;
        session.take(&Files::in_directory(&options.output).begun())?;
        let inputs = session.is_kept().then(|| options.hash_inputs()).transpose()?;
        let tables = Tables::create(options, judges.frames.length.get())?;
        let budgets = judges.token_budgets();
        let tokens = budgets.iter().map(|budget| budget.tokens).collect();
        let identity = inputs.map(|inputs| identity::with_inputs(judges.identity.clone(), inputs));
        let begin = |identity| session.begin(identity, tokens, reading, NonZeroUsize::MIN);
        let resumed = identity.map(begin).transpose()?.flatten();
        let every = options.checkpoint.map_or(Duration::MAX, |checkpoint| checkpoint.every);
        let ready = Event::ready(judges.device_names(), judges.faster_dtype(), budgets);
        [ready].into_iter().chain(resumed.map(Event::Kept)).for_each(on_event);
        let output = PredictOutput { options, tables, replace, writing: Duration::ZERO, directory };
        Ok((output, KeptScores::open(session, every)))
    }

    /// Writes judged items, in input order.
    pub(super) fn write(&mut self, done: Vec<ScoredItem>) -> Result<(), Error> {
        self.writing += self.tables.write_all(done)?;
        Ok(())
    }

    /// Completes all tables and renames them, `run.json` last; then removes the parts.
    pub(super) fn finish<B: Device + 'static>(
        self,
        judges: &Judges<B>,
        pairing: PairingStage,
        elapsed: Duration,
    ) -> Result<PredictSummary, Error> {
        let (options, replace) = (self.options, self.replace);
        let mut predicted = PredictSummary::new(&pairing, &self.tables, self.writing, elapsed);
        let report = run_json::of(options, &judges.frames, &judges.device_names(), &predicted, &judges.files);
        predicted.report = report;
        let session = pairing.finish();
        let names = Files::in_directory(&options.output);
        let has_names = self.directory.is_some();
        let check = || if has_names { check_all(names.all(), replace) } else { Ok(()) };
        if let Err(taken) = check() {
            // Another process has taken a name. The finished parts, and the open one, stay for a run that
            // resumes.
            return Err(session.end_with(taken.into()));
        }
        let session = session.complete(&predicted.inputs)?;
        let identity =
            session.identity().map(|scores| options.of_tables(scores.clone(), judges.frames.length.get()));
        describe(&mut predicted.report, identity.as_ref(), &self.tables.names());
        self.tables.calls.tell_plots(&mut predicted.report);
        let Some(complete) = self.tables.complete(&predicted.report)? else { return Ok(predicted) };
        // From here on, existing files are this run's.
        check()?;
        session.publish(|| {
            complete.publish(replace)?;
            self.directory.into_iter().for_each(NewDirectory::keep);
            Ok::<_, Error>(())
        })?;
        Ok(predicted)
    }
}
