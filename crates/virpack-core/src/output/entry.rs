//! The result of a record as bytes, for parts and shards: its row with the model's values, or why it has
//! none.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8, 8, 8 | the record's place, its length, its line (0 where it has a row) |
//! | 4, 4, 4, 4, 4, 4 | the input, the kind, bytes of the id, rows of values, unknown letters, gap characters |
//! | … | the id, then the values, `[rows, hidden]`, float32 |
//!
//! All numbers are little-endian.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use virpack_seq::{SkipReason, SkippedRecord};

use super::{Row, Turn};

/// Bytes before the id.
const HEAD: usize = 48;
/// The kinds of records with a row: complete and truncated.
const WHOLE: u32 = 0;
const TRUNCATED: u32 = 1;
/// The kinds of records without a row.
const SKIPPED: [(u32, SkipReason); 3] =
    [(2, SkipReason::Empty), (3, SkipReason::TooShort), (4, SkipReason::TooLong)];

/// The part of an entry before the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    record: u64,
    length: u64,
    line: u64,
    source: u32,
    kind: u32,
    id_bytes: u32,
    rows: u32,
    unknown: u32,
    gaps: u32,
}

/// A record's row and values, or the reason why it has none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Row(Row, Vec<f32>),
    Skipped(SkippedRecord),
}

/// Appends the result of a record to `bytes`; values are `[rows, hidden]`.
pub(crate) fn encode(turn: &Turn<'_>, hidden: usize, bytes: &mut Vec<u8>) {
    let head = |record, length, line, source, kind, id: &str, rows: usize| Head {
        record,
        length,
        line,
        source,
        kind,
        id_bytes: u32::try_from(id.len()).expect("an id is shorter than 4 GB"),
        rows: u32::try_from(rows).expect("a record has fewer than 2^32 rows"),
        unknown: 0,
        gaps: 0,
    };
    match *turn {
        Turn::Row(row, values) => {
            let Row { record, source, ref id, length, truncated, unknown, gaps } = *row;
            let rows = values.len() / hidden;
            let head = head(record, length, 0, source, u32::from(truncated), id, rows);
            Head { unknown, gaps, ..head }.encode(bytes);
            bytes.extend_from_slice(id.as_bytes());
            let start = bytes.len();
            bytes.resize(start + size_of_val(values), 0);
            for (to, value) in bytes[start..].as_chunks_mut().0.iter_mut().zip(values) {
                *to = value.to_le_bytes();
            }
        }
        Turn::Skipped(skipped) => {
            let SkippedRecord { record, source, line, ref id, length, reason } = *skipped;
            let kind = SKIPPED.iter().find(|(_, other)| *other == reason);
            let (kind, _) = *kind.expect("every reason has its number");
            head(record, length, line, source, kind, id, 0).encode(bytes);
            bytes.extend_from_slice(id.as_bytes());
        }
    }
}

impl Head {
    fn encode(&self, bytes: &mut Vec<u8>) {
        let Head { record, length, line, source, kind, id_bytes, rows, unknown, gaps } = *self;
        bytes.extend([record, length, line].into_iter().flat_map(u64::to_le_bytes));
        bytes.extend([source, kind, id_bytes, rows, unknown, gaps].into_iter().flat_map(u32::to_le_bytes));
    }

    /// Reads the next entry's head; returns `None` at the end.
    fn read(from: &mut impl Read) -> io::Result<Option<Head>> {
        let mut bytes = Vec::with_capacity(HEAD);
        from.take(HEAD as u64).read_to_end(&mut bytes)?;
        let Some((bytes, [])) = bytes.split_first_chunk::<HEAD>() else {
            return if bytes.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        };
        let (longs, shorts) = bytes.split_at(24);
        let long = |i: usize| u64::from_le_bytes(longs.as_chunks().0[i]);
        let short = |i: usize| u32::from_le_bytes(shorts.as_chunks().0[i]);
        Ok(Some(Head {
            record: long(0),
            length: long(1),
            line: long(2),
            source: short(0),
            kind: short(1),
            id_bytes: short(2),
            rows: short(3),
            unknown: short(4),
            gaps: short(5),
        }))
    }

    /// Returns the bytes of the entry after the head, for rows of `hidden` values.
    fn behind(&self, hidden: usize) -> u64 {
        u64::from(self.id_bytes) + u64::from(self.rows) * (hidden * size_of::<f32>()) as u64
    }
}

impl Entry {
    /// Reads the single entry in `bytes`.
    pub(crate) fn of(mut bytes: &[u8], hidden: usize) -> io::Result<Entry> {
        Entry::read(&mut bytes, hidden)?.ok_or(ErrorKind::UnexpectedEof.into())
    }

    /// Reads the next entry; returns `None` at the end.
    pub(crate) fn read(from: &mut impl Read, hidden: usize) -> io::Result<Option<Entry>> {
        let Some(head) = Head::read(from)? else { return Ok(None) };
        let Head { record, length, line, source, kind, id_bytes, unknown, gaps, .. } = head;
        let mut bytes = Vec::new();
        let behind = head.behind(hidden);
        if from.take(behind).read_to_end(&mut bytes)? as u64 != behind {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (id, values) = bytes.split_at(id_bytes as usize);
        let id: Arc<str> = std::str::from_utf8(id).map_err(|_| ErrorKind::InvalidData)?.into();
        if matches!(kind, WHOLE | TRUNCATED) {
            let values = values.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
            let truncated = kind == TRUNCATED;
            let row = Row { record, source, id, length, truncated, unknown, gaps };
            return Ok(Some(Entry::Row(row, values)));
        }
        let reason = SKIPPED.iter().find(|(number, _)| *number == kind).ok_or(ErrorKind::InvalidData)?.1;
        Ok(Some(Entry::Skipped(SkippedRecord { record, source, line, id, length, reason })))
    }

    /// Returns the record's number.
    pub(crate) fn record(&self) -> u64 {
        match self {
            Entry::Row(row, _) => row.record,
            Entry::Skipped(skipped) => skipped.record,
        }
    }

    /// Returns the entry as a turn.
    pub(crate) fn turn(&self) -> Turn<'_> {
        match self {
            Entry::Row(row, values) => Turn::Row(row, values),
            Entry::Skipped(skipped) => Turn::Skipped(skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let reason = prop::sample::select(SKIPPED.map(|(_, reason)| reason).to_vec());
        let values = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 3..=3);
        let record = (any::<u64>(), any::<u32>(), "\\PC{0,9}", any::<u64>());
        let odd = (any::<bool>(), any::<u32>(), any::<u32>());
        (record, prop::option::of((reason, any::<u64>())), odd, values).prop_map(
            |((record, source, id, length), skipped, (truncated, unknown, gaps), values)| match skipped {
                None => {
                    let id = id.as_str().into();
                    Entry::Row(Row { record, source, id, length, truncated, unknown, gaps }, values)
                }
                Some((reason, line)) => {
                    let id = id.as_str().into();
                    Entry::Skipped(SkippedRecord { record, source, line, id, length, reason })
                }
            },
        )
    }

    /// NaN differs from itself, and must be read back too.
    fn same(a: &Entry, b: &Entry) -> bool {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        match (a, b) {
            (Entry::Row(a, x), Entry::Row(b, y)) => a == b && bits(x) == bits(y),
            (a, b) => a == b,
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(entries in prop::collection::vec(entry(), 0..6), cut in 0..48usize) {
            let mut bytes = Vec::new();
            for entry in &entries {
                encode(&entry.turn(), 1, &mut bytes);
            }
            let mut from = &bytes[..];
            for entry in &entries {
                prop_assert!(same(entry, &Entry::read(&mut from, 1).unwrap().unwrap()));
            }
            prop_assert!(Entry::read(&mut from, 1).unwrap().is_none());
            // Truncated anywhere, the last entry is an error and none is invented.
            let end = bytes.len().saturating_sub(cut);
            let mut from = &bytes[..end];
            let mut read = 0;
            let result = loop {
                match Entry::read(&mut from, 1) {
                    Ok(Some(entry)) => prop_assert!(same(&entries[read], &entry)),
                    other => break other,
                }
                read += 1;
            };
            prop_assert!(read == entries.len() || result.is_err() || from.is_empty());
        }
    }
}
