//! Counts of records, chunks and frames.

use super::chunk::Status;
use super::judged::JudgedRecord;
use crate::verdict::Call;

/// Records of one kind, and the bases in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCount {
    /// Records.
    pub records: u64,
    /// Bases in them.
    pub bases: u64,
}

impl RecordCount {
    fn add(&mut self, bases: usize) {
        self.records += 1;
        self.bases += bases as u64;
    }
}

/// Counts of records, chunks and frames, as they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records, each with its row.
    pub records: u64,
    /// Bases in them.
    pub bases: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Chunks with a verdict.
    pub(super) chunks_classified: u64,
    /// Classified chunks whose verdict comes from their nucleotides alone.
    pub chunks_by_nucleotides: u64,
    /// Viral chunks.
    pub chunks_viral: u64,
    /// Open frames.
    pub frames: u64,
    /// Candidate proviruses.
    pub proviruses: u64,
    /// Viral regions of viral records.
    pub viral_regions: u64,
    /// Records called viral.
    pub viral: RecordCount,
    /// Records called neither viral nor cellular.
    pub uncertain: RecordCount,
    /// Records called cellular.
    pub cellular: RecordCount,
    /// Records without a verdict, for any reason.
    pub not_judged: RecordCount,
    /// Records without a verdict that have no open frame, or no codon that can be translated.
    pub no_open_frame: u64,
    /// Records without a verdict that are shorter than a codon.
    pub too_short: u64,
    /// Records without a verdict that have no letters.
    pub empty: u64,
    /// Records without a verdict that are shorter than the requested minimum.
    pub below_min_length: RecordCount,
}

impl Counts {
    /// Returns the bases of records that were not left out.
    #[must_use]
    pub fn bases_computed(&self) -> u64 {
        self.bases - self.below_min_length.bases
    }

    pub(super) fn add(&mut self, record: &JudgedRecord) {
        let tally = &record.tally;
        self.records += 1;
        self.bases += record.facts.length as u64;
        self.chunks += tally.chunks;
        self.chunks_classified += tally.classified;
        self.chunks_by_nucleotides += tally.by_nucleotides;
        self.chunks_viral += tally.viral;
        self.frames += tally.frames;
        let regions = record.regions.len() as u64;
        let (called, counted) = match record.call {
            Some(Call::Viral) => (&mut self.viral, &mut self.viral_regions),
            Some(Call::Uncertain) => (&mut self.uncertain, &mut self.proviruses),
            Some(Call::Cellular) => (&mut self.cellular, &mut self.proviruses),
            None => (&mut self.not_judged, &mut self.proviruses),
        };
        called.add(record.facts.length);
        *counted += regions;
        match record.status {
            Status::NoOpenFrame => self.no_open_frame += 1,
            Status::TooShort => self.too_short += 1,
            Status::Empty => self.empty += 1,
            Status::BelowMinLength => self.below_min_length.add(record.facts.length),
            Status::Classified | Status::ClassifiedNucleotide => {}
        }
    }
}
