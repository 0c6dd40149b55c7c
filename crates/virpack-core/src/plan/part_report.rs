//! What a part is, in the file beside it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use virpack_seq::{SkipReason, SkippedRecord};

use super::facts::text;

/// What a part is.
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
    /// Tokens that were computed.
    pub(super) tokens: u64,
    /// The precision.
    pub(super) dtype: String,
    /// What the bits depend on, for each device.
    pub(super) computed_by: Vec<Vec<String>>,
    /// Records without a row; all are of the part's input.
    pub(super) skipped: Vec<SkippedRecord>,
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
        let Value::Object(report) = report else { unreachable!("it was written as an object") };
        report
    }

    /// Reads what [`PartReport::to_json`] gave, of a part of input `source`; None for anything else.
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
            skipped: vec![SkippedRecord { record: 5, source: 2, line: 7, id, length: 4, reason }],
        };
        let text = Value::Object(report.to_json()).to_string();
        assert_eq!(PartReport::of_json(text.as_bytes(), 2), Some(report));
        assert_eq!(PartReport::of_json(&text.as_bytes()[1..], 2), None);
    }
}
