//! The files that follow from scores: a judged record after the other goes in, in input order. Standard
//! output gets the table of records alone.

use std::path::{Path, PathBuf};

use virpack_seq::Input;

use super::best::BestRecords;
use super::counts::Counts;
use super::files::CallFiles;
use super::judged::JudgedRecord;
use super::options::CallOptions;
use super::plots::{Plots, is_plot};
use super::proviruses::{Proviruses, write_fasta};
use super::score_text::{NONE, ScoreText, decimal};
use super::scores::Scores;
use super::track::Draw;
use crate::files::{PendingDirectory, PendingFile, clear};
use crate::output::{DuplicateFinder, OutputError, RepeatedIds, TextFile, TextTable, is_stdout};
use crate::verdict::{Call, Region};

/// The files that follow from scores, on their way into their directory.
pub(crate) struct CallTables {
    /// The inputs by name, where there are several.
    sources: Vec<String>,
    sequences: TextTable,
    /// None: `sequences` is standard output, and there are no others.
    others: Option<SideFiles>,
    pub(crate) counts: Counts,
    pub(crate) best: BestRecords,
    ids: DuplicateFinder,
}

/// The files beside the table of records.
struct SideFiles {
    files: CallFiles,
    options: CallOptions,
    regions: TextTable,
    viral: TextFile,
    proviruses: Proviruses,
    plots: Option<Plots>,
}

/// Files that are whole and have no names yet.
pub(crate) struct CompleteCalls {
    pub(crate) whole: Vec<PendingFile>,
    plots: Option<PendingDirectory>,
    files: CallFiles,
}

impl CallTables {
    /// Opens all files in `directory` under temporary names, or one to standard output where that is `-`;
    /// `draw` draws so many records at most.
    pub(crate) fn create(
        directory: &Path,
        inputs: &[Input],
        options: CallOptions,
        draw: Option<(Draw, usize)>,
    ) -> Result<Self, OutputError> {
        let names = inputs.iter().map(ToString::to_string);
        let sources: Vec<String> = if inputs.len() > 1 { names.collect() } else { Vec::new() };
        let has_sources = !sources.is_empty();
        let files = (!is_stdout(directory)).then(|| CallFiles::in_directory(directory));
        let others = files.map(|files| SideFiles::create(files, has_sources, options, draw)).transpose()?;
        let path = others.as_ref().map_or(directory, |others| &others.files.sequences);
        Ok(CallTables {
            sequences: table(
                path,
                has_sources,
                "sequence_id source description length chunks chunks_classified chunks_viral viral_fraction \
                 virus_score call is_virus fdr max_score_other max_score_virus status",
            )?,
            others,
            counts: Counts::default(),
            best: BestRecords::default(),
            ids: DuplicateFinder::default(),
            sources,
        })
    }

    /// The inputs by name, where there are several.
    pub(crate) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Ids that came twice so far.
    pub(crate) fn repeated(&self) -> RepeatedIds {
        self.ids.repeated()
    }

    /// Writes the rows and sequences of a record with these letters.
    pub(crate) fn add(&mut self, record: &JudgedRecord, letters: &[u8]) -> Result<(), OutputError> {
        self.ids.add(&record.id);
        self.counts.add(record);
        self.best.add(record);
        let own = record_columns(&record.id, record.source, &self.sources);
        let tally = &record.tally;
        let mut row = own.clone();
        row.extend([record.description.clone(), record.length.to_string()]);
        row.extend([tally.chunks, tally.classified, tally.viral].map(|count| count.to_string()));
        row.extend([tally.fraction(), record.score.map(|score| score.score)].map(decimal));
        row.push(record.call.map_or(NONE, Call::as_str).to_owned());
        row.push(truth(record.call.map(|call| call == Call::Viral)).to_owned());
        row.push(decimal(record.fdr));
        let highest = tally.highest.map(|highest| highest.both().map(f64::from));
        row.extend([0, 1].map(|class| decimal(highest.map(|both| both[class]))));
        row.push(record.status.as_str().to_owned());
        self.sequences.line(&row)?;
        self.others.as_mut().map_or(Ok(()), |others| others.add(record, own, letters))
    }

    /// Hands on to a reader of standard output the rows that are written so far.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.sequences.flush()
    }

    /// The files that stand there in the end, and the directory of plots.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        let Some(SideFiles { files, plots, .. }) = &self.others else { return Vec::new() };
        let plots = plots.as_ref().map(|_| files.plots.clone());
        files.all().into_iter().map(Path::to_owned).chain(plots).collect()
    }

    /// Makes all files whole. None where all went to standard output.
    pub(crate) fn complete(self) -> Result<Option<CompleteCalls>, OutputError> {
        let sequences = self.sequences.finish()?;
        let Some(SideFiles { files, regions, viral, proviruses, plots, .. }) = self.others else {
            return Ok(None);
        };
        let proviruses = proviruses.finish()?;
        let plots = plots.map(|plots| plots.finish(&files.plots)).transpose()?;
        let whole = [sequences, regions.finish()?, viral.finish()?].into_iter().chain(proviruses);
        let whole = whole.flatten().collect();
        Ok(Some(CompleteCalls { whole, plots, files }))
    }
}

impl SideFiles {
    fn create(
        files: CallFiles,
        has_sources: bool,
        options: CallOptions,
        draw: Option<(Draw, usize)>,
    ) -> Result<Self, OutputError> {
        let plots = |(draw, most)| Plots::create(&files.plots, draw, most);
        Ok(SideFiles {
            regions: table(
                &files.regions,
                has_sources,
                "sequence_id source region kind start end chunks chunks_viral score mean_score_virus record",
            )?,
            viral: TextFile::create(&files.viral)?,
            proviruses: Proviruses::create(&files)?,
            plots: draw.map(plots).transpose()?,
            options,
            files,
        })
    }

    fn add(&mut self, record: &JudgedRecord, own: Vec<String>, letters: &[u8]) -> Result<(), OutputError> {
        if record.call == Some(Call::Viral) {
            write_fasta(&mut self.viral, &record.id, &record.description, letters)?;
        }
        for (number, region) in (1_u64..).zip(&record.regions) {
            let row = own.iter().cloned().chain(region_columns(record, number, region, &self.options));
            self.regions.line(&row.collect::<Vec<_>>())?;
        }
        if let Some(plots) = &mut self.plots {
            plots.add(record);
        }
        self.proviruses.add(record, letters)
    }
}

impl CompleteCalls {
    /// Gives the plots their place, before the other files have theirs; with `replace`, those of another run
    /// go.
    pub(crate) fn publish_plots(&mut self, replace: bool) -> Result<(), OutputError> {
        match self.plots.take() {
            Some(plots) => plots.publish(is_plot)?,
            // Remove the plots of another run: they do not belong to these tables.
            None if replace => clear(&self.files.plots, is_plot)?,
            None => {}
        }
        Ok(())
    }
}

/// Opens a table with these columns, without `source` unless there are several inputs.
pub(crate) fn table(path: &Path, has_sources: bool, columns: &str) -> Result<TextTable, OutputError> {
    let columns = columns.split(' ').filter(|column| *column != "source" || has_sources);
    let mut table = TextTable::create(path)?;
    table.line(&columns.collect::<Vec<_>>())?;
    Ok(table)
}

/// The first columns of every row of a record.
pub(crate) fn record_columns(id: &str, source: u32, sources: &[String]) -> Vec<String> {
    [Some(id.to_owned()), sources.get(source as usize).cloned()].into_iter().flatten().collect()
}

/// As VirNucPro's own files say it.
pub(crate) fn truth(verdict: Option<bool>) -> &'static str {
    verdict.map_or(NONE, |verdict| if verdict { "True" } else { "False" })
}

/// The exact scores, other and virus.
pub(crate) fn score_columns(highest: Option<Scores>) -> [String; 2] {
    let both = highest.map(ScoreText::both);
    both.map_or([NONE; 2].map(str::to_owned), |both| both.map(|score| score.to_string()))
}

fn region_columns(record: &JudgedRecord, number: u64, region: &Region, options: &CallOptions) -> [String; 9] {
    let judged = record.chunks_of(region).iter().filter_map(|chunk| chunk.highest());
    let (count, sum) =
        judged.clone().fold((0.0, 0.0), |(n, sum), highest| (n + 1.0, sum + f64::from(highest.virus)));
    let viral = judged.filter(|highest| options.is_viral(*highest)).count();
    [
        number.to_string(),
        region.kind.as_str().to_owned(),
        (region.bases.start + 1).to_string(),
        region.bases.end.to_string(),
        region.chunks.to_string(),
        viral.to_string(),
        decimal(Some(region.score)),
        decimal(Some(sum / count)),
        record.index.to_string(),
    ]
}

#[cfg(test)]
mod tests;
