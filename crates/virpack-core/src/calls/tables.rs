//! Writes the files that are derived from scores, from one judged record after another, in input order.
//! Standard output gets only the table of records.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use virpack_seq::Input;

use super::best::BestRecords;
use super::chunk_table::ChunkTable;
use super::contigs::ContigTable;
use super::counts::Counts;
use super::files::CallFiles;
use super::judged::JudgedRecord;
use super::options::CallOptions;
use super::page::CallPage;
use super::plots::Plots;
use super::proviruses::{Proviruses, write_fasta};
use super::score_text::{NONE, decimal};
use super::scoring::RecordScoring;
use super::summary::CallSummary;
use super::table::{record_columns, source_names, table, truth};
use super::virnucpro::VirNucProFiles;
use crate::Error;
use crate::files::{PendingDirectory, PendingFile, clear};
use crate::html;
use crate::output::about::PLOTS;
use crate::output::{DuplicateFinder, OutputError, TextFile, TextTable, is_stdout};
use crate::verdict::{Call, RecordCalibration, Region};

/// The files that are derived from scores, in progress.
pub(crate) struct CallTables {
    /// The names of the inputs, if there are several.
    sources: Vec<String>,
    sequences: TextTable,
    /// None: `sequences` is standard output, and there are no other files.
    others: Option<SideFiles>,
    counts: Counts,
    best: BestRecords,
    ids: DuplicateFinder,
}

/// The files beside the table of records.
struct SideFiles {
    files: CallFiles,
    options: CallOptions,
    chunks: ChunkTable,
    regions: TextTable,
    /// None: the existing file belongs to the same calls, or is removed.
    viral: Option<TextFile>,
    proviruses: Proviruses,
    virnucpro: Option<VirNucProFiles>,
    contigs: Option<ContigTable>,
    calibration: Option<RecordCalibration>,
    page: CallPage,
    plots: Option<Plots>,
}

/// Files that are complete and not yet named.
pub(crate) struct CompleteCalls {
    pub(crate) whole: Vec<PendingFile>,
    /// Files of other calls, which are removed.
    pub(crate) stale: Vec<PathBuf>,
    /// The numbers of the page.
    pub(crate) page: html::Summary,
    plots: Option<PendingDirectory>,
    files: CallFiles,
}

impl CallTables {
    /// Opens all files in `directory` under temporary names, or one to standard output if `directory` is
    /// `-`. The files of sequences are written only if the letters are available.
    pub(crate) fn create(
        directory: &Path,
        inputs: &[Input],
        options: &CallOptions,
        scoring: &RecordScoring,
        has_letters: bool,
    ) -> Result<Self, OutputError> {
        let sources = source_names(inputs);
        let has_sources = !sources.is_empty();
        let files = (!is_stdout(directory)).then(|| CallFiles::in_directory(directory));
        let create = |files| SideFiles::create(files, has_sources, options, scoring, has_letters);
        let others = files.map(create).transpose()?;
        let path = others.as_ref().map_or(directory, |others| &others.files.sequences);
        const COLUMNS: &str = "sequence_id source description length chunks chunks_classified chunks_viral \
            viral_fraction virus_score call is_virus fdr max_score_other max_score_virus status";
        Ok(CallTables {
            sequences: table(path, has_sources, COLUMNS)?,
            others,
            counts: Counts::default(),
            best: BestRecords::default(),
            ids: DuplicateFinder::default(),
            sources,
        })
    }

    /// Returns the names of the inputs, if there are several.
    pub(crate) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Returns the summary of the calls so far.
    pub(crate) fn summary(&self) -> CallSummary {
        CallSummary {
            counts: self.counts,
            repeated: self.ids.repeated(),
            best_viral: self.best.viral.clone(),
            best_uncertain: self.best.uncertain.clone(),
        }
    }

    /// Writes the rows of a record, and its sequences from its `letters`.
    pub(crate) fn add(&mut self, record: &JudgedRecord, letters: &[u8]) -> Result<(), OutputError> {
        self.ids.add(&record.facts.id);
        self.counts.add(record);
        self.best.add(record);
        let facts = &record.facts;
        let tally = &record.tally;
        let mut row = record_columns(&facts.id, facts.source, &self.sources);
        row.extend([facts.description.clone(), facts.length.to_string()]);
        row.extend([tally.chunks, tally.classified, tally.viral].map(|count| count.to_string()));
        row.extend([tally.fraction(), record.score.map(|score| score.score)].map(decimal));
        row.push(record.call.map_or(NONE, Call::as_str).to_owned());
        row.push(truth(record.call.map(|call| call == Call::Viral)).to_owned());
        row.push(decimal(record.fdr));
        let highest = tally.highest.map(|highest| highest.both().map(f64::from));
        row.extend([0, 1].map(|class| decimal(highest.map(|both| both[class]))));
        row.push(record.status.as_str().to_owned());
        self.sequences.line(&row)?;
        self.others.as_mut().map_or(Ok(()), |others| others.add(record, &self.sources, letters))
    }

    /// Passes the rows that were written so far on to the reader of standard output.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.sequences.flush()
    }

    /// Returns the final names of the files, and of the directory of plots.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.others.as_ref().map(SideFiles::names).unwrap_or_default()
    }

    /// Returns the names of the plots, which are in one directory.
    pub(crate) fn plots(&self) -> impl Iterator<Item = &str> {
        let plots = self.others.as_ref().and_then(|others| others.plots.as_ref());
        plots.into_iter().flat_map(Plots::names)
    }

    /// Adds the names of the plots to `run.json`: a later report removes these and no other files.
    pub(crate) fn tell_plots(&self, run: &mut Map<String, Value>) {
        run.insert(PLOTS.to_owned(), self.plots().map(Value::from).collect());
    }

    /// Completes all files of the run that `run` describes. Returns None if everything went to standard
    /// output.
    pub(crate) fn complete(self, run: &Map<String, Value>) -> Result<Option<CompleteCalls>, Error> {
        let sequences = self.sequences.finish()?;
        let Some(others) = self.others else { return Ok(None) };
        let mut complete = others.complete(run)?;
        complete.whole.extend(sequences);
        Ok(Some(complete))
    }
}

impl SideFiles {
    fn create(
        files: CallFiles,
        has_sources: bool,
        options: &CallOptions,
        scoring: &RecordScoring,
        has_letters: bool,
    ) -> Result<Self, OutputError> {
        const COLUMNS: &str =
            "sequence_id source region kind start end chunks chunks_viral score mean_score_virus record";
        let CallOptions { compat, contigs, plot, max_plots, .. } = *options;
        let plots = plot.map(|draw| Plots::create(&files.plots, draw, max_plots)).transpose()?;
        Ok(SideFiles {
            chunks: ChunkTable::create(&files.chunks, has_sources)?,
            regions: table(&files.regions, has_sources, COLUMNS)?,
            viral: has_letters.then(|| TextFile::create(&files.viral)).transpose()?,
            proviruses: Proviruses::create(&files, has_letters)?,
            virnucpro: compat.map(|compat| VirNucProFiles::create(&files, compat)).transpose()?,
            contigs: contigs.map(|rule| ContigTable::create(&files, rule)).transpose()?,
            calibration: scoring.calibration().cloned(),
            page: CallPage::new(options, scoring),
            plots,
            options: *options,
            files,
        })
    }

    fn add(&mut self, record: &JudgedRecord, sources: &[String], letters: &[u8]) -> Result<(), OutputError> {
        let facts = &record.facts;
        self.chunks.add(record, sources, &self.options)?;
        if let Some(viral) = self.viral.as_mut().filter(|_| record.call == Some(Call::Viral)) {
            write_fasta(viral, &facts.id, &facts.description, letters)?;
        }
        for (number, region) in (1_u64..).zip(&record.regions) {
            let mut row = record_columns(&facts.id, facts.source, sources);
            row.extend(region_columns(record, number, region, &self.options));
            self.regions.line(&row)?;
        }
        self.proviruses.add(record, letters)?;
        self.virnucpro.as_mut().map_or(Ok(()), |files| files.add(record))?;
        self.contigs.as_mut().map_or(Ok(()), |contigs| contigs.add(record))?;
        self.page.add(record, sources.get(facts.source as usize).map(String::as_str));
        if let Some(plots) = &mut self.plots {
            plots.add(record);
        }
        Ok(())
    }

    fn names(&self) -> Vec<PathBuf> {
        let is_there = |is_there: bool, paths: &[&Path]| {
            is_there.then(|| paths.iter().map(|path| path.to_path_buf()).collect())
        };
        let files = &self.files;
        let some = [
            is_there(true, &files.usual()),
            is_there(self.viral.is_some(), &files.letters()),
            is_there(self.virnucpro.is_some(), &files.virnucpro()),
            is_there(self.contigs.is_some(), &[&files.contigs]),
            is_there(self.calibration.is_some(), &[&files.calibration]),
            is_there(self.plots.is_some(), &[&files.plots]),
        ];
        some.into_iter().flatten().flat_map(|paths: Vec<_>| paths).collect()
    }

    fn complete(self, run: &Map<String, Value>) -> Result<CompleteCalls, Error> {
        let SideFiles {
            files,
            chunks,
            regions,
            viral,
            proviruses,
            virnucpro,
            contigs,
            calibration,
            page,
            plots,
            ..
        } = self;
        let mut stale = Vec::new();
        let mut whole: Vec<PendingFile> =
            [chunks.finish()?, regions.finish()?].into_iter().flatten().collect();
        whole.extend(viral.map(TextFile::finish).transpose()?.flatten());
        whole.extend(proviruses.finish()?.into_iter().flatten());
        match virnucpro {
            Some(virnucpro) => whole.extend(virnucpro.finish()?),
            None => stale.extend(files.virnucpro().map(Path::to_path_buf)),
        }
        match contigs {
            Some(contigs) => whole.extend(contigs.finish()?),
            None => stale.push(files.contigs.clone()),
        }
        match calibration {
            Some(calibration) => whole.extend(text(&files.calibration, calibration.text())?),
            None => stale.push(files.calibration.clone()),
        }
        let summary = page.summary();
        let page = page.finish(run)?;
        whole.extend(text(&files.page, &page.html)?);
        whole.extend(text(&files.multiqc, &page.multiqc)?);
        let plots = plots.map(|plots| plots.finish(&files.plots)).transpose()?;
        Ok(CompleteCalls { whole, stale, page: summary, plots, files })
    }
}

impl CompleteCalls {
    /// Publishes the plots, before the other files get their names. Plots of other calls, which `is_stale`
    /// selects by name, are removed: they do not belong to these tables.
    pub(crate) fn publish_plots(&mut self, is_stale: impl Fn(&str) -> bool) -> Result<(), OutputError> {
        match self.plots.take() {
            Some(plots) => plots.publish(is_stale)?,
            None => clear(&self.files.plots, is_stale)?,
        }
        Ok(())
    }
}

/// Writes a file of text that is complete in memory.
fn text(path: &Path, text: &str) -> Result<Option<PendingFile>, OutputError> {
    let mut file = TextFile::create(path)?;
    file.write(&[text.as_bytes()])?;
    file.finish()
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
        record.facts.index.to_string(),
    ]
}

#[cfg(test)]
mod tests;
