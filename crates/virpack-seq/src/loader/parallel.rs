//! The records of a block tokenized by several threads, for tokenizers that take longer than one thread has.
//!
//! One thread merges letters (byte-pair encoding) at some million tokens a second: less than a GPU
//! takes of a small model. Looking letters up is a thousand times as fast, and stays on the one
//! thread.

use std::panic::resume_unwind;
use std::thread;

use crate::error::SeqError;
use crate::input::Input;
use crate::length_policy::LengthPolicy;
use crate::record::Record;
use crate::slab::TokenSlab;
use crate::tokenize::Tokenizer;

/// More would only wait for the model.
const MOST_THREADS: usize = 8;

/// Letters that are worth a thread: some milliseconds of work.
const LETTERS_A_THREAD: usize = 16 << 10;

/// Threads to tokenize with: half of the cores, as reading, collating and the model want theirs.
pub(super) fn threads() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, MOST_THREADS)
}

/// Tokenizes `records` into `slab` by up to `threads` threads, in order. Where one fails, those
/// before it are in the slab, and none after it; a panic goes on in the same way.
pub(super) fn apply(
    lengths: &LengthPolicy,
    tokenizer: &dyn Tokenizer,
    records: &[Record],
    inputs: &[Input],
    threads: usize,
    slab: &mut TokenSlab,
) -> Result<(), SeqError> {
    let parts = parts(records, threads);
    let one = |part: &[Record], slab: &mut TokenSlab| {
        part.iter().try_for_each(|record| lengths.apply(tokenizer, record, inputs, slab))
    };
    let [first, others @ ..] = &parts[..] else { return Ok(()) };
    thread::scope(|scope| {
        let others: Vec<_> = others
            .iter()
            .map(|part| {
                let run = move || {
                    let mut slab = TokenSlab::default();
                    // What was done before a panic is told too.
                    let run = std::panic::AssertUnwindSafe(|| one(part, &mut slab));
                    let result = std::panic::catch_unwind(run);
                    (slab, result)
                };
                // Where the system gives no thread, this one does that work too.
                (thread::Builder::new().spawn_scoped(scope, run).ok(), run)
            })
            .collect();
        one(first, slab)?;
        for (other, run) in others {
            let done = other.map_or_else(|| Ok(run()), thread::ScopedJoinHandle::join);
            let (mut own, result) = done.unwrap_or_else(|panic| resume_unwind(panic));
            slab.append(&mut own);
            result.unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        Ok(())
    })
}

/// Runs of records of about as many letters each, at most `threads` of them, none of little work.
fn parts(records: &[Record], threads: usize) -> Vec<&[Record]> {
    let letters: usize = records.iter().map(|record| record.sequence.len()).sum();
    let share = letters.div_ceil(threads).max(LETTERS_A_THREAD);
    let mut parts = Vec::new();
    let (mut start, mut own) = (0, 0);
    for (i, record) in records.iter().enumerate() {
        own += record.sequence.len();
        if own >= share {
            parts.push(&records[start..=i]);
            (start, own) = (i + 1, 0);
        }
    }
    if start < records.len() {
        parts.push(&records[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::length_policy::LongRecords;
    use crate::tokenize::EsmTokenizer;

    fn records(lengths: &[usize]) -> Vec<Record> {
        let record = |(i, length): (usize, &usize)| Record {
            index: i as u64,
            id: i.to_string().into(),
            sequence: (0..*length).map(|j| b"LAGVSERTID"[(i + j) % 10]).collect(),
            ..Record::default()
        };
        lengths.iter().enumerate().map(record).collect()
    }

    fn contents(slab: &mut TokenSlab) -> Vec<(Vec<u16>, u64)> {
        slab.drain().map(|(tokens, index)| (tokens.to_vec(), index.number)).collect()
    }

    #[test]
    fn any_number_of_threads_gives_what_one_gives() {
        let lengths: Vec<usize> = (0..900).map(|i| i * 7919 % 400).chain([0, 70_000, 0, 3]).collect();
        let records = records(&lengths);
        for long_records in [LongRecords::Truncate, LongRecords::Window { overlap: 50 }, LongRecords::Skip] {
            let policy = LengthPolicy { max_length: 300, min_length: 5, long_records };
            let mut expected = TokenSlab::default();
            apply(&policy, &EsmTokenizer, &records, &[], 1, &mut expected).unwrap();
            let one = (expected.counts, expected.skipped.clone(), contents(&mut expected));
            assert_eq!(one.0.records, 904);
            for threads in [2, 3, 8] {
                // The slab may hold something already.
                let mut slab = TokenSlab::default();
                policy.apply(&EsmTokenizer, &records[0], &[], &mut slab).unwrap();
                slab.clear();
                apply(&policy, &EsmTokenizer, &records, &[], threads, &mut slab).unwrap();
                assert!(parts(&records, threads).len() > 1);
                assert_eq!((slab.counts, slab.skipped.clone(), contents(&mut slab)), one, "{threads}");
            }
        }
    }

    #[test]
    fn an_error_keeps_what_came_before_it_and_nothing_after() {
        let mut lengths = vec![100; 2_000];
        for wrong in [0, 3, 700, 1_999] {
            lengths[wrong] = 101;
            let policy = LengthPolicy { max_length: 100, min_length: 0, long_records: LongRecords::Error };
            let mut slab = TokenSlab::default();
            let result = apply(&policy, &EsmTokenizer, &records(&lengths), &[], 4, &mut slab);
            assert!(matches!(result, Err(SeqError::TooLong { id, .. }) if *id == *wrong.to_string()));
            assert_eq!(slab.len(), wrong);
            lengths[wrong] = 100;
        }
    }

    #[test]
    fn no_records_and_little_work() {
        let mut slab = TokenSlab::default();
        let policy = LengthPolicy::default();
        apply(&policy, &EsmTokenizer, &[], &[], 8, &mut slab).unwrap();
        assert!(slab.is_empty());
        assert_eq!(parts(&records(&[100, 100]), 8).len(), 1);
    }
}
