//! Compares the packer with the textbook: the same batches as the plain O(n·m) loops, under all limits.

use proptest::prelude::*;
use virpack_seq::{Algorithm, GreedyPacker, Hint, PackWorkspace, PackerOptions, Packing, SeqError};

/// A batch of the textbook loops.
#[derive(Clone, Default)]
struct Plain {
    items: Vec<u32>,
    tokens: u64,
    cost: u64,
}

impl Plain {
    fn takes(&self, length: u64, options: &PackerOptions) -> bool {
        self.tokens + length <= options.token_budget as u64
            && options.max_sequences.is_none_or(|most| self.items.len() < most)
            && options.max_attention_cost.is_none_or(|most| self.cost + length * length <= most)
    }

    /// Returns the longest sequence that it can still take.
    fn room(&self, options: &PackerOptions) -> u64 {
        (0..=options.token_budget as u64)
            .rev()
            .find(|&length| length == 0 || self.takes(length, options))
            .unwrap()
    }
}

/// The textbook loops.
fn plain(lengths: &[u32], options: &PackerOptions) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
    if options.algorithm != Algorithm::NextFit {
        order.sort_by_key(|&i| std::cmp::Reverse(lengths[i as usize])); // stable: ties by input order
    }
    let mut batches: Vec<Plain> = Vec::new();
    for i in order {
        let length = u64::from(lengths[i as usize]);
        let mut fitting = (0..batches.len()).filter(|&b| batches[b].takes(length, options));
        let batch = match options.algorithm {
            Algorithm::FirstFitDecreasing => fitting.next(),
            Algorithm::BestFitDecreasing => fitting.min_by_key(|&b| (batches[b].room(options), b)),
            Algorithm::NextFitDecreasing | Algorithm::NextFit => fitting.find(|&b| b + 1 == batches.len()),
        };
        let batch = batch.unwrap_or_else(|| {
            batches.push(Plain::default());
            batches.len() - 1
        });
        batches[batch].items.push(i);
        batches[batch].tokens += length;
        batches[batch].cost += length * length;
    }
    batches.into_iter().map(|batch| batch.items).collect()
}

fn check(lengths: &[u32], options: PackerOptions, workspace: &mut PackWorkspace) {
    let packer = GreedyPacker::new(options.clone()).unwrap();
    let mut packing = Packing::default();
    packer.pack_into(lengths, workspace, &mut packing).unwrap();
    let batches: Vec<Vec<u32>> = packing.iter().map(<[u32]>::to_vec).collect();
    assert_eq!(batches, plain(lengths, &options), "{options:?} {lengths:?}");
    let stats = packer.stats(lengths, &packing);
    assert!(stats.lower_bound <= stats.batches, "{stats:?}");
    assert!(stats.padded_tokens >= stats.tokens, "{stats:?}");
    assert_eq!(stats.sequences, lengths.len() as u64);
    assert!(stats.efficiency() <= stats.best_efficiency());
}

fn lengths(longest: u32, most: usize) -> impl Strategy<Value = Vec<u32>> {
    let any = prop::collection::vec(1..=longest, 0..most);
    let alike = prop::collection::vec(longest / 2..=longest / 2 + 3, 0..most)
        .prop_map(move |lengths| lengths.into_iter().map(|length| length.clamp(1, longest)).collect());
    let small = prop::collection::vec(1..=(longest / 8).max(1), 0..most);
    prop_oneof![any, alike, small]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn same_batches_as_the_textbook(
        (longest, lengths) in (1u32..300).prop_flat_map(|longest| (Just(longest), lengths(longest, 150))),
        more in 0usize..900,
        sequences in prop::option::of(1usize..20),
        cost in prop::option::of(0u64..100_000),
    ) {
        let mut workspace = PackWorkspace::default();
        for algorithm in Algorithm::ALL {
            let mut options = PackerOptions::new(longest as usize + more, longest as usize).algorithm(algorithm);
            check(&lengths, options.clone(), &mut workspace);
            options.max_sequences = sequences;
            options.max_attention_cost = cost.map(|cost| u64::from(longest).pow(2) + cost);
            check(&lengths, options, &mut workspace);
        }
    }

    #[test]
    fn long_lengths_too(lengths in prop::collection::vec(1u32..2_000_000, 0..40)) {
        // Few lengths, far apart, which the comparison sort handles.
        let mut workspace = PackWorkspace::default();
        for algorithm in [Algorithm::FirstFitDecreasing, Algorithm::NextFitDecreasing] {
            check(&lengths, PackerOptions::new(2_000_000, 2_000_000).algorithm(algorithm), &mut workspace);
        }
    }

    #[test]
    fn the_bound_is_below_the_optimum(lengths in prop::collection::vec(1u32..=20, 1..9), budget in 20usize..40) {
        let packer = GreedyPacker::new(PackerOptions::new(budget, 20)).unwrap();
        let stats = packer.stats(&lengths, &packer.pack(&lengths).unwrap());
        prop_assert!(stats.lower_bound <= optimum(&lengths, &mut Vec::new(), budget as u32), "{stats:?}");
    }
}

/// Returns the fewest batches, by trying all packings.
fn optimum(lengths: &[u32], batches: &mut Vec<u32>, budget: u32) -> u64 {
    let Some((&length, rest)) = lengths.split_first() else { return batches.len() as u64 };
    batches.push(length);
    let mut best = optimum(rest, batches, budget);
    batches.pop();
    for b in 0..batches.len() {
        if batches[b] + length <= budget {
            batches[b] += length;
            best = best.min(optimum(rest, batches, budget));
            batches[b] -= length;
        }
    }
    best
}

/// Larger than the random cases: every level of the tree of rooms, thousands of open batches.
#[test]
fn same_batches_at_size() {
    let mut state = 1u64;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % u64::from(below)) as u32
    };
    let wide: Vec<u32> = (0..6_000).map(|_| 1 + random(1_000)).collect();
    let narrow: Vec<u32> = (0..6_000).map(|_| 200 + random(400)).collect();
    let mut workspace = PackWorkspace::default();
    for algorithm in Algorithm::ALL {
        check(&wide, PackerOptions::new(1_000, 1_000).algorithm(algorithm), &mut workspace);
        check(&narrow, PackerOptions::new(1_024, 1_000).algorithm(algorithm), &mut workspace);
        check(&wide, PackerOptions::new(4_096, 1_000).algorithm(algorithm), &mut workspace);
    }
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let new = |options| GreedyPacker::new(options).unwrap_err();
    let error = new(PackerOptions::new(1_000, 1_024));
    assert!(matches!(error, SeqError::BudgetTooSmall { token_budget: 1_000, longest: 1_024 }));
    assert!(error.hint().unwrap().contains("smallest budget that works is 1024"), "{error:?}");
    let error = new(PackerOptions::new(4_096, 100).max_attention_cost(9_999));
    assert!(matches!(error, SeqError::AttentionCostTooSmall { max_attention_cost: 9_999, longest: 100 }));
    let error = new(PackerOptions::new(4_096, 100).max_sequences(0));
    assert!(matches!(error, SeqError::ZeroOption { option: "max_sequences" }));
    assert!(matches!(new(PackerOptions::new(0, 0)), SeqError::ZeroOption { option: "token_budget" }));
    assert!(matches!(new(PackerOptions::new(1 << 31, 1)), SeqError::BudgetTooLarge { .. }));
    let packer = GreedyPacker::new(PackerOptions::new(10, 10)).unwrap();
    for (bad, position) in [([1, 11], 1), ([0, 3], 0)] {
        let error = packer.pack(&bad).unwrap_err();
        assert!(
            matches!(error, SeqError::LengthOutOfRange { position: at, longest: 10, .. } if at == position)
        );
    }
    assert!(packer.pack(&[]).unwrap().is_empty());
}
