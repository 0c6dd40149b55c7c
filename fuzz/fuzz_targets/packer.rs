//! Any lengths through packer and collator: each sequence exactly once, no batch over a limit, boundaries that
//! start at 0, strictly increase and end at the token count, no fewer batches than the lower bound, the same
//! batches again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack_seq::{
    Algorithm, CollatorOptions, GreedyPacker, PackedBatch, PackerOptions, SequenceIndex, VarlenCollator,
};

fuzz_target!(|data: &[u8]| {
    let Some((head, body)) = data.split_at_checked(8) else { return };
    let longest = usize::from(head[0]) + 1;
    let mut options = PackerOptions::new(longest + usize::from(head[1]) * 8, longest);
    options.algorithm = Algorithm::ALL[usize::from(head[2] % 4)];
    options.max_sequences = (head[3] > 0).then_some(usize::from(head[3]));
    options.max_attention_cost = (head[4] > 0).then_some((longest * longest) as u64 + u64::from(head[4]) * 64);
    let collator = CollatorOptions::default()
        .buffer_size(usize::from(head[5]) + 1)
        .enable_packing(head[6] % 8 > 0)
        .max_windows(u32::from(head[7] % 8));
    let packer = GreedyPacker::new(options.clone()).expect("the longest fits");
    let lengths: Vec<u32> = body.iter().map(|&byte| 1 + u32::from(byte) % longest as u32).collect();

    let packing = packer.pack(&lengths).expect("every length fits");
    assert_eq!(packing, packer.pack(&lengths).expect("every length fits"), "same input, same batches");
    let mut seen = packing.order().to_vec();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..lengths.len() as u32), "each sequence exactly once");
    for batch in &packing {
        limits(&options, batch.iter().map(|&i| u64::from(lengths[i as usize])));
    }
    assert!(packer.stats(&lengths, &packing).lower_bound <= packing.len() as u64);

    let batches = stream(&packer, &collator, &lengths);
    assert!(batches == stream(&packer, &collator, &lengths), "same input, same batches");
    let mut records: Vec<u64> = batches.iter().flat_map(|batch| &batch.index).map(|index| index.number).collect();
    records.sort_unstable();
    assert!(records.into_iter().eq(0..lengths.len() as u64), "each record exactly once");
    for batch in &batches {
        assert_eq!(batch.cu_seqlens.first(), Some(&0));
        assert!(batch.cu_seqlens.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(batch.cu_seqlens.last().map(|&end| end as usize), Some(batch.input_ids.len()));
        limits(&options, batch.cu_seqlens.windows(2).map(|pair| (pair[1] - pair[0]) as u64));
    }
});

fn limits(options: &PackerOptions, lengths: impl Iterator<Item = u64> + Clone) {
    let sequences = lengths.clone().count();
    assert!(sequences > 0);
    assert!(lengths.clone().sum::<u64>() <= options.token_budget as u64);
    assert!(options.max_sequences.is_none_or(|most| sequences <= most));
    let cost: u64 = lengths.map(|length| length * length).sum();
    assert!(options.max_attention_cost.is_none_or(|most| cost <= most));
}

fn stream(packer: &GreedyPacker, options: &CollatorOptions, lengths: &[u32]) -> Vec<PackedBatch> {
    let mut collator = VarlenCollator::new(packer.clone(), options.clone()).expect("the buffer holds a record");
    let mut batches = Vec::new();
    for (record, &length) in (0..).zip(lengths) {
        let index = SequenceIndex::new(record, "r", u64::from(length));
        collator.push(&[record as u16; 256][..length as usize], index).expect("every length fits");
        batches.extend(std::iter::from_fn(|| collator.pop()));
        assert!(!options.enable_packing || collator.counters().waiting < 3 * options.buffer_size as u64);
    }
    batches.extend(collator.flush());
    assert_eq!(collator.counters().waiting, 0);
    batches
}
