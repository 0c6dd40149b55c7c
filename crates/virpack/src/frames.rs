//! Nucleotide sequences to the chunks' open reading frames, as two FASTA files: what VirNucPro embeds.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use virpack_seq::{
    GeneticCode, Input, InputRemark, OpenFrame, Record, Records, Translator, chunks, escaped,
    expect_nucleotides, reader,
};

use crate::Error;
use crate::output::{TextFile, Whole, check_all, check_apart};
use crate::progress::Progress;

/// What to cut into frames, and where they go.
#[derive(Clone, Debug)]
pub struct FramesOptions {
    /// FASTA or FASTQ of nucleotides, plain or compressed.
    pub inputs: Vec<Input>,
    /// Bases of a chunk.
    pub length: NonZeroUsize,
    /// How codons are read.
    pub genetic_code: GeneticCode,
    /// The beginning of both files' names.
    pub prefix: PathBuf,
    /// Replace files that exist.
    pub force: bool,
}

/// What a run has found and written.
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
    /// Records without any.
    pub without: u64,
    /// The two files: nucleotides, peptides.
    pub files: Vec<PathBuf>,
    /// From the first record to the finished files.
    pub elapsed: Duration,
    /// What was passed over in the inputs, and which held nothing.
    pub remarks: Vec<InputRemark>,
}

/// Writes the open frames of every chunk of the inputs, in input order, two lines a frame: `PREFIX_nucleotide.fa`
/// and `PREFIX_protein.faa`.
///
/// A frame is named after its record: `ID_chunk_NUMBER` and its own name, `F1` to `R3`. Chunks are those of
/// [`chunks`], frames those of [`Translator::frames`]. `progress` is called after every thousandth record.
///
/// # Errors
///
/// Inputs that cannot be read or hold proteins, files that are there or cannot be written. Nothing then stands under
/// the asked names.
pub fn frames(options: &FramesOptions, mut progress: impl FnMut(Progress)) -> Result<FramesSummary, Error> {
    options.check()?;
    let mut records = reader::open(&options.inputs)?;
    let mut out = FrameFiles::create(&options.files())?;
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
    summary.files = options.files().into();
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
    /// Checks that the inputs are there and the names of the two files free.
    ///
    /// # Errors
    ///
    /// The first that is not so.
    pub fn check(&self) -> Result<(), Error> {
        reader::open(&self.inputs)?;
        let files = self.files();
        check_all(files.iter().map(PathBuf::as_path), self.force)?;
        Ok(check_apart(files.iter().map(PathBuf::as_path), &self.inputs)?)
    }

    /// The two files: nucleotides, peptides.
    fn files(&self) -> [PathBuf; 2] {
        ["_nucleotide.fa", "_protein.faa"].map(|ending| {
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

/// The two files on their way.
struct FrameFiles {
    nucleotides: TextFile,
    peptides: TextFile,
}

impl FrameFiles {
    fn create([nucleotides, peptides]: &[PathBuf; 2]) -> Result<Self, Error> {
        let create = |path: &Path| TextFile::create(path);
        Ok(FrameFiles { nucleotides: create(nucleotides)?, peptides: create(peptides)? })
    }

    /// Writes one frame of the chunk of that number, from 1.
    fn write(&mut self, id: &str, number: usize, frame: OpenFrame<'_>) -> Result<(), Error> {
        let (id, chunk) = (escaped(id), number.to_string());
        let name = frame.frame.as_str().as_bytes();
        for (file, letters) in
            [(&mut self.nucleotides, frame.nucleotides), (&mut self.peptides, frame.peptide)]
        {
            file.write(&[b">", id.as_bytes(), b"_chunk_", chunk.as_bytes(), name, b"\n", letters, b"\n"])?;
        }
        Ok(())
    }

    fn finish(self, force: bool) -> Result<(), Error> {
        let sides = vec![self.nucleotides.finish()?];
        Ok(Whole { main: self.peptides.finish()?, sides }.publish(force, &[])?)
    }
}
