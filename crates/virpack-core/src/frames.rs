//! Writes the open reading frames of nucleotide sequences' chunks to two FASTA files, which VirNucPro
//! embeds.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use virpack_device::available_memory;
use virpack_seq::frames::Pair;
use virpack_seq::{
    GeneticCode, Input, InputRemark, OpenFrame, ReadLimits, ReadOptions, Record, Records, Translator, chunks,
    escaped, expect_nucleotides, reader,
};

use crate::Error;
use crate::files::StagedFiles;
use crate::options::setters;
use crate::output::{OutputProblem, TextFile, check_all, check_apart, check_stdout_apart, is_stdout};
use crate::progress::Progress;

/// The inputs that are cut into frames, and the output.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FramesOptions {
    inputs: Vec<Input>,
    limits: ReadLimits,
    length: NonZeroUsize,
    genetic_code: GeneticCode,
    prefix: PathBuf,
    kind: Option<FrameKind>,
    force: bool,
}

/// Selects one of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The codons.
    Nucleotide,
    /// The proteins that they encode.
    Protein,
}

/// The counts and files of a run.
#[derive(Clone, Debug, Default)]
pub struct FramesSummary {
    /// Records read.
    pub records: u64,
    /// Bases in them.
    pub bases: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Open frames of these.
    pub frames: u64,
    /// Records without an open frame.
    pub without: u64,
    /// The two files, nucleotides first; none if one of them went to standard output.
    pub files: Vec<PathBuf>,
    /// Time from the first record to the finished files.
    pub elapsed: Duration,
    /// What the reader passed over in the inputs, and which inputs were empty.
    pub remarks: Vec<InputRemark>,
}

/// Writes the open frames of every chunk of the inputs, in input order, two lines for each frame: to
/// `PREFIX_nucleotide.fa` and `PREFIX_protein.faa`, or one of the two to standard output, record by record.
///
/// A frame is named after its record: `ID_chunk_NUMBER` and its own name, `F1` to `R3`. Chunks are those of
/// [`chunks`], frames those of [`Translator::frames`]. `progress` is called after every thousandth record.
///
/// ```
/// use virpack_core::{FramesOptions, frames};
///
/// # let folder = tempfile::tempdir()?;
/// let inputs = vec!["../../examples/contigs.fasta".into()];
/// let options = FramesOptions::new(inputs, folder.path().join("contigs"));
/// let summary = frames(&options, |_progress| ())?;
/// assert_eq!(summary.records, 5);
/// assert!(folder.path().join("contigs_protein.faa").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If an input cannot be read or holds proteins, or a file exists or cannot be written. No file then has
/// the requested name.
pub fn frames(options: &FramesOptions, mut progress: impl FnMut(Progress)) -> Result<FramesSummary, Error> {
    options.check()?;
    let reading = ReadOptions::default().limits(options.limits);
    let mut records = reader::open_with(&options.inputs, reading)?;
    let mut out = FrameFiles::create(options)?;
    let mut translator = Translator::new(options.genetic_code);
    let (mut summary, mut record) = (FramesSummary::default(), Record::default());
    let start = Instant::now();
    while records.read(&mut record)? {
        expect_nucleotides(&record, records.inputs())?;
        summary.add(&record);
        let before = summary.frames;
        for (number, chunk) in (1..).zip(chunks(record.sequence.len(), options.length)) {
            summary.chunks += 1;
            for frame in translator.frames(&record.sequence[chunk]) {
                summary.frames += 1;
                out.write(&record.id, number, frame)?;
            }
        }
        summary.without += u64::from(summary.frames == before);
        if summary.records.is_multiple_of(1000) {
            progress(how_far(&records));
        }
    }
    let files = options.files();
    summary.files = if options.is_stdout() { Vec::new() } else { vec![files.nucleotide, files.protein] };
    summary.remarks = records.remarks();
    out.finish(options.force)?;
    summary.elapsed = start.elapsed();
    Ok(summary)
}

fn how_far(records: &Records) -> Progress {
    let read = records.progress();
    Progress::new(&read, read.records(), &[])
}

impl FramesOptions {
    /// Returns the options for chunks of 500 bases and the standard genetic code. `inputs` are FASTA, FASTQ
    /// or BAM of nucleotides, plain or compressed. `prefix` is the beginning of both files' names, or `-`
    /// for standard output.
    pub fn new(inputs: Vec<Input>, prefix: impl Into<PathBuf>) -> Self {
        FramesOptions {
            inputs,
            limits: ReadLimits::fitting(available_memory()),
            length: const { NonZeroUsize::new(500).expect("it is not 0") },
            genetic_code: GeneticCode::STANDARD,
            prefix: prefix.into(),
            kind: None,
            force: false,
        }
    }

    setters! {
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
        /// Sets the bases of a chunk.
        length: NonZeroUsize,
        /// Sets the genetic code.
        genetic_code: GeneticCode,
        /// Sets which of the two files goes to standard output; None: both are files.
        kind: impl Into<Option<FrameKind>>,
        /// Replaces files that exist.
        force: bool,
    }

    /// Checks that the inputs exist and the names of the two files are free, or that one of the files is
    /// selected for standard output.
    ///
    /// ```
    /// use virpack_core::{FrameKind, FramesOptions};
    ///
    /// let options = FramesOptions::new(vec!["../../examples/contigs.fasta".into()], "-");
    /// assert!(options.check().is_err(), "standard output takes one of the two files");
    /// assert!(options.kind(FrameKind::Protein).check().is_ok());
    /// ```
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub fn check(&self) -> Result<(), Error> {
        reader::open(&self.inputs)?;
        match self.kind {
            None if self.is_stdout() => return Err(OutputProblem::WhichFrames.into()),
            Some(_) if self.is_stdout() => return Ok(check_stdout_apart(&self.inputs)?),
            Some(_) => return Err(OutputProblem::KindOfFiles(self.prefix.clone()).into()),
            None => {}
        }
        let Pair { nucleotide, protein } = self.files();
        let files = [&*nucleotide, &protein];
        check_all(files.into_iter(), self.force)?;
        Ok(check_apart(files, &self.inputs)?)
    }

    fn is_stdout(&self) -> bool {
        is_stdout(&self.prefix)
    }

    /// Returns the paths of the two files.
    fn files(&self) -> Pair<PathBuf> {
        Pair { nucleotide: "_nucleotide.fa", protein: "_protein.faa" }.map(|ending| {
            let mut name = OsString::from(&self.prefix);
            name.push(ending);
            PathBuf::from(name)
        })
    }
}

impl FramesSummary {
    fn add(&mut self, record: &Record) {
        self.records += 1;
        self.bases += record.sequence.len() as u64;
    }
}

/// The writers of the files.
struct FrameFiles(Pair<Option<TextFile>>);

impl FrameFiles {
    fn create(options: &FramesOptions) -> Result<Self, Error> {
        let kinds = Pair { nucleotide: FrameKind::Nucleotide, protein: FrameKind::Protein };
        let create = |(kind, file): (FrameKind, PathBuf)| {
            let path = if options.is_stdout() { &options.prefix } else { &file };
            let is_written = options.kind.is_none_or(|chosen| chosen == kind);
            is_written.then(|| TextFile::create(path)).transpose()
        };
        Ok(FrameFiles(kinds.zip(options.files()).try_map(create)?))
    }

    /// Writes one frame of chunk `number`, from 1.
    fn write(&mut self, id: &str, number: usize, frame: OpenFrame<'_>) -> Result<(), Error> {
        let (id, chunk) = (escaped(id), number.to_string());
        let name = frame.frame.as_str().as_bytes();
        let letters = Pair { nucleotide: frame.nucleotides, protein: frame.protein };
        for (_, (file, letters)) in self.0.as_mut().zip(letters) {
            let Some(file) = file else { continue };
            file.write(&[b">", id.as_bytes(), b"_chunk_", chunk.as_bytes(), name, b"\n", letters, b"\n"])?;
        }
        Ok(())
    }

    fn finish(self, force: bool) -> Result<(), Error> {
        let finish = |file: Option<TextFile>| file.map_or(Ok(None), TextFile::finish);
        let Pair { nucleotide, protein } = self.0.try_map(finish)?;
        let sides = nucleotide.into_iter().collect();
        match protein {
            Some(main) => Ok(StagedFiles { main, sides }.publish(force, &[])?),
            // One of the files went to standard output, and the other one is not written.
            None => Ok(()),
        }
    }
}
