//! The guarantees of the collator: every record once, limits kept, boundaries right, waiting and memory
//! bounded.

use std::collections::HashSet;

use proptest::prelude::*;
use virpack_seq::{
    Algorithm, CollatorOptions, GreedyPacker, PackedBatch, PackerOptions, SeqError, SequenceIndex,
    VarlenCollator,
};

use crate::support::workload::{self, Random};

fn index(record: u64, length: u32) -> SequenceIndex {
    SequenceIndex::new(record, record.to_string(), u64::from(length))
}

/// Returns tokens that identify their record.
fn tokens(record: u64, length: u32) -> Vec<u16> {
    (0..u64::from(length)).map(|i| (record.wrapping_mul(31) + i) as u16).collect()
}

/// Checks every batch.
struct Inspector {
    options: PackerOptions,
    seen: HashSet<u64>,
}

impl Inspector {
    fn new(options: &PackerOptions) -> Self {
        Inspector { options: options.clone(), seen: HashSet::new() }
    }

    fn inspect(&mut self, batch: &PackedBatch) {
        assert!(!batch.is_empty());
        assert!(batch.total_tokens() <= self.options.token_budget);
        assert!(self.options.max_sequences.is_none_or(|most| batch.len() <= most));
        assert_eq!(batch.cu_seqlens.len(), batch.len() + 1);
        assert_eq!(batch.cu_seqlens.first(), Some(&0));
        assert_eq!(*batch.cu_seqlens.last().unwrap() as usize, batch.total_tokens());
        assert!(batch.cu_seqlens.windows(2).all(|pair| pair[0] < pair[1]));
        let mut cost = 0;
        for (i, index) in batch.index.iter().enumerate() {
            assert!(self.seen.insert(index.number), "record {} twice", index.number);
            assert_eq!(batch.tokens(i), tokens(index.number, index.length as u32));
            cost += index.length * index.length;
        }
        assert!(self.options.max_attention_cost.is_none_or(|most| cost <= most));
        assert_eq!(batch.max_seqlen as u64, batch.index.iter().map(|index| index.length).max().unwrap());
    }
}

#[derive(Clone, Debug)]
struct Case {
    packer: PackerOptions,
    collator: CollatorOptions,
    lengths: Vec<u32>,
    /// Pops after a fixed number of pushes.
    pop_every: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let algorithm = prop::sample::select(Algorithm::ALL.to_vec());
    let limits = (0usize..400, prop::option::of(1usize..12), prop::option::of(0u64..50_000));
    let buffer = (1usize..60, any::<bool>(), 0u32..6);
    (1u32..120, algorithm, limits, buffer, prop_oneof![Just(1), 1usize..20])
        .prop_flat_map(|(longest, algorithm, limits, buffer, pop_every)| {
            let lengths = prop::collection::vec(1..=longest, 0..400);
            (Just((longest, algorithm, limits, buffer, pop_every)), lengths)
        })
        .prop_map(|((longest, algorithm, limits, buffer, pop_every), lengths)| {
            let (more, max_sequences, cost) = limits;
            let (buffer_size, packing, max_windows) = buffer;
            let mut packer =
                PackerOptions::new(longest as usize + more, longest as usize).algorithm(algorithm);
            packer.max_sequences = max_sequences;
            packer.max_attention_cost = cost.map(|cost| u64::from(longest).pow(2) + cost);
            let enable_packing = packing || lengths.len() % 4 != 0;
            Case {
                packer,
                collator: CollatorOptions::default()
                    .buffer_size(buffer_size)
                    .enable_packing(enable_packing)
                    .max_windows(max_windows),
                lengths,
                pop_every,
            }
        })
}

fn collator(case: &Case) -> VarlenCollator {
    VarlenCollator::new(GreedyPacker::new(case.packer.clone()).unwrap(), case.collator.clone()).unwrap()
}

/// Streams a case through the collator, and returns all batches.
fn stream(case: &Case) -> Vec<PackedBatch> {
    let mut collator = collator(case);
    let mut inspector = Inspector::new(&case.packer);
    let mut batches = Vec::new();
    let (buffer_size, max_windows) = (case.collator.buffer_size, case.collator.max_windows as usize);
    for (record, &length) in case.lengths.iter().enumerate() {
        collator.push(&tokens(record as u64, length), index(record as u64, length)).unwrap();
        let closed = (record + 1) / buffer_size;
        if record % case.pop_every == 0 || (record + 1) % buffer_size == buffer_size - 1 {
            while let Some(batch) = collator.pop() {
                inspector.inspect(&batch);
                batches.push(batch);
            }
            // All batches of older buffers have left.
            let over = closed.saturating_sub(max_windows) * buffer_size;
            assert!((0..over as u64).all(|record| inspector.seen.contains(&record)), "waited too long");
        }
        let counters = collator.counters();
        assert_eq!(counters.received, counters.returned + counters.waiting);
    }
    if case.collator.enable_packing {
        let buffers = if case.pop_every == 1 { 3 } else { 4 };
        assert!(collator.counters().most_waiting <= buffers * buffer_size as u64);
    }
    for batch in collator.flush() {
        inspector.inspect(&batch);
        batches.push(batch);
    }
    assert_eq!(inspector.seen.len(), case.lengths.len(), "records lost");
    let counters = collator.counters();
    assert_eq!((counters.waiting, counters.returned), (0, case.lengths.len() as u64));
    assert_eq!(counters.batches, batches.len() as u64);
    let stats = collator.stats();
    assert_eq!(stats.batches, batches.len() as u64);
    assert!(stats.lower_bound <= stats.batches);
    assert!(collator.flush().is_empty() && collator.pop().is_none() && collator.release().is_none());
    batches
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_record_once_within_all_limits(case in case()) {
        let batches = stream(&case);
        prop_assert!(batches == stream(&case), "same input, same batches");
    }

    #[test]
    fn released_and_flushed_in_the_middle(case in case(), seed: u64) {
        let mut collator = collator(&case);
        let mut inspector = Inspector::new(&case.packer);
        let mut random = Random(seed);
        for (record, &length) in case.lengths.iter().enumerate() {
            collator.push(&tokens(record as u64, length), index(record as u64, length)).unwrap();
            match random.below(40) {
                0 => collator.flush().iter().for_each(|batch| inspector.inspect(batch)),
                1..10 => inspector.inspect(&collator.release().expect("something waits")),
                10..20 => collator.pop().iter().for_each(|batch| inspector.inspect(batch)),
                _ => {}
            }
        }
        while let Some(batch) = collator.release() {
            inspector.inspect(&batch);
        }
        prop_assert_eq!(inspector.seen.len(), case.lengths.len());
        prop_assert_eq!(collator.counters().waiting, 0);
    }

    #[test]
    fn packing_off_keeps_arrival_order(case in case(), size in 1usize..30) {
        let options = case.collator.clone().enable_packing(false);
        let case = Case { collator: options, ..case };
        let mut collator = collator(&case);
        let mut inspector = Inspector::new(&case.packer);
        let mut next = 0;
        for micro_batch in case.lengths.chunks(size) {
            let first = next;
            let records: Vec<(u64, Vec<u16>)> =
                (first..).zip(micro_batch).map(|(record, &length)| (record, tokens(record, length))).collect();
            let sequences = records.iter().map(|(record, tokens)| (&tokens[..], index(*record, tokens.len() as u32)));
            collator.push_micro_batch(sequences).unwrap();
            while let Some(batch) = collator.pop() {
                inspector.inspect(&batch);
                for index in &batch.index {
                    prop_assert_eq!(index.number, next);
                    next += 1;
                }
            }
            prop_assert_eq!(next, first + micro_batch.len() as u64, "nothing waits for the next micro-batch");
        }
        prop_assert!(collator.flush().is_empty());
    }
}

/// Sends random records of changing mixes through the default collator: ids, tokens, bounds.
fn many(records: u64) {
    let packer = PackerOptions::new(2_048, 256);
    let mut collator =
        VarlenCollator::new(GreedyPacker::new(packer.clone()).unwrap(), CollatorOptions::default()).unwrap();
    let mut random = Random(3);
    let (mut returned, mut ids, mut most) = (0, 0u64, 0);
    let mut look = |batch: PackedBatch, pushed: u64| {
        assert!(batch.total_tokens() <= 2_048);
        assert!(batch.cu_seqlens.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(batch.cu_seqlens[batch.len()] as usize, batch.total_tokens());
        for (i, index) in batch.index.iter().enumerate() {
            let tokens = batch.tokens(i);
            assert_eq!(tokens.len() as u64, index.length);
            assert!(tokens.iter().all(|&token| token == index.number as u16));
            assert!(pushed / 2_000 <= index.number / 2_000 + 5, "record {} waited", index.number);
            ids ^= Random(index.number).next();
            returned += 1;
        }
    };
    for record in 0..records {
        let longest = [256, 40, 9, 200][(record / 50_000) as usize % 4];
        let length = 1 + random.below(longest) as usize;
        collator.push(&[record as u16; 256][..length], index(record, length as u32)).unwrap();
        while let Some(batch) = collator.pop() {
            look(batch, record + 1);
        }
        most = most.max(collator.counters().waiting);
    }
    collator.flush().into_iter().for_each(|batch| look(batch, records));
    assert_eq!(returned, records);
    assert_eq!(ids, (0..records).fold(0, |ids, record| ids ^ Random(record).next()));
    assert!(most <= 6_000, "{most} resident");
    assert!(collator.stats().efficiency() > 0.998, "{}", collator.stats().efficiency());
}

#[test]
fn a_million_records() {
    many(1_000_000);
}

/// `cargo test --release -p virpack-seq --test it -- --ignored collate`
#[test]
#[ignore = "half a minute"]
fn fifty_million_records() {
    many(50_000_000);
}

/// Returns the efficiency of a stream, and the best one that complete records allow.
fn efficiency(lengths: &[u32], budget: usize) -> (f64, f64) {
    let longest = lengths.iter().copied().max().unwrap() as usize;
    let packer = GreedyPacker::new(PackerOptions::new(budget, longest)).unwrap();
    let mut collator = VarlenCollator::new(packer, CollatorOptions::default()).unwrap();
    let tokens = vec![5; longest];
    for (record, &length) in lengths.iter().enumerate() {
        collator.push(&tokens[..length as usize], index(record as u64, length)).unwrap();
        while collator.pop().is_some() {}
    }
    collator.flush();
    assert!(collator.counters().most_waiting <= 6_000);
    assert_eq!(collator.stats().warning, None);
    (collator.stats().efficiency(), collator.stats().best_efficiency())
}

#[test]
fn streamed_efficiency_does_not_depend_on_the_window() {
    for budget in [4_096, 16_384] {
        let (reached, best) = efficiency(&workload::uniprot_like(100_000), budget);
        assert!(reached >= 0.995, "uniprot-like at {budget}: {reached} of {best}");
        if let Some(lengths) = workload::uniprot_20k() {
            let (reached, best) = efficiency(&lengths, budget);
            assert!(reached >= 0.995, "uniprot_20k at {budget}: {reached} of {best}");
        }
    }
    let (reached, best) = efficiency(&workload::proteins(49, 200_000), 16_384);
    assert!(reached >= 0.995, "proteins of 49-50: {reached} of {best}");
    let (reached, best) = efficiency(&workload::proteins(165, 100_000), 4_096);
    assert!(reached >= 0.9999 * best, "proteins of 165-166: {reached} of {best}");
}

/// A device with much memory and short records: a batch takes more records than a buffer has.
#[test]
fn a_budget_larger_than_the_buffer() {
    let lengths = workload::proteins(49, 200_000);
    for (budget, least) in [(65_536, 0.998), (131_072, 0.99), (262_144, 0.99)] {
        let (reached, best) = efficiency(&lengths, budget);
        assert!(reached >= least * best, "{budget}: {reached} of {best}");
    }
}

/// Two thousand records of a million tokens would fill the memory.
#[test]
fn long_records_are_packed_before_the_buffer_is_full() {
    let packer = GreedyPacker::new(PackerOptions::new(1 << 19, 1 << 19)).unwrap();
    let mut collator = VarlenCollator::new(packer, CollatorOptions::default()).unwrap();
    let tokens = vec![1; 1 << 19];
    for record in 0..130 {
        collator.push(&tokens, index(record, 1 << 19)).unwrap();
        while collator.pop().is_some() {}
        assert!(collator.counters().waiting <= 64);
    }
}

#[test]
fn what_cannot_be_packed_is_refused_and_leaves_no_trace() {
    let packer = GreedyPacker::new(PackerOptions::new(100, 5).max_attention_cost(100)).unwrap();
    let mut collator = VarlenCollator::new(packer, CollatorOptions::default()).unwrap();
    collator.push(&[1; 10], index(0, 10)).unwrap();
    let error = collator.push(&[1; 101], index(1, 101)).unwrap_err();
    assert!(matches!(error, SeqError::OverBudget { tokens: 101, token_budget: 100, .. }));
    let error = collator.push(&[1; 11], index(2, 11)).unwrap_err();
    assert!(matches!(error, SeqError::OverAttentionCost { tokens: 11, max_attention_cost: 100, .. }));
    assert!(matches!(collator.push(&[], index(3, 0)).unwrap_err(), SeqError::NoTokens { .. }));
    assert_eq!(collator.counters().received, 1);
    assert_eq!(collator.flush().len(), 1);
    let packer = GreedyPacker::new(PackerOptions::new(100, 5)).unwrap();
    let error = VarlenCollator::new(packer, CollatorOptions::default().buffer_size(0));
    assert!(matches!(error.unwrap_err(), SeqError::ZeroOption { option: "buffer_size" }));
}

/// The flush of the predecessor gave up after 50 rounds.
#[test]
fn flush_drains_everything() {
    let packer = GreedyPacker::new(PackerOptions::new(10, 10)).unwrap();
    let options = CollatorOptions::default().buffer_size(1_000_000);
    let mut collator = VarlenCollator::new(packer, options).unwrap();
    for record in 0..10_000 {
        collator.push(&[1; 10], index(record, 10)).unwrap();
    }
    assert_eq!(collator.flush().len(), 10_000, "one record a batch");
    assert_eq!(collator.counters().waiting, 0);
}

/// A record that is too long to share a batch is always placed last; it must leave nevertheless.
#[test]
fn a_record_that_always_comes_last_leaves() {
    let packer = GreedyPacker::new(PackerOptions::new(1_000, 500)).unwrap();
    let options = CollatorOptions::default().buffer_size(20);
    let mut collator = VarlenCollator::new(packer, options).unwrap();
    collator.push(&[1; 5], index(0, 5)).unwrap();
    let mut left = None;
    for record in 1..1_000 {
        collator.push(&[1; 500], index(record, 500)).unwrap();
        while let Some(batch) = collator.pop() {
            if batch.index.iter().any(|index| index.number == 0) {
                left = Some(record);
            }
        }
    }
    assert!(left.unwrap() <= 5 * 20, "left after {left:?}");
}
