//! Where a run's results go: into tables, and into the parts that another run could go on from.

use std::time::Duration;

use serde_json::{Map, Value};

use super::PredictOptions;
use super::files::Files;
use super::identity::Known;
use super::scores::KeptScores;
use super::tables::Tables;
use crate::Error;
use crate::checkpoint::{Checkpoint, CompleteParts, Found, Resumed, describe};
use crate::model::checksum::Summing;
use crate::output::{Folder, check_all};

/// The tables in their directory, and the place of the parts.
pub(super) struct Results<'a> {
    options: &'a PredictOptions,
    pub(super) tables: Tables<'a>,
    /// Older tables give way: that is asked for, or they are those of a run that was killed as it named them.
    replace: bool,
    keeping: Option<(Checkpoint, Summing)>,
    // Last: it goes when what is in it is gone.
    folder: Folder,
}

impl<'a> Results<'a> {
    /// Makes the directory where it is missing, takes out of it what a killed run has begun, and opens the tables.
    pub(super) fn open(options: &'a PredictOptions, found: Option<Found>) -> Result<Self, Error> {
        let replace = options.replaces(found.as_ref());
        let folder = Folder::create(&options.output)?;
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
    ) -> Result<(KeptScores, Option<Resumed>), Error> {
        let Some((checkpoint, inputs)) = self.keeping.take() else { return Ok((KeptScores::none(), None)) };
        let token_budgets = token_budgets.into_iter().flatten().collect();
        let every = self.options.checkpoint.map_or(Duration::MAX, |checkpoint| checkpoint.every);
        let (scores, resumed) = KeptScores::open(checkpoint, known.identity(inputs), token_budgets, every)?;
        Ok((scores, Some(resumed)))
    }

    /// Makes all tables whole and gives them their names, `run.json`, which holds `report`, last; the parts go. The report is
    /// told what says to a run that is to go on that there is nothing left to do.
    pub(super) fn finish(self, report: &mut Map<String, Value>, scores: KeptScores) -> Result<(), Error> {
        let names = Files::in_directory(&self.options.output);
        if let Err(taken) = check_all(names.all().into_iter(), self.replace) {
            // Another process has taken a name. What is finished stays for a run that resumes, the open part too.
            return Err(scores.keep_all(taken.into()));
        }
        let (identity, parts) = scores.complete()?.unzip();
        let identity = identity.map(|scores| self.options.of_tables(scores));
        describe(report, identity.as_ref(), &self.tables.names());
        let whole = self.tables.complete(report)?;
        // Behind that, what stands there is ours.
        check_all(names.all().into_iter(), self.replace)?;
        let checkpoint = parts.map(CompleteParts::publishing).transpose()?;
        whole.publish(self.replace)?;
        self.folder.keep();
        checkpoint.into_iter().for_each(Checkpoint::remove);
        Ok(())
    }
}
