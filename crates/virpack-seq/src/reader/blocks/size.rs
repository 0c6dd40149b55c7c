//! How large the record may become that is being read.

use memchr::memchr;

use super::super::bam;
use super::super::fastq::{self, ScanResult};
use super::super::parser::Format;
use super::super::source::READ_SIZE;
use super::{Block, Content, Cutter, SHOWN};
use crate::error::InputError;

impl Block {
    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes, _) => bytes.len() as u64,
            Content::Records(records) => records.iter().map(|record| record.sequence.len() as u64).sum(),
        }
    }
}

impl Cutter {
    /// Returns the most bytes of the record that `text` begins with.
    pub(super) fn largest_record(&self) -> u64 {
        let compressed = self.source.codec.map(|_| self.compressed());
        self.progress.limits.largest_record(compressed)
    }

    /// Bytes of the file that were read since the first of `text` was.
    fn compressed(&self) -> u64 {
        self.progress.bytes() - self.begun
    }

    /// Returns whether the record that `text` begins with is complete, and larger than records may be.
    pub(super) fn first_is_too_large(&self, format: Format) -> bool {
        let limit = self.largest_record();
        if self.text.len() as u64 <= limit {
            return false;
        }
        match format {
            // It ends where the next one begins, which is within the limit.
            Format::Fasta => false,
            Format::Fastq | Format::FastqOdd => {
                let scanned = fastq::scan(&self.text, self.ended, &mut Vec::new());
                matches!(scanned, ScanResult::Record { end, .. } if end as u64 > limit)
            }
            Format::Bam => {
                matches!(bam::record_size(&self.text), Ok(Some(size)) if size as u64 > limit)
            }
        }
    }

    /// Checks that the record that `text` is the beginning of may be larger.
    pub(super) fn check_size(&self) -> Result<(), InputError> {
        let (size, limit) = (self.text.len() as u64, self.largest_record());
        let header = self.progress.limits.header;
        // Behind it there may be a carriage return.
        let most = usize::try_from(header).unwrap_or(usize::MAX).saturating_add(2);
        let is_text = matches!(self.format, Some(Format::Fasta | Format::Fastq | Format::FastqOdd));
        let (path, line, records) = (self.input.path().into(), self.line, 0);
        if is_text && self.text.len() > most && memchr(b'\n', &self.text[..most]).is_none() {
            return Err(InputError::HeaderTooLong { path, line, records, limit: header });
        }
        if size <= limit {
            return Ok(());
        }
        let word = self.text.get(1..).unwrap_or_default().split(u8::is_ascii_whitespace).next();
        let word = word.filter(|_| is_text).unwrap_or_default();
        let id = String::from_utf8_lossy(&word[..word.len().min(SHOWN)]).into();
        let is_bomb = limit < self.progress.limits.record;
        // What is read ahead may be of this record.
        let compressed = is_bomb.then(|| self.compressed() + READ_SIZE as u64);
        Err(InputError::RecordTooLarge { path, line, records, id, limit, compressed })
    }
}
