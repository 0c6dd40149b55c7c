//! The report of a part, in the file beside it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use virpack_seq::frames::{FrameCounters, Pair};
use virpack_seq::{SkipReason, SkippedRecord};

use super::facts::text;
use crate::predict::ScoredRecords;

/// The report of a part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PartReport {
    pub(super) number: u64,
    /// The plan's name.
    pub(super) plan: String,
    /// Size of the part's file, and its SHA-256.
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// Records of its range.
    pub(super) records: u64,
    pub(super) rows: u64,
    /// Tokens computed.
    pub(super) tokens: u64,
    /// The precision.
    pub(super) dtype: String,
    /// What the bits depend on, for each device.
    pub(super) computed_by: Vec<Vec<String>>,
    /// Records without a row; all of them are in the part's input.
    pub(super) skipped: Vec<SkippedRecord>,
    /// The counts of `predict` in its records; None for `embed`.
    pub(super) scored: Option<ScoredCounts>,
}

/// The counts of `predict` in the records of a part.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ScoredCounts {
    pub(super) frames: FrameCounters,
    /// Tokens computed with each model.
    pub(super) tokens: Pair<u64>,
    /// The id of the first record with a letter that is not a nucleotide code.
    pub(super) first_odd: Option<Arc<str>>,
}

const REASONS: [SkipReason; 3] = [SkipReason::Empty, SkipReason::TooShort, SkipReason::TooLong];

impl PartReport {
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let skipped = self.skipped.iter().map(|skipped| {
            let SkippedRecord { record, line, ref id, length, reason, .. } = *skipped;
            let (id, reason) = (&**id, reason.as_str());
            json!({ "record": record, "line": line, "id": id, "length": length, "reason": reason })
        });
        let report = json!({
            "part": self.number,
            "plan": self.plan,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "records": self.records,
            "rows": self.rows,
            "tokens": self.tokens,
            "dtype": self.dtype,
            "computed_by": self.computed_by,
            "skipped": skipped.collect::<Value>(),
        });
        let Value::Object(mut report) = report else { unreachable!("it was written as an object") };
        report.extend(self.scored.as_ref().map(|scored| ("scored".to_owned(), scored.to_json())));
        report
    }

    /// Parses what [`PartReport::to_json`] returned, for a part of input `source`; None for anything else.
    pub(super) fn of_json(bytes: &[u8], source: u32) -> Option<PartReport> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let number = |name| value.get(name)?.as_u64();
        let name = |name| text(value.get(name)?);
        let computed_by = value.get("computed_by")?.as_array()?.iter();
        let computed_by = computed_by.map(|device| device.as_array()?.iter().map(text).collect());
        let skipped = value.get("skipped")?.as_array()?.iter().map(|skipped| {
            let number = |name| skipped.get(name)?.as_u64();
            let (reason, id) = (skipped.get("reason")?.as_str()?, skipped.get("id")?.as_str()?);
            Some(SkippedRecord {
                record: number("record")?,
                source,
                line: number("line")?,
                id: Arc::from(id),
                length: number("length")?,
                reason: REASONS.into_iter().find(|known| known.as_str() == reason)?,
            })
        });
        Some(PartReport {
            number: number("part")?,
            plan: name("plan")?,
            bytes: number("bytes")?,
            sha256: name("sha256")?,
            records: number("records")?,
            rows: number("rows")?,
            tokens: number("tokens")?,
            dtype: name("dtype")?,
            computed_by: computed_by.collect::<Option<_>>()?,
            skipped: skipped.collect::<Option<_>>()?,
            scored: match value.get("scored") {
                None => None,
                Some(scored) => Some(ScoredCounts::of_json(scored)?),
            },
        })
    }
}

impl ScoredCounts {
    /// Returns the counts of scored records, without the time that scoring took.
    pub(super) fn of(done: &ScoredRecords) -> Self {
        let frames = FrameCounters { busy: Duration::ZERO, ..done.frames };
        ScoredCounts { frames, tokens: done.tokens, first_odd: done.first_odd.clone() }
    }

    /// Adds the counts of a later part.
    pub(super) fn add(&mut self, other: &ScoredCounts) {
        let (sum, more) = (&mut self.frames, &other.frames);
        sum.records += more.records;
        sum.bases += more.bases;
        sum.cut += more.cut;
        sum.read += more.read;
        sum.odd_letters += more.odd_letters;
        sum.odd_records += more.odd_records;
        sum.chunks += more.chunks;
        sum.frames += more.frames;
        sum.repeated.nucleotide += more.repeated.nucleotide;
        sum.repeated.protein += more.repeated.protein;
        self.tokens.nucleotide += other.tokens.nucleotide;
        self.tokens.protein += other.tokens.protein;
        self.first_odd = self.first_odd.take().or_else(|| other.first_odd.clone());
    }

    fn to_json(&self) -> Value {
        let frames = &self.frames;
        json!({
            "bases": frames.bases,
            "chunks": frames.chunks,
            "frames": frames.frames,
            "odd_letters": frames.odd_letters,
            "records_with_odd_letters": frames.odd_records,
            "first_record_with_odd_letters": self.first_odd.as_deref(),
            "nucleotide_tokens": self.tokens.nucleotide,
            "protein_tokens": self.tokens.protein,
            "repeated_nucleotides": frames.repeated.nucleotide,
            "repeated_peptides": frames.repeated.protein,
        })
    }

    fn of_json(value: &Value) -> Option<Self> {
        let number = |name| value.get(name)?.as_u64();
        let both =
            |nucleotide, protein| Some(Pair { nucleotide: number(nucleotide)?, protein: number(protein)? });
        let first_odd = value.get("first_record_with_odd_letters")?;
        let frames = FrameCounters {
            bases: number("bases")?,
            cut: number("bases")?,
            read: number("bases")?,
            chunks: number("chunks")?,
            frames: number("frames")?,
            odd_letters: number("odd_letters")?,
            odd_records: number("records_with_odd_letters")?,
            repeated: both("repeated_nucleotides", "repeated_peptides")?,
            ..FrameCounters::default()
        };
        Some(ScoredCounts {
            frames,
            tokens: both("nucleotide_tokens", "protein_tokens")?,
            first_odd: first_odd.as_str().map(Arc::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (id, reason) = (Arc::from("a\"\u{2028}b"), SkipReason::TooShort);
        let report = PartReport {
            number: 17,
            plan: "ab".into(),
            bytes: 1,
            sha256: "cd".into(),
            records: 3,
            rows: 2,
            tokens: 9,
            dtype: "float32".into(),
            computed_by: vec![vec!["CPU, AVX2".into()], Vec::new()],
            scored: Some(ScoredCounts {
                frames: FrameCounters { bases: 9, cut: 9, read: 9, odd_letters: 2, ..Default::default() },
                tokens: Pair { nucleotide: 4, protein: 5 },
                first_odd: Some(Arc::from("r\"1")),
            }),
            skipped: vec![SkippedRecord { record: 5, source: 2, line: 7, id, length: 4, reason }],
        };
        let text = Value::Object(report.to_json()).to_string();
        assert_eq!(PartReport::of_json(text.as_bytes(), 2), Some(report));
        assert_eq!(PartReport::of_json(&text.as_bytes()[1..], 2), None);
    }
}
