//! The tables of a run: what is done goes in, in input order. Standard output gets that of the records alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use virpack_seq::{Record, escaped};

use super::PredictOptions;
use super::counts::Counts;
use super::files::Files;
use super::pairing::ScoredItem;
use super::reference::Reference;
use super::regions::{Region, Regions};
use super::score_text::ScoreText;
use super::scores::Scores;
use super::track::{Draw, Points, Track};
use super::verdict::{ChunkTally, ScoredChunk, ScoredFrame};
use crate::Error;
use crate::files::{PendingDirectory, StagedFiles, clear};
use crate::output::{DuplicateFinder, OutputError, RepeatedIds, TextFile, TextTable, about, is_stdout};

/// Viral records whose ids a run tells.
const FIRST_VIRAL: usize = 8;

/// What stands where there is no verdict.
const NONE: &str = "NA";

/// The tables on their way into their directory.
pub(super) struct Tables<'a> {
    options: &'a PredictOptions,
    /// The inputs by name, where there are several.
    sources: Vec<String>,
    sequences: TextTable,
    /// None: `sequences` is standard output, and there are no others.
    others: Option<SideTables>,
    record: Option<OpenRecord>,
    pub(super) counts: Counts,
    /// The ids of the first viral records.
    pub(super) first_viral: Vec<Arc<str>>,
    ids: DuplicateFinder,
}

/// The files of the directory beside the table of records.
struct SideTables {
    files: Files,
    frames: TextTable,
    chunks: TextTable,
    regions: TextTable,
    viral: TextFile,
    reference: Reference,
    plots: Option<PendingDirectory>,
}

/// Tables that are whole and have no names yet.
pub(super) struct CompleteTables {
    whole: StagedFiles,
    plots: Option<PendingDirectory>,
    files: Files,
}

/// The record whose chunks come.
struct OpenRecord {
    record: Arc<Record>,
    tally: ChunkTally,
    regions: Regions,
    points: Points,
}

impl<'a> Tables<'a> {
    /// Opens all tables under temporary names, or one to standard output.
    pub(super) fn create(options: &'a PredictOptions) -> Result<Self, Error> {
        let names = options.inputs.iter().map(ToString::to_string);
        let sources: Vec<String> = if options.inputs.len() > 1 { names.collect() } else { Vec::new() };
        let others = if is_stdout(&options.output) { None } else { Some(SideTables::create(options)?) };
        let path = others.as_ref().map_or(&options.output, |others| &others.files.sequences);
        Ok(Tables {
            options,
            sequences: table(
                path,
                options,
                "sequence_id source length chunks chunks_classified chunks_viral viral_fraction is_virus \
                 max_score_other max_score_virus status",
            )?,
            others,
            record: None,
            counts: Counts::default(),
            first_viral: Vec::new(),
            ids: DuplicateFinder::default(),
            sources,
        })
    }

    /// Writes what is done; gives the time that took.
    pub(super) fn write_all(&mut self, done: Vec<ScoredItem>) -> Result<Duration, OutputError> {
        let start = Instant::now();
        done.into_iter().try_for_each(|done| self.write(done))?;
        if self.others.is_none() {
            // A reader of a pipe gets what is there.
            self.sequences.flush()?;
        }
        Ok(start.elapsed())
    }

    /// Ids that came twice so far.
    pub(super) fn repeated(&self) -> RepeatedIds {
        self.ids.repeated()
    }

    /// The files that stand there in the end.
    pub(super) fn names(&self) -> Vec<PathBuf> {
        let Some(SideTables { files, plots, .. }) = &self.others else { return Vec::new() };
        let plots = plots.as_ref().map(|_| files.plots.clone());
        files.all().into_iter().map(Path::to_owned).chain(plots).collect()
    }

    fn write(&mut self, done: ScoredItem) -> Result<(), OutputError> {
        match done {
            ScoredItem::Record(record) => {
                self.ids.add(&record.id);
                let (tally, regions, points) = (ChunkTally::default(), Regions::default(), Points::default());
                self.record = Some(OpenRecord { record, tally, regions, points });
                Ok(())
            }
            ScoredItem::Chunk(chunk) => self.chunk(&chunk),
            ScoredItem::End => self.end(),
        }
    }

    fn chunk(&mut self, chunk: &ScoredChunk) -> Result<(), OutputError> {
        let open = self.record.as_mut().expect("a chunk follows its record");
        let highest = chunk.highest();
        let verdict = open.tally.add(chunk, &self.options.rule);
        open.regions.add(&chunk.bases, verdict.zip(highest.map(|scores| scores.virus)));
        if let Some(scores) = highest {
            open.points.add(&chunk.bases, scores.virus);
        }
        self.counts.frames += chunk.frames.len() as u64;
        let Some(others) = &mut self.others else { return Ok(()) };
        let record = &open.record;
        let number = open.tally.chunks.to_string();
        let mut row = row(record, &self.sources);
        row.push(number.clone());
        let beginning = row.len();
        for frame in &chunk.frames {
            row.truncate(beginning);
            row.extend(frame_columns(frame));
            row.push(record.index.to_string());
            others.frames.line(&row)?;
        }
        row.truncate(beginning);
        row.extend([(chunk.bases.start + 1).to_string(), chunk.bases.end.to_string()]);
        row.extend([chunk.frames.len().to_string(), truth(verdict).to_owned()]);
        row.extend(score_columns(highest));
        row.extend([chunk.status().as_str().to_owned(), record.index.to_string()]);
        others.chunks.line(&row)?;
        others.reference.chunk(record, open.tally.chunks, chunk)
    }

    fn end(&mut self) -> Result<(), OutputError> {
        let OpenRecord { record, tally, regions, points } = self.record.take().expect("a record ends once");
        let status = tally.status(record.sequence.len());
        let viral = tally.is_viral(&self.options.rule);
        let mut row = row(&record, &self.sources);
        let beginning = row.len();
        row.push(record.sequence.len().to_string());
        row.extend([tally.chunks, tally.classified, tally.viral].map(|count| count.to_string()));
        row.push(tally.fraction().map_or(NONE.to_owned(), |fraction| ScoreText(fraction as f32).to_string()));
        row.push(truth(viral).to_owned());
        row.extend(score_columns(tally.highest));
        row.push(status.as_str().to_owned());
        self.sequences.line(&row)?;
        row.truncate(beginning);
        self.counts.add(&tally, status, viral, record.sequence.len());
        if viral == Some(true) {
            if let Some(others) = &mut self.others {
                write_fasta(&mut others.viral, &record)?;
            }
            if self.first_viral.len() < FIRST_VIRAL {
                self.first_viral.push(Arc::clone(&record.id));
            }
        }
        if tally.chunks > 1 {
            let regions = regions.finish();
            self.counts.regions += regions.len() as u64;
            if let Some(others) = &mut self.others {
                others.regions(&record, row, &regions)?;
                others.plot(self.options.plot, &record, points, regions)?;
            }
        }
        Ok(())
    }

    /// Makes all files whole, `run.json`, which holds `report`, too. None where all went to standard output.
    pub(super) fn complete(self, report: &Map<String, Value>) -> Result<Option<CompleteTables>, Error> {
        let sequences = self.sequences.finish()?;
        let Some(SideTables { files, frames, chunks, regions, viral, reference, plots }) = self.others else {
            return Ok(None);
        };
        let tables = [frames.finish()?, chunks.finish()?, sequences, regions.finish()?, viral.finish()?];
        let sides = tables.into_iter().flatten().chain(reference.finish()?).collect();
        let main = about::write(&files.report, report)?;
        Ok(Some(CompleteTables { whole: StagedFiles { main, sides }, plots, files }))
    }
}

impl SideTables {
    fn create(options: &PredictOptions) -> Result<Self, Error> {
        let files = Files::in_directory(&options.output);
        Ok(SideTables {
            frames: table(
                &files.frames,
                options,
                "sequence_id source chunk frame start end strand prediction score_other score_virus record",
            )?,
            chunks: table(
                &files.chunks,
                options,
                "sequence_id source chunk start end frames is_virus max_score_other max_score_virus status \
                 record",
            )?,
            regions: table(
                &files.regions,
                options,
                "sequence_id source region start end chunks_viral chunks_unclassified mean_score_virus \
                 max_score_virus record",
            )?,
            viral: TextFile::create(&files.viral)?,
            reference: Reference::create(&files, options.compat)?,
            plots: options.plot.map(|_| PendingDirectory::create(&files.plots)).transpose()?,
            files,
        })
    }

    fn regions(
        &mut self,
        record: &Record,
        mut row: Vec<String>,
        regions: &[Region],
    ) -> Result<(), OutputError> {
        let beginning = row.len();
        for (number, region) in (1..).zip(regions) {
            row.truncate(beginning);
            row.extend(
                [number, region.bases.start as u64 + 1, region.bases.end as u64].map(|n| n.to_string()),
            );
            row.extend([region.viral, region.unclassified].map(|n| n.to_string()));
            row.extend([region.mean(), region.highest].map(|score| ScoreText(score).to_string()));
            row.push(record.index.to_string());
            self.regions.line(&row)?;
        }
        Ok(())
    }

    fn plot(
        &self,
        draw: Option<Draw>,
        record: &Record,
        points: Points,
        regions: Vec<Region>,
    ) -> Result<(), OutputError> {
        let (Some(draw), Some(plots)) = (draw, &self.plots) else { return Ok(()) };
        let (id, length) = (Arc::clone(&record.id), record.sequence.len());
        let name = plot_name(record);
        let track = Track { id, length, points: points.finish(), regions };
        let text = draw(&track)
            .map_err(|source| OutputError::Draw { path: self.files.plots.join(&name), source })?;
        Ok(plots.write(&name, &text)?)
    }
}

impl CompleteTables {
    /// Gives the files their names, `run.json` last; with `replace`, older ones give way.
    pub(super) fn publish(self, replace: bool) -> Result<(), OutputError> {
        match self.plots {
            Some(plots) => plots.publish(is_plot)?,
            // Pictures of another run must not stand beside these tables.
            None if replace => clear(&self.files.plots, is_plot)?,
            None => {}
        }
        Ok(self.whole.publish(replace, &[])?)
    }
}

/// Opens a table with these columns, that of the input where there are several.
fn table(path: &Path, options: &PredictOptions, columns: &str) -> Result<TextTable, OutputError> {
    let has_sources = options.inputs.len() > 1;
    let columns = columns.split(' ').filter(|column| *column != "source" || has_sources);
    let mut table = TextTable::create(path)?;
    table.line(&columns.collect::<Vec<_>>())?;
    Ok(table)
}

/// The first columns of every row.
fn row(record: &Record, sources: &[String]) -> Vec<String> {
    let source = sources.get(record.source as usize).cloned();
    [Some(record.id.to_string()), source].into_iter().flatten().collect()
}

fn frame_columns(frame: &ScoredFrame) -> [String; 7] {
    let strand = if frame.frame.is_reverse() { "-" } else { "+" };
    let [other, virus] = ScoreText::both(frame.scores).map(|score| score.to_string());
    [
        frame.frame.as_str().to_owned(),
        (frame.codons.start + 1).to_string(),
        frame.codons.end.to_string(),
        strand.to_owned(),
        frame.scores.label().to_owned(),
        other,
        virus,
    ]
}

/// As VirNucPro's own files say it.
fn truth(verdict: Option<bool>) -> &'static str {
    verdict.map_or(NONE, |verdict| if verdict { "True" } else { "False" })
}

fn score_columns(highest: Option<Scores>) -> [String; 2] {
    let both = highest.map(ScoreText::both);
    both.map_or([NONE; 2].map(str::to_owned), |both| both.map(|score| score.to_string()))
}

/// A record with its letters as they came, in one line; its header is one line to every program, too.
fn write_fasta(out: &mut TextFile, record: &Record) -> Result<(), OutputError> {
    let blank: &[u8] = if record.description.is_empty() { b"" } else { b" " };
    let [id, description] = [&*record.id, &record.description].map(escaped);
    out.write(&[b">", id.as_bytes(), blank, description.as_bytes(), b"\n", &record.sequence, b"\n"])
}

/// Whether a file has a name that [`plot_name`] gives.
fn is_plot(name: &str) -> bool {
    let number = name.split_once('_').map_or("", |(number, _)| number);
    number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit()) && name.ends_with(".svg")
}

/// The place of a record, and so much of its id as any file system takes.
fn plot_name(record: &Record) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let id: String = record.id.chars().take(60).map(plain).collect();
    format!("{:06}_{id}.svg", record.index + 1)
}
