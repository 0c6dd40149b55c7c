//! Reads out of BAM: where records end, and what `samtools fasta` makes of one.
//!
//! The text that is cut into blocks is what the BGZF blocks hold, as they are members of gzip. Of
//! each read there is one record: secondary and supplementary alignments repeat it and are left
//! out, counted and reported.

use std::fmt;

use noodles_bam::RecordRef;

use crate::error::BamProblem;
use crate::record::Record;

/// How every BAM file begins, decompressed.
pub(super) const MAGIC: &[u8] = b"BAM\x01";

/// Bytes of a record before its name, without its own length.
const FIXED: usize = 32;

/// Letters of the sixteen values, in the order of the format.
const LETTERS: &[u8; 16] = b"=ACMGRSVTWYHKDBN";

/// The CIGAR operation of bases that were cut off and are not in the file.
const HARD_CLIP: u8 = 5;

/// Flags of a record.
mod flag {
    pub(super) const REVERSE: u16 = 0x10;
    pub(super) const FIRST: u16 = 0x40;
    pub(super) const LAST: u16 = 0x80;
    pub(super) const SECONDARY: u16 = 0x100;
    pub(super) const SUPPLEMENTARY: u16 = 0x800;
}

/// Returns the bytes of the header; None while there are too few of them to know.
pub(super) fn header(text: &[u8]) -> Result<Option<usize>, BamProblem> {
    let Some(length) = number(text, MAGIC.len()) else { return Ok(None) };
    let mut at = after(MAGIC.len() + 4, length)?;
    let Some(references) = number(text, at) else { return Ok(None) };
    at += 4;
    if references > i32::MAX as u32 {
        return Err(BamProblem::Header);
    }
    for _ in 0..references {
        let Some(length) = number(text, at) else { return Ok(None) };
        // The name, and the reference's length.
        at = after(at + 8, length)?;
    }
    Ok((at <= text.len()).then_some(at))
}

/// Returns the bytes of the record that `text` begins with, its length included; None while there are too
/// few of them to know.
pub(super) fn record_size(text: &[u8]) -> Result<Option<usize>, BamProblem> {
    if text.starts_with(MAGIC) {
        return Err(BamProblem::SecondHeader);
    }
    let Some(size) = number(text, 0).map(|size| size as usize) else { return Ok(None) };
    // What a damaged length claims must not be read to the end of the file first.
    if let Some(fixed) = text.get(4..4 + FIXED) {
        let (name, operations) =
            (usize::from(fixed[8]), usize::from(u16::from_le_bytes([fixed[12], fixed[13]])));
        let letters = number(fixed, 16).map_or(0, |letters| letters as usize);
        let least = FIXED + name + 4 * operations + letters.div_ceil(2) + letters;
        if size < least || letters > i32::MAX as usize || size > i32::MAX as usize || name == 0 {
            return Err(BamProblem::Lengths);
        }
    } else if size < FIXED {
        return Err(BamProblem::Lengths);
    }
    Ok(Some(4 + size))
}

/// Returns the number of complete records in a block.
pub(super) fn count(mut block: &[u8]) -> u64 {
    let mut records = 0;
    while let Ok(Some(size)) = record_size(block)
        && let Some(rest) = block.get(size..)
    {
        (records, block) = (records + 1, rest);
    }
    records
}

fn number(text: &[u8], at: usize) -> Option<u32> {
    let bytes = text.get(at..at + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Returns the place `length` bytes after `at`; the format's lengths are signed.
fn after(at: usize, length: u32) -> Result<usize, BamProblem> {
    i32::try_from(length).map_err(|_| BamProblem::Header).map(|length| at + length as usize)
}

/// What a BAM file holds beside unchanged reads, to be reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alignments {
    /// Secondary alignments, left out: each is of a read that has another record.
    pub secondary: u64,
    /// Supplementary alignments, left out: each is a part of a read that has another record.
    pub supplementary: u64,
    /// Reads that the aligner has cut (hard clips): they are shorter than they were.
    pub clipped: u64,
}

impl Alignments {
    pub(super) fn is_nothing(&self) -> bool {
        (self.secondary, self.supplementary, self.clipped) == (0, 0, 0)
    }

    pub(super) fn add(&mut self, more: &Alignments) {
        self.secondary += more.secondary;
        self.supplementary += more.supplementary;
        self.clipped += more.clipped;
    }
}

impl fmt::Display for Alignments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Alignments { secondary, supplementary, clipped } = self;
        if secondary + supplementary > 0 {
            write!(
                f,
                "{secondary} secondary and {supplementary} supplementary alignments are left out: their reads have records of \
                 their own"
            )?;
        }
        if *clipped > 0 {
            let and = if secondary + supplementary > 0 { "; " } else { "" };
            let reads = if *clipped == 1 { "read has" } else { "reads have" };
            write!(
                f,
                "{and}{clipped} {reads} lost bases to hard clips: take them from the file before alignment"
            )?;
        }
        Ok(())
    }
}

/// The records of a block, one by one.
pub(super) struct BamReads {
    block: Vec<u8>,
    at: usize,
    /// The number of the next record in its input, from 1.
    number: u64,
    /// What was seen in this block.
    pub(super) seen: Alignments,
}

impl BamReads {
    pub(super) fn new(block: Vec<u8>, number: u64) -> Self {
        BamReads { block, at: 0, number, seen: Alignments::default() }
    }

    /// Fills `record` with the next read; `false` at the end of the block.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, BamProblem> {
        while self.at < self.block.len() {
            let rest = &self.block[self.at..];
            let size = record_size(rest)?.ok_or(BamProblem::Lengths)?;
            let bytes = rest.get(4..size).ok_or(BamProblem::Lengths)?;
            self.at += size;
            record.line = self.number;
            self.number += 1;
            let parsed = RecordRef::new(bytes).ok_or(BamProblem::Lengths)?;
            let flags = parsed.flags().bits();
            if flags & flag::SECONDARY != 0 {
                self.seen.secondary += 1;
            } else if flags & flag::SUPPLEMENTARY != 0 {
                self.seen.supplementary += 1;
            } else {
                let operations = parsed.cigar();
                let is_clip = |operation: &[u8]| operation[0] & 15 == HARD_CLIP;
                self.seen.clipped += u64::from(operations.as_bytes().chunks_exact(4).any(is_clip));
                fill(record, &parsed, flags)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Copies a read into `record`, as `samtools fasta` writes it.
fn fill(record: &mut Record, parsed: &RecordRef<'_>, flags: u16) -> Result<(), BamProblem> {
    let name = parsed.name().map_or(&b"*"[..], |name| name);
    if name.iter().any(|byte| *byte < b' ') {
        return Err(BamProblem::Name);
    }
    let mut header = std::str::from_utf8(name).map_err(|_| BamProblem::Name)?.to_owned();
    match flags & (flag::FIRST | flag::LAST) {
        flag::FIRST => header.push_str("/1"),
        flag::LAST => header.push_str("/2"),
        _ => {}
    }
    let (id, description) = header.trim_ascii().split_once(' ').unwrap_or((header.trim_ascii(), ""));
    record.id = id.into();
    record.description.clear();
    record.description.push_str(description.trim_ascii_start());
    let sequence = parsed.sequence();
    let letters = &mut record.sequence;
    letters.clear();
    let pairs = sequence.as_bytes().iter();
    letters.extend(pairs.flat_map(|pair| [LETTERS[usize::from(pair >> 4)], LETTERS[usize::from(pair & 15)]]));
    letters.truncate(sequence.len());
    if letters.contains(&b'=') {
        return Err(BamProblem::SameAsReference);
    }
    if flags & flag::REVERSE != 0 {
        letters.reverse();
        letters.iter_mut().for_each(|letter| *letter = complement(*letter));
    }
    Ok(())
}

fn complement(letter: u8) -> u8 {
    match letter {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        b'T' => b'A',
        b'M' => b'K',
        b'K' => b'M',
        b'R' => b'Y',
        b'Y' => b'R',
        b'V' => b'B',
        b'B' => b'V',
        b'H' => b'D',
        b'D' => b'H',
        // S, W and N are their own.
        other => other,
    }
}
