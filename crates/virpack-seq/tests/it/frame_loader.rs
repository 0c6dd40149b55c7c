//! Frames for two models: each is sent exactly once, whatever limits the loader has.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write;

use crossbeam_channel::RecvTimeoutError;
use proptest::prelude::*;
use virpack_seq::frames::{
    Chunk, ChunkReading, EncoderInput, FrameItem, FrameLoader, FrameOptions, Pair, create_frame_loader,
    weight,
};
use virpack_seq::{
    Alphabet, CollatorOptions, EsmTokenizer, GreedyPacker, IndexSet, LoaderItem, PackerOptions, Records,
    Tokenizer, VarlenCollator,
};

use crate::support::naive;

fn encoder(buffer_size: usize) -> Option<EncoderInput> {
    let packer = GreedyPacker::new(PackerOptions::new(200, 62)).unwrap();
    let options = CollatorOptions::default().buffer_size(buffer_size);
    let collator = VarlenCollator::new(packer, options).unwrap();
    // Any tokenizer works for nucleotides too: one token for each letter.
    Some(EncoderInput { tokenizer: std::sync::Arc::new(EsmTokenizer::new()), collator })
}

fn loader(text: &str, buffer_size: usize, unique_window: usize, most_waiting: u64) -> FrameLoader {
    let chunks_of_60 = FrameOptions::new(60.try_into().unwrap());
    loader_with(text, buffer_size, chunks_of_60.unique_window(unique_window).most_waiting(most_waiting))
}

fn loader_with(text: &str, buffer_size: usize, options: FrameOptions) -> FrameLoader {
    let records = Records::from_reader("in.fa", std::io::Cursor::new(text.to_owned())).unwrap();
    let encoders = Pair { nucleotide: encoder(buffer_size), protein: encoder(buffer_size) };
    create_frame_loader(records, encoders, options).unwrap()
}

/// The output of a loader.
enum Came {
    Items(Vec<FrameItem>),
    Sequence(Alphabet, u64, Vec<u16>),
}

/// Returns the finished items, with the letters of their frames, in the order in which they could be
/// written. A record is reported as done when its last sequence has arrived.
fn take_all(loader: FrameLoader) -> Vec<(FrameItem, Vec<Pair<Vec<u16>>>)> {
    let (send, came) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    for (alphabet, batches) in loader.batches().clone() {
        let (batches, send) = (batches.unwrap(), send.clone());
        threads.push(std::thread::spawn(move || {
            for loaded in batches {
                let LoaderItem::Batch(batch) = loaded.unwrap() else { panic!("no frame is skipped") };
                for (i, index) in batch.index.iter().enumerate() {
                    send.send(Came::Sequence(alphabet, index.number, batch.tokens(i).to_vec())).unwrap();
                }
            }
        }));
    }
    let items = loader.items().clone();
    threads.push(std::thread::spawn(move || {
        for message in items {
            send.send(Came::Items(message.unwrap())).unwrap();
        }
    }));
    let mut known: Pair<HashMap<u64, Vec<u16>>> = Pair::default();
    let (mut waiting, mut done, mut bytes) = (VecDeque::new(), Vec::new(), 0);
    for message in came {
        match message {
            Came::Items(items) => waiting.extend(items),
            Came::Sequence(alphabet, number, tokens) => {
                assert!(known[alphabet].insert(number, tokens).is_none(), "sequence {number} came twice");
            }
        }
        while let Some(place) = waiting.front() {
            let mut letters = Vec::new();
            match place {
                FrameItem::Record(record) => bytes = weight(record),
                FrameItem::End => loader.done(bytes),
                FrameItem::Chunk(chunk) => {
                    let tokens = |((number, oldest), known): ((u64, u64), &HashMap<_, Vec<u16>>)| {
                        assert!(number >= oldest);
                        known.get(&number).cloned().ok_or(())
                    };
                    let found = chunk
                        .frames
                        .iter()
                        .map(|f| f.sequences.zip(chunk.oldest).zip(known.as_ref()).try_map(tokens).ok());
                    match found.collect() {
                        Some(all) => letters = all,
                        None => break,
                    }
                    for (_, (known, oldest)) in known.as_mut().zip(chunk.oldest) {
                        known.retain(|&number, _| number >= oldest);
                    }
                }
            }
            done.push((waiting.pop_front().unwrap(), letters));
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(waiting.is_empty(), "{} items never had their sequences", waiting.len());
    done
}

fn tokens(letters: &str) -> Vec<u16> {
    let mut tokens = Vec::new();
    EsmTokenizer.tokenize(letters.as_bytes(), usize::MAX, &mut tokens);
    tokens
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_has_its_sequences_and_memory_its_bounds(
        // Few letters, so that duplicates occur.
        sequences in prop::collection::vec("[ACG]{0,4}|([ACG]{3}){0,30}|[ACGTN]{0,200}|(GCC){10,60}", 0..40),
        buffer_size in 1..30usize,
        unique_window in 1..40usize,
        most_waiting in prop::sample::select(vec![1, 1_000, 10_000, 1 << 20]),
    ) {
        let text = sequences.iter().enumerate().fold(String::new(), |mut text, (i, sequence)| {
            writeln!(text, ">r{i}\n{sequence}").unwrap();
            text
        });
        let loader = loader(&text, buffer_size, unique_window, most_waiting);
        let mut items = take_all(loader).into_iter();
        for (i, sequence) in sequences.iter().enumerate() {
            let Some((FrameItem::Record(record), _)) = items.next() else { panic!("record {i}") };
            prop_assert_eq!((record.index, &record.sequence[..]), (i as u64, sequence.as_bytes()));
            for bases in naive::chunks(sequence.len(), 60) {
                let Some((FrameItem::Chunk(chunk), letters)) = items.next() else { panic!("chunk of {i}") };
                prop_assert_eq!(&chunk.bases, &bases);
                let frames = naive::frames(&sequence[bases]);
                prop_assert_eq!(chunk.frames.len(), frames.len());
                for ((place, letters), (name, nucleotides, protein)) in chunk.frames.iter().zip(letters).zip(frames) {
                    prop_assert_eq!(place.frame.as_str(), name);
                    let expected = Pair { nucleotide: tokens(&nucleotides), protein: tokens(&protein) };
                    prop_assert_eq!(letters, expected);
                }
            }
            prop_assert!(matches!(items.next(), Some((FrameItem::End, _))));
        }
        prop_assert!(items.next().is_none());
    }
}

/// A batch as the numbers of its sequences, each with whether it is needed.
type Numbers = Vec<(u64, bool)>;

/// Returns all chunks, and the batches for each model. Records are reported as done as `done_at_once` says:
/// when they are read, or later.
fn chunks_and_batches(frames: FrameLoader, done_at_once: bool) -> (Vec<Chunk>, Pair<Vec<Numbers>>) {
    let threads = frames.batches().clone().map(|batches| {
        let batches = batches.unwrap();
        std::thread::spawn(move || {
            let numbers = |loaded| match loaded {
                Ok(LoaderItem::Batch(batch)) => {
                    batch.index.iter().map(|index| (index.number, index.needed)).collect()
                }
                other => panic!("{other:?}"),
            };
            batches.map(numbers).collect::<Vec<Numbers>>()
        })
    });
    let (mut chunks, mut held) = (Vec::new(), VecDeque::new());
    let items = frames.items().clone();
    let done = |bytes: Option<u64>| {
        bytes.is_some_and(|bytes| {
            frames.done(bytes);
            true
        })
    };
    loop {
        let message =
            items.recv_timeout(std::time::Duration::from_millis(if done_at_once { 10_000 } else { 1 }));
        match message {
            Ok(message) => {
                for place in message.unwrap() {
                    match place {
                        FrameItem::Record(record) => held.push_back(weight(&record)),
                        FrameItem::Chunk(chunk) => chunks.push(chunk),
                        FrameItem::End => (),
                    }
                }
                while done_at_once && done(held.pop_front()) {}
            }
            Err(RecvTimeoutError::Timeout) => _ = done(held.pop_front()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    (chunks, threads.map(|thread| thread.join().unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_same_batches_are_made_again_without_those_not_needed(
        sequences in prop::collection::vec("[ACG]{0,4}|([ACG]{3}){0,30}|[ACGTN]{0,200}|(GCC){10,60}", 1..40),
        buffer_size in 1..30usize,
        unique_window in 1..40usize,
        most_waiting in prop::sample::select(vec![1, 5_000, 10_000, 1 << 20]),
        beginning in 0.0..1.0,
        scattered in prop::collection::vec(any::<bool>(), 1..20),
        known in prop::collection::vec(any::<bool>(), 1..20),
        done_at_once: bool,
        six_frames: bool,
    ) {
        let text: String = sequences.iter().map(|sequence| format!(">r\n{sequence}\n")).collect();
        let chunks_of_60 = FrameOptions::new(60.try_into().unwrap());
        let both = Pair { nucleotide: true, protein: true };
        let reading = match six_frames {
            true => ChunkReading::SixFrames,
            false => ChunkReading::OpenFrames { frames: both, strands: true },
        };
        let options = chunks_of_60.unique_window(unique_window).most_waiting(most_waiting).reading(reading);
        let (chunks, all) = chunks_and_batches(loader_with(&text, buffer_size, options.clone()), true);
        let mut done = IndexSet::default();
        for number in 0..chunks.len() as u64 {
            let is_in = (number as f64) < beginning * chunks.len() as f64;
            if is_in || scattered[number as usize % scattered.len()] {
                done.insert(number);
            }
        }
        let mut needed: Pair<HashSet<u64>> = Pair::default();
        for (number, chunk) in (0..).zip(&chunks) {
            prop_assert_eq!(number, chunk.number);
            if !done.contains(number) {
                chunk.whole.sequences().for_each(|(alphabet, number)| _ = needed[alphabet].insert(number));
                for frame in &chunk.frames {
                    needed.as_mut().zip(frame.sequences).map(|(needed, number)| needed.insert(number));
                }
            }
        }
        let known = all.as_ref().zip(needed.as_mut()).map(|(all, needed)| {
            let mut set = IndexSet::default();
            let numbers = all.iter().flatten().map(|&(number, _)| number);
            numbers.filter(|&n| known[n as usize % known.len()]).for_each(|number| _ = set.insert(number));
            needed.retain(|number| !set.contains(*number));
            std::sync::Arc::new(set)
        });
        let options = options.done(std::sync::Arc::new(done)).known(known);
        let (again, left) = chunks_and_batches(loader_with(&text, buffer_size, options), done_at_once);
        prop_assert_eq!(again, chunks);
        for (_, ((left, mut all), needed)) in left.zip(all).zip(needed) {
            prop_assert!(all.iter().flatten().all(|&(_, needed)| needed));
            all.iter_mut().flatten().for_each(|(number, is_needed)| *is_needed = needed.contains(number));
            all.retain(|batch| batch.iter().any(|&(_, needed)| needed));
            prop_assert_eq!(left, all);
        }
    }
}

#[test]
fn a_repeated_sequence_is_packed_once_and_counted() {
    let text = ">a\nGCCGCC\n>b\nGCCGCC\n".repeat(5);
    let frames = loader(&text, 10, 1_000, 1 << 20);
    let packed = frames.batches().clone().map(|batches| {
        batches
            .unwrap()
            .map(|loaded| if let LoaderItem::Batch(batch) = loaded.unwrap() { batch.len() } else { 0 })
            .sum::<usize>()
    });
    // GCCGCC, CCGC and similar, and on the other strand: F1 AA, F2 P, F3 R, R1 GG, R2 A, R3 R.
    assert_eq!(packed, Pair { nucleotide: 6, protein: 5 });
    let counters = frames.counters();
    assert_eq!((counters.records, counters.chunks, counters.frames), (10, 10, 60));
    assert_eq!(counters.repeated, Pair { nucleotide: 54, protein: 55 });
}

#[test]
fn an_error_comes_after_the_records_before_it() {
    let frames = loader(">a\nGCC\n>p\nMKTLLVAGG\n", 10, 10, 1 << 20);
    let first = frames.items().recv().unwrap().unwrap();
    assert!(matches!(&first[..], [FrameItem::Record(_), FrameItem::Chunk(_), FrameItem::End]));
    let error = frames.items().recv().unwrap().unwrap_err();
    assert!(error.to_string().starts_with("in.fa:3: record p is not a nucleotide sequence"), "{error}");
    assert!(frames.items().recv().is_err());
}

#[test]
fn records_without_letters_are_bounded_too() {
    let text = ">r\n".repeat(100_000);
    let frames = loader(&text, 10, 10, 1 << 20);
    let records = |items: &[FrameItem]| items.iter().filter(|p| matches!(p, FrameItem::Record(_))).count();
    let (mut came, wait) = (0, std::time::Duration::from_secs(3));
    while let Ok(items) = frames.items().recv_timeout(wait) {
        came += records(&items.unwrap());
    }
    assert!((1_000..2_049).contains(&came), "{came} records under way");
}

#[test]
fn threads_end_when_the_consumer_is_gone() {
    let text = format!(">a\n{}\n", "GCC".repeat(50)).repeat(2_000);
    for most_waiting in [100, 1 << 30] {
        let frames = loader(&text, 10, 10, most_waiting);
        let batches = frames.batches().nucleotide.clone().unwrap();
        frames.items().recv().unwrap().unwrap();
        drop(frames);
        // The finished batches arrive, and then the end.
        assert!(batches.count() < 10_000);
    }
}
