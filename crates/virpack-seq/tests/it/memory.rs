//! Records in memory are read, refused and packed like those of a file.

use std::sync::Arc;

use proptest::prelude::*;
use virpack_seq::reader::Suspect;
use virpack_seq::{
    AsyncDataLoader, CollatorOptions, EsmTokenizer, GreedyPacker, InputError, LengthPolicy, LoaderItem,
    LoaderOptions, LongRecords, PackedBatch, PackerOptions, Record, Records, SeqError, SkippedRecord,
    VarlenCollator,
};

use crate::support::read;

/// Returns everything that a loader makes of records.
fn packed(records: Records) -> (Vec<PackedBatch>, Vec<SkippedRecord>) {
    let lengths = LengthPolicy { max_length: 60, min_length: 2, long_records: LongRecords::Truncate };
    let packer = GreedyPacker::new(PackerOptions::new(400, lengths.max_tokens())).unwrap();
    let collator = VarlenCollator::new(packer, CollatorOptions::default().buffer_size(50)).unwrap();
    let options = LoaderOptions::default().lengths(lengths);
    let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options).unwrap();
    let (mut batches, mut skipped) = (Vec::new(), Vec::new());
    for item in loader {
        match item.unwrap() {
            LoaderItem::Batch(batch) => batches.push(batch),
            LoaderItem::Skipped(records) => skipped.extend(records),
        }
    }
    (batches, skipped)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn batches_are_those_of_a_file_of_the_same_records(
        sequences in prop::collection::vec("[A-Za-z*-]{0,90}", 0..300),
    ) {
        let fasta: String = sequences.iter().enumerate().map(|(i, s)| format!(">r{i}\n{s}\n")).collect();
        let file = Records::from_reader("in.fa", std::io::Cursor::new(fasta)).unwrap();
        let given = sequences.into_iter().enumerate().map(|(i, s)| Record::new(format!("r{i}"), s));
        let (batches, mut skipped) = packed(Records::from_records("sequences", given));
        let (expected, mut expected_skipped) = packed(file);
        prop_assert_eq!(batches, expected);
        // Their lines differ: a record in memory has its number there.
        expected_skipped.iter_mut().chain(&mut skipped).for_each(|record| record.line = 0);
        prop_assert_eq!(skipped, expected_skipped);
    }
}

#[test]
fn more_than_a_block_comes_in_order_whatever_places_the_records_name() {
    let given = (0..5_000).map(|i| Record {
        index: 7,
        source: 9,
        ..Record::new(format!("{i}"), "MKTLLV".repeat(50))
    });
    let (all, error) = read(Records::from_records("sequences", given));
    assert!(error.is_none() && all.len() == 5_000, "{error:?}");
    for (i, record) in all.iter().enumerate() {
        assert_eq!((record.index, record.source, record.line), (i as u64, 0, i as u64 + 1));
        assert_eq!((&*record.id, record.sequence.len()), (&*i.to_string(), 300));
    }
}

#[test]
fn ids_may_be_any_text_and_blanks_are_not_letters() {
    let ids = ["", "a b", ">x", "two\nlines", "\u{1b}[2J", "same", "same"];
    let given = ids.map(|id| Record::new(id, " MK\nTL\r\nLV\n"));
    let (all, error) = read(Records::from_records("sequences", given));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(all.iter().map(|record| &*record.id).collect::<Vec<_>>(), ids);
    assert!(all.iter().all(|record| record.sequence == b"MKTLLV"));
}

#[test]
fn a_byte_that_is_not_a_letter_is_refused_with_the_records_number_and_id() {
    let given = ["MK", "MKT", "MK\nT1", "MK"].map(|letters| Record::new("p", letters));
    let (all, error) = read(Records::from_records("sequences", given));
    assert_eq!(all.len(), 2);
    let Some(SeqError::Input(InputError::StrayByte { line, record, id, byte, .. })) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*line, *record, id, *byte), (3, 3, &Arc::from("p"), b'1'));
    assert!(error.unwrap().to_string().starts_with("sequences:3: record 3 (p): `1`"));
}

#[test]
fn the_text_of_a_file_is_not_the_letters_of_a_record() {
    for (text, byte) in
        [(">b\nACGT", b'>'), ("ACGT\n>b\nACGT", b'>'), (";a comment\nACGT", b';'), ("AC\n; x\nGT", b';')]
    {
        let given = ["MK", text].map(|letters| Record::new("p", letters));
        let (all, error) = read(Records::from_records("sequences", given));
        let Some(SeqError::Input(InputError::StrayByte { line: 2, byte: found, suspect, .. })) = error else {
            panic!("{text:?}: {error:?}")
        };
        assert_eq!((all.len(), found, suspect), (1, byte, Suspect::TextOfFile), "{text:?}");
    }
}

#[test]
fn records_are_made_as_they_are_read() {
    let (made, count) = (Arc::new(std::sync::atomic::AtomicU64::new(0)), 1_000_000);
    let counter = Arc::clone(&made);
    let given = (0..count).map(move |i| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Record::new(format!("{i}"), "MKTLLV".repeat(50))
    });
    let mut records = Records::from_records("sequences", given);
    assert!(records.read(&mut Record::default()).unwrap());
    let made = made.load(std::sync::atomic::Ordering::Relaxed);
    assert!(made < 2_000, "{made} records were made before the second was asked for");
}
