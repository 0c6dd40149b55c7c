//! Where a run's results go: into tables, and into the parts that another run could go on from.

use std::sync::Arc;
use std::time::Duration;

use virpack_seq::ReadProgress;

use super::files::Files;
use super::identity::Known;
use super::scores::KeptScores;
use super::tables::Tables;
use super::{PredictOptions, Predicted};
use crate::Error;
use crate::checkpoint::{Checkpoint, CompleteParts, Found, Resumed, describe};
use crate::files::NewDirectory;
use crate::output::{check_all, is_stdout};
use virpack_model::checksum::Summing;

/// The tables in their directory, and the place of the parts.
pub(super) struct Results<'a> {
    options: &'a PredictOptions,
    pub(super) tables: Tables<'a>,
    /// Older tables give way: that is asked for, or they are those of a run that was killed as it named them.
    replace: bool,
    keeping: Option<(Checkpoint, Summing)>,
    // Last: it goes when what is in it is gone. None: standard output has none.
    folder: Option<NewDirectory>,
}

impl<'a> Results<'a> {
    /// Makes the directory where it is missing, takes out of it what a killed run has begun, and opens the tables.
    pub(super) fn open(options: &'a PredictOptions, found: Option<Found>) -> Result<Self, Error> {
        let replace = options.replaces(found.as_ref());
        let folder =
            (!is_stdout(&options.output)).then(|| NewDirectory::create(&options.output)).transpose()?;
        let begun = Files::in_directory(&options.output).begun();
        let keep = |found: Found| Ok::<_, Error>((found.take(&begun)?, options.sum_inputs()?));
        let keeping = found.map(keep).transpose()?;
        Ok(Results { options, tables: Tables::create(options)?, replace, keeping, folder })
    }

    /// The scores that an earlier run has kept, and the place of those to come, where they are kept.
    pub(super) fn keep(
        &mut self,
        known: &Known<'_>,
        token_budgets: [Option<usize>; 2],
        reading: Arc<ReadProgress>,
    ) -> Result<(KeptScores, Option<Resumed>), Error> {
        let Some((checkpoint, inputs)) = self.keeping.take() else { return Ok((KeptScores::none(), None)) };
        let token_budgets = token_budgets.into_iter().flatten().collect();
        let every = self.options.checkpoint.map_or(Duration::MAX, |checkpoint| checkpoint.every);
        let begun = checkpoint.begin(known.identity(inputs), token_budgets, reading)?;
        let (scores, resumed) = KeptScores::open(begun, every);
        Ok((scores, Some(resumed)))
    }

    /// Makes all tables whole and gives them their names, `run.json`, which holds the report, last; the parts go. The report
    /// says to a run that resumes that nothing is left to do.
    pub(super) fn finish(self, predicted: &mut Predicted, scores: KeptScores) -> Result<(), Error> {
        let names = Files::in_directory(&self.options.output);
        let free = match self.folder {
            Some(_) => check_all(names.all().into_iter(), self.replace),
            // Standard output has no names.
            None => Ok(()),
        };
        if let Err(taken) = free {
            // Another process has taken a name. What is finished stays for a run that resumes, the open part too.
            return Err(scores.keep_all(taken.into()));
        }
        let (identity, parts) = scores.complete(&predicted.inputs)?.unzip();
        let report = &mut predicted.report;
        let identity = identity.map(|scores| self.options.of_tables(scores));
        describe(report, identity.as_ref(), &self.tables.names());
        let Some(whole) = self.tables.complete(report)? else { return Ok(()) };
        // Behind that, what stands there is ours.
        check_all(names.all().into_iter(), self.replace)?;
        let checkpoint = parts.map(CompleteParts::publishing).transpose()?;
        whole.publish(self.replace)?;
        self.folder.into_iter().for_each(NewDirectory::keep);
        checkpoint.into_iter().for_each(Checkpoint::remove);
        Ok(())
    }
}
