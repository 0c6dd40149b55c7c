//! Where a run's results go: into the output, and into the parts that another run could go on from.

use std::sync::Arc;

use serde_json::{Map, Value};
use virpack_seq::{IndexSet, Input, InputChecksum, ReadProgress};

use super::EmbedOptions;
use super::identity::{Known, Named};
use super::rows::Rows;
use crate::Error;
use crate::checkpoint::{Checkpoint, CompleteParts, Found, Parts, Resumed, describe};
use crate::identity::Identity;
use crate::model::checksum::Summing;
use crate::output::{self, CompleteOutput, EmbeddingWriter, Written};
use crate::runner::Finished;

/// The output, and the parts beside it.
pub(super) struct Results {
    out: EmbeddingWriter,
    parts: Option<Parts>,
    /// What a shard says at its beginning that it is of.
    shard: Option<Identity>,
    hidden: usize,
    /// Records that an earlier run has finished.
    pub(super) done: Arc<IndexSet>,
    /// Records written or skipped.
    pub(super) records: u64,
}

/// The output, whole and without its name.
pub(super) struct CompleteResults {
    out: CompleteOutput,
    /// What shapes the rows, and the parts.
    parts: Option<(Identity, CompleteParts)>,
}

impl Results {
    /// Opens the output, and keeps what is finished where something was `found`, if only an empty place; gives what an
    /// earlier run has finished, which is taken when its turn comes.
    pub(super) fn open(
        known: &Known<'_>,
        found: Option<Found>,
        files: Option<Summing>,
        token_budget: usize,
        reading: &Arc<ReadProgress>,
    ) -> Result<(Results, Option<Resumed>), Error> {
        let Known { options, config, .. } = *known;
        let mut identity = files.map(|files| known.identity(files)).transpose()?;
        let about = options.about(config, &known.sha256)?;
        let mut output = options.output(about.clone(), found.as_ref());
        let mut shard = None;
        if options.shard.is_some()
            && let Some(named) = identity.take()
        {
            // A shard says at its beginning what it is of.
            let named = named()?;
            output.shard = known.facts(&named, about);
            shard = Some(named.clone());
            identity = Some(Box::new(|| Ok(named)));
        }
        let names = output::names(&options.output, &output)?;
        let checkpoint = found.map(|found| found.take(&names)).transpose()?;
        let out = output::create(&options.output, config.hidden(), output)?;
        let hidden = config.hidden();
        let mut results = Results { out, parts: None, shard, hidden, done: Arc::default(), records: 0 };
        let kept = checkpoint.zip(identity);
        let resumed =
            kept.map(|(checkpoint, identity)| results.keep(checkpoint, identity, token_budget, reading));
        Ok((results, resumed.transpose()?))
    }

    /// Keeps what is finished from here on, and takes what an earlier run has finished when its turn comes. `identity`
    /// may take a while to know.
    fn keep(
        &mut self,
        checkpoint: Checkpoint,
        identity: Named,
        token_budget: usize,
        reading: &Arc<ReadProgress>,
    ) -> Result<Resumed, Error> {
        let (parts, earlier, resumed) =
            checkpoint.begin(identity, vec![token_budget], Arc::clone(reading))?;
        self.parts = Some(parts);
        self.records = resumed.saved.finished;
        if let Some(kept) = earlier.kept {
            self.done = Arc::clone(kept.done());
            self.out.go_on_from(kept);
        }
        Ok(resumed)
    }

    /// Takes what a runner yields, but for what it tells.
    pub(super) fn take(&mut self, finished: Finished) -> Result<(), Error> {
        if let Finished::Skipped(skipped) = &finished {
            self.records += skipped.len() as u64;
            return Ok(skipped.iter().try_for_each(|record| self.out.skip(record))?);
        }
        for (row, values) in finished.rows(self.hidden) {
            self.records += u64::from(!self.done.contains(row.record));
            self.out.write(row.clone(), values)?;
        }
        match &mut self.parts {
            Some(parts) => parts.keep(Rows { finished, hidden: self.hidden }),
            None => Ok(()),
        }
    }

    /// Makes the output whole, once each of `records` records is there and what was `read` of the inputs is what they were.
    pub(super) fn complete(
        self,
        records: u64,
        read: &[(Input, Option<InputChecksum>)],
    ) -> Result<CompleteResults, Error> {
        let out = self.out.complete(records)?;
        let is_right = |shard: Option<Identity>| shard.map_or(Ok(()), |shard| shard.check_read(read));
        let Some(parts) = self.parts else {
            is_right(self.shard)?;
            return Ok(CompleteResults { out, parts: None });
        };
        if let Err(taken) = out.check_names() {
            // Another process has taken a name. What is finished stays for a run that resumes, the open part too.
            drop(out);
            parts.interrupt()?;
            return Err(taken.into());
        }
        // Parts first: of an input that has changed they are removed.
        let parts = parts.complete(read)?;
        is_right(self.shard)?;
        Ok(CompleteResults { out, parts: Some(parts) })
    }

    /// Makes all that is finished safe, as the run ends before its input.
    pub(super) fn interrupt(self) -> Error {
        drop(self.out);
        let kept = self.parts.map_or(Ok(None), Parts::interrupt);
        kept.map_or_else(|error| error, |kept| Error::Interrupted { kept })
    }
}

impl CompleteResults {
    /// What the files hold.
    pub(super) fn written(&self) -> &Written {
        self.out.written()
    }

    /// Puts into a report what tells a run that is to go on that there is nothing left to do.
    pub(super) fn describe(&self, options: &EmbedOptions, report: &mut Map<String, Value>) {
        let identity = self.parts.as_ref().map(|(rows, _)| options.of_output(rows.clone()));
        describe(report, identity.as_ref(), &self.written().files);
    }

    /// Gives the files their names; the parts go.
    pub(super) fn publish(self, facts: &Map<String, Value>) -> Result<Written, Error> {
        let Some((_, parts)) = self.parts else { return Ok(self.out.publish(facts)?) };
        // Behind that, what stands there is ours.
        self.out.check_names()?;
        let checkpoint = parts.publishing()?;
        let written = self.out.publish(facts)?;
        checkpoint.remove();
        Ok(written)
    }
}
