//! Samples records evenly over an input, with the same sample each time.

use virpack_seq::{Record, Records, SeqError};

/// The sampled records, in input order.
#[derive(Debug)]
pub(super) struct Sample {
    /// The records as FASTA.
    pub(super) fasta: Vec<u8>,
    /// Their ids.
    pub(super) ids: Vec<String>,
    /// Records in the input that have letters.
    pub(super) records: u64,
}

impl Sample {
    /// Samples at most `most` of the records (reservoir sampling, algorithm R of Vitter 1985, with a fixed
    /// seed).
    pub(super) fn take(mut records: Records, most: usize) -> Result<Sample, SeqError> {
        let mut kept: Vec<Record> = Vec::new();
        let (mut record, mut seen, mut state) = (Record::default(), 0u64, 1u64);
        while records.read(&mut record)? {
            if record.sequence.is_empty() {
                continue;
            }
            seen += 1;
            if kept.len() < most {
                kept.push(record.clone());
                continue;
            }
            // Knuth's MMIX generator, of which the high bits are used.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = ((u128::from(state) * u128::from(seen)) >> 64) as usize;
            if let Some(slot) = kept.get_mut(place) {
                slot.clone_from(&record);
            }
        }
        kept.sort_by_key(|record| record.index);
        let mut fasta = Vec::new();
        for record in &kept {
            // The id is for error messages: the rows are matched by their place.
            for part in [b">", record.id.as_bytes(), b"\n", &record.sequence, b"\n"] {
                fasta.extend_from_slice(part);
            }
        }
        let ids = kept.iter().map(|record| record.id.to_string()).collect();
        Ok(Sample { fasta, ids, records: seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: usize, most: usize) -> Sample {
        let text: String = (0..count).map(|i| format!(">id{i}\nMKT{}\n", "A".repeat(i % 7))).collect();
        let records = Records::from_reader("test", std::io::Cursor::new(text.into_bytes())).unwrap();
        Sample::take(records, most).unwrap()
    }

    #[test]
    fn all_records_where_they_are_few() {
        let all = sample(5, 100);
        assert_eq!((all.ids.len(), all.records), (5, 5));
        assert_eq!(all.ids[4], "id4");
    }

    #[test]
    fn many_records_are_sampled_evenly_and_alike() {
        let some = sample(10_000, 400);
        assert_eq!(some.ids, sample(10_000, 400).ids);
        let numbers: Vec<usize> = some.ids.iter().map(|id| id[2..].parse().unwrap()).collect();
        assert!(numbers.is_sorted());
        for quarter in 0..4 {
            let range = quarter * 2_500..(quarter + 1) * 2_500;
            let count = numbers.iter().filter(|n| range.contains(*n)).count();
            assert!((65..=135).contains(&count), "{count} of 400 in {range:?}");
        }
    }
}
