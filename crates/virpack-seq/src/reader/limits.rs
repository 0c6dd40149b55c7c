//! How large a record and its header may be: a file of kilobytes may hold gigabytes, and a record
//! is in memory as a whole.

/// The largest record and the largest header that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadLimits {
    /// Most bytes of a record as the decompressed file has it: header, letters, quality values and line ends.
    pub record: u64,
    /// Most bytes of a header line, without its mark (`>`, `@`) and its end.
    pub header: u64,
    /// Most bytes of a record for each of its bytes in a compressed file, where it has more than
    /// 100 MB; None: any number. Genomes have 4 or 5, a decompression bomb has 1,000 and more.
    pub expansion: Option<u64>,
}

/// Bytes that a record may have however well it compresses.
pub(super) const ANY_EXPANSION: u64 = 100_000_000;

/// Copies of the largest record that are in memory at once: as text, in needletail's buffer, as
/// letters, as tokens.
const COPIES: u64 = 4;

/// Bytes of a record that is read however little memory is free.
const ANY_RECORD: u64 = 1_000_000;

impl Default for ReadLimits {
    /// Records of 4 GB, headers of 64 MB, 500 bytes for each compressed one.
    fn default() -> Self {
        ReadLimits { record: 4_000_000_000, header: 64_000_000, expansion: Some(500) }
    }
}

impl ReadLimits {
    /// Records and headers of at most this many bytes, however well they compress.
    #[must_use]
    pub const fn new(record: u64, header: u64) -> Self {
        ReadLimits { record, header, expansion: None }
    }

    /// Reads headers of at most this many bytes.
    #[must_use]
    pub fn header(mut self, header: u64) -> Self {
        self.header = header;
        self
    }

    /// Reads at most this many bytes of a record for each of its bytes in a compressed file.
    #[must_use]
    pub fn expansion(mut self, expansion: u64) -> Self {
        self.expansion = Some(expansion);
        self
    }

    /// Returns the default for that many bytes of free memory: records that do not fit are refused, before
    /// the system ends the process. Records of a megabyte are read in any case.
    ///
    /// ```
    /// use virpack_seq::ReadLimits;
    ///
    /// assert_eq!(ReadLimits::fitting(Some(1_000_000_000)).record, 250_000_000);
    /// assert_eq!(ReadLimits::fitting(Some(0)).record, 1_000_000);
    /// assert_eq!(ReadLimits::fitting(None), ReadLimits::default());
    /// ```
    #[must_use]
    pub fn fitting(free: Option<u64>) -> Self {
        let default = ReadLimits::default();
        let fits = free.map_or(u64::MAX, |free| free / COPIES).max(ANY_RECORD);
        ReadLimits { record: default.record.min(fits), ..default }
    }

    /// Returns the most bytes of a record, given its compressed bytes read so far.
    pub(super) fn largest_record(&self, compressed: Option<u64>) -> u64 {
        match (self.expansion, compressed) {
            (Some(expansion), Some(compressed)) => {
                self.record.min(ANY_EXPANSION.max(compressed.saturating_mul(expansion)))
            }
            _ => self.record,
        }
    }
}
