//! The loader under consumers that pause, readers that die, tokenizers that panic and pipes that wait.

use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::collate::CollatorOptions;
use crate::error::{InputError, ThreadError};
use crate::length_policy::LongRecords;
use crate::pack::{GreedyPacker, PackerOptions};
use crate::record::SkipReason;
use crate::tokenize::{EsmTokenizer, SpecialTokens, TokenCounts};

/// The error of a thread that panicked.
macro_rules! panicked {
    ($thread:literal) => {
        SeqError::Thread(ThreadError::Panicked { thread: $thread, .. })
    };
}

mod threads;

/// A small generator, so that every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}

/// FASTA of `records` records made while it is read; every tenth or so is empty. Dies at a byte, if asked.
struct Generated {
    random: Random,
    records: u64,
    made: u64,
    text: Vec<u8>,
    dies: bool,
}

impl Generated {
    fn new(records: u64) -> Self {
        Generated { random: Random(records), records, made: 0, text: Vec::new(), dies: false }
    }
}

impl Read for Generated {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.text.is_empty() {
            if self.made == self.records {
                return if self.dies { Err(io::Error::other("the disk is gone")) } else { Ok(0) };
            }
            let length = self.random.below(10).min(1) * self.random.below(120);
            self.text = format!(">{}\n", self.made).into_bytes();
            self.text.extend((0..length).map(|_| b"LAGVSERTIDPKQNFYMHWC"[self.random.below(20) as usize]));
            self.text.push(b'\n');
            self.made += 1;
        }
        let bytes = self.text.len().min(buf.len());
        buf[..bytes].copy_from_slice(&self.text[..bytes]);
        self.text.drain(..bytes);
        Ok(bytes)
    }
}

fn options() -> LoaderOptions {
    let lengths = LengthPolicy { max_length: 100, min_length: 0, long_records: LongRecords::Truncate };
    LoaderOptions::default().lengths(lengths)
}

fn collator(buffer_size: usize) -> VarlenCollator {
    let packer = GreedyPacker::new(PackerOptions::new(512, 102)).unwrap();
    VarlenCollator::new(packer, CollatorOptions::default().buffer_size(buffer_size)).unwrap()
}

fn load(reader: impl Read + Send + 'static, options: LoaderOptions) -> AsyncDataLoader {
    let records = Records::from_reader("generated", reader).unwrap();
    create_async_dataloader(records, EsmTokenizer, collator(200), options).unwrap()
}

/// What consumers got: the numbers of all records, sorted, and the error that ended the stream.
fn consume(loader: AsyncDataLoader, consumers: u64, pause: Duration) -> (Vec<u64>, Option<SeqError>) {
    let threads: Vec<_> = (0..consumers)
        .map(|seed| {
            let loader = loader.clone();
            thread::spawn(move || {
                let (mut records, mut end, mut random) = (Vec::new(), None, Random(seed));
                for loaded in loader {
                    assert!(end.is_none(), "nothing comes after an error");
                    match loaded {
                        Ok(LoaderItem::Batch(batch)) => {
                            assert!(batch.total_tokens() <= 512);
                            records.extend(batch.index.iter().map(|index| index.number));
                            assert!(batch.index.iter().all(|index| *index.id == *index.number.to_string()));
                        }
                        Ok(LoaderItem::Skipped(skipped)) => {
                            records.extend(skipped.iter().map(|skipped| skipped.record));
                            assert!(skipped.iter().all(|skipped| skipped.reason == SkipReason::Empty));
                        }
                        Err(error) => end = Some(error),
                    }
                    if !pause.is_zero() && random.below(8) == 0 {
                        thread::sleep(pause.mul_f64(random.below(100) as f64 / 100.0));
                    }
                }
                (records, end)
            })
        })
        .collect();
    drop(loader);
    let (mut records, mut end) = (Vec::new(), None);
    for thread in threads {
        let (some, error) = thread.join().unwrap();
        records.extend(some);
        end = end.or(error);
    }
    records.sort_unstable();
    (records, end)
}

#[test]
fn ten_thousand_records_come_out_once() {
    for consumers in [1, 3] {
        let loader = load(Generated::new(10_000), options());
        let watch = loader.clone();
        let (records, error) = consume(loader, consumers, Duration::from_millis(2));
        assert!(error.is_none(), "{error:?}");
        assert_eq!(records, (0..10_000).collect::<Vec<_>>());
        let counters = watch.counters();
        assert_eq!(counters.lengths.records, 10_000);
        assert_eq!(counters.sequences + counters.lengths.empty, 10_000);
        assert!(counters.lengths.truncated > 0 && counters.lengths.empty > 0);
        let stats = watch.stats().unwrap();
        assert_eq!((stats.sequences, stats.tokens), (counters.sequences, counters.tokens));
        assert_eq!(stats.batches, counters.batches);
        assert!(counters.loader_wait > Duration::ZERO);
    }
}

/// Ten million records in, ten million out, under consumers that pause, and again with a reader that dies:
/// `cargo test --release -p virpack-seq ten_million -- --ignored`
#[test]
#[ignore = "takes three minutes in release mode"]
fn ten_million_records_come_out_once() {
    let (records, error) =
        consume(load(Generated::new(10_000_000), options()), 3, Duration::from_micros(200));
    assert!(error.is_none(), "{error:?}");
    assert!(records.iter().copied().eq(0..10_000_000));
    let number = 1 + Random(77).below(9_999_999);
    let dying = Generated { dies: true, ..Generated::new(number) };
    let (records, error) = consume(load(dying, options()), 3, Duration::from_micros(200));
    assert!(matches!(error, Some(SeqError::Input(InputError::Read { .. }))));
    assert!(records.iter().copied().eq(0..number - 1));
}

#[test]
fn a_dying_reader_loses_nothing_before_it() {
    let mut random = Random(3);
    for _ in 0..20 {
        let number = 1 + random.below(6000);
        let (records, error) =
            consume(load(Generated { dies: true, ..Generated::new(number) }, options()), 2, Duration::ZERO);
        // The last record may be half read: only what follows shows that it is whole.
        assert_eq!(records, (0..number - 1).collect::<Vec<_>>());
        let error = error.unwrap();
        let SeqError::Input(InputError::Read { line, records, .. }) = &error else { panic!("{error:?}") };
        assert_eq!((*line, *records), (2 * number + 1, number - 1));
        assert!(error.to_string().starts_with(&format!("generated:{line}: ")), "{error}");
    }
}

#[test]
fn a_length_error_comes_after_the_batches_before_it() {
    let text: String =
        (0..50).map(|i| format!(">{i}\n{}\n", "M".repeat(if i == 40 { 101 } else { 9 }))).collect();
    let mut options = options();
    options.lengths.long_records = LongRecords::Error;
    let (records, error) = consume(load(io::Cursor::new(text), options), 1, Duration::ZERO);
    assert_eq!(records, (0..40).collect::<Vec<_>>());
    assert!(
        matches!(&error, Some(SeqError::TooLong { line: 81, id, length: 101, .. }) if **id == *"40"),
        "{error:?}"
    );
}

#[test]
fn windows_each_come_once() {
    let mut options = options();
    options.lengths.long_records = LongRecords::Window { overlap: 50 };
    let text = format!(">0\n{}\n>1\nMK\n", "MKTL".repeat(100));
    let loader = load(io::Cursor::new(text), options);
    let mut windows = Vec::new();
    for loaded in loader.clone() {
        let LoaderItem::Batch(batch) = loaded.unwrap() else { panic!() };
        windows
            .extend(batch.index.iter().map(|index| (index.number, index.window.number, index.window.start)));
    }
    windows.sort_unstable();
    let expected: Vec<_> = (0..7).map(|i| (0, i, 50 * u64::from(i))).chain([(1, 0, 0)]).collect();
    assert_eq!(windows, expected);
    assert_eq!((loader.counters().lengths.windowed, loader.counters().lengths.windows), (1, 7));
}

/// Panics at a letter.
struct Fragile;

impl Tokenizer for Fragile {
    fn length(&self, sequence: &[u8]) -> u64 {
        EsmTokenizer.length(sequence)
    }

    fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts {
        assert!(!sequence.contains(&b'*'), "an odd letter");
        EsmTokenizer.tokenize(sequence, max_length, tokens)
    }

    fn special_tokens(&self) -> Option<SpecialTokens> {
        EsmTokenizer.special_tokens()
    }
}

#[test]
fn batches_of_records_that_are_done_are_made_and_not_handed_out() {
    let all = |done: &Arc<IndexSet>| -> Vec<LoaderItem> {
        let options = LoaderOptions { done: Some(Arc::clone(done)), ..options() };
        load(Generated::new(2_000), options).map(|loaded| loaded.unwrap()).collect()
    };
    let is_batch = |loaded: &&LoaderItem| matches!(loaded, LoaderItem::Batch(_));
    let mut whole = all(&Arc::default());
    let mut done = IndexSet::default();
    for (i, loaded) in whole.iter().filter(is_batch).enumerate() {
        let LoaderItem::Batch(batch) = loaded else { continue };
        // Of every third batch all records are done, of every other third all but one.
        let records = batch.index.iter().map(|index| index.number);
        records.skip(i % 3).filter(|_| i % 3 < 2).for_each(|record| _ = done.insert(record));
    }
    let done = Arc::new(done);
    let rest = all(&done);
    let skipped = |loaded: &[LoaderItem]| loaded.iter().filter(|loaded| !is_batch(loaded)).count();
    assert_eq!(skipped(&rest), skipped(&whole));
    let batches = whole.iter().filter(is_batch).count();
    whole.retain_mut(|loaded| {
        let LoaderItem::Batch(batch) = loaded else { return false };
        assert!(batch.index.iter().all(|index| index.needed));
        batch.index.iter_mut().for_each(|index| index.needed = !done.contains(index.number));
        batch.index.iter().any(|index| index.needed)
    });
    assert!(!whole.is_empty() && whole.len() < batches);
    assert_eq!(rest.into_iter().filter(|loaded| is_batch(&loaded)).collect::<Vec<_>>(), whole);
}

#[test]
fn a_panic_is_an_error() {
    let text: String = (0..50).map(|i| format!(">{i}\n{}\n", if i == 30 { "M*K" } else { "MKT" })).collect();
    let records = Records::from_reader("text", io::Cursor::new(text)).unwrap();
    let loader = create_async_dataloader(records, Fragile, collator(200), options()).unwrap();
    let (records, error) = consume(loader, 2, Duration::ZERO);
    assert_eq!(records, (0..30).collect::<Vec<_>>());
    match error.unwrap() {
        error @ panicked!("tokenizing") => assert!(error.to_string().contains("an odd letter"), "{error}"),
        other => panic!("{other:?}"),
    }

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("no such disk")
        }
    }
    // The first bytes are read at the start, on the caller's thread.
    let (_, error) =
        consume(load(io::Cursor::new(*b">0\nMK\n>1").chain(Broken), options()), 1, Duration::ZERO);
    assert!(matches!(error, Some(panicked!("reading"))), "{error:?}");
}

/// Waits until every thread has let go of the counters; how long that took.
fn until_stopped(counters: &Arc<Mutex<LoaderCounters>>, threads: usize) -> Duration {
    let start = Instant::now();
    while Arc::strong_count(counters) > 1 + threads && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

#[test]
fn dropping_the_consumers_stops_the_threads() {
    for taken in [0, 1, 20] {
        let loader = load(Generated::new(u64::MAX), options());
        let other = loader.clone();
        assert_eq!(other.take(taken).filter(Result::is_err).count(), 0);
        // Let every queue fill, so that every thread stands in a send.
        thread::sleep(Duration::from_millis(30));
        let counters = Arc::clone(&loader.shared.counters);
        drop(loader);
        assert!(until_stopped(&counters, 0) < Duration::from_millis(100));
    }
}

/// Gives its text and then nothing until the sender is gone.
struct Slow(io::Cursor<Vec<u8>>, std::sync::mpsc::Receiver<()>);

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => self.1.recv().map_or(Ok(0), |()| Ok(0)),
            bytes => Ok(bytes),
        }
    }
}

#[test]
fn a_silent_pipe_stops_too() {
    let (open, wait) = std::sync::mpsc::channel();
    let loader = load(Slow(io::Cursor::new(b">0\nMK\n>1\nMK\n>2\nMK\n".to_vec()), wait), options());
    thread::sleep(Duration::from_millis(30));
    let counters = Arc::clone(&loader.shared.counters);
    drop(loader);
    // The thread in the read holds no counters; the other two do.
    assert!(until_stopped(&counters, 0) < Duration::from_millis(100));
    drop(open);
}

#[test]
fn a_slow_source_does_not_hold_batches_back() {
    let (open, wait) = std::sync::mpsc::channel();
    let max_wait = Some(Duration::from_millis(20));
    let slow = Slow(io::Cursor::new(b">0\nMK\n>1\nMK\n>2\nMK\n".to_vec()), wait);
    let loader = load(slow, LoaderOptions { max_wait, ..options() });
    let Some(Ok(LoaderItem::Batch(batch))) = loader.receive() else { panic!() };
    // The third is only known to be whole when the pipe ends.
    assert_eq!(batch.len(), 2);
    assert!(loader.counters().consumer_wait >= Duration::from_millis(10));
    drop(open);
    let Some(Ok(LoaderItem::Batch(batch))) = loader.receive() else { panic!() };
    assert_eq!((batch.len(), batch.index[0].number), (1, 2));
    assert!(loader.receive().is_none());
    assert!(loader.receive().is_none());
}

#[test]
fn backpressure_bounds_what_is_read() {
    let loader = load(Generated::new(u64::MAX), LoaderOptions { prefetch: 2, ..options() });
    // On a busy machine what may be read takes longer.
    let stands_still = |_| {
        let before = loader.progress().bytes();
        thread::sleep(Duration::from_millis(100));
        before > 0 && loader.progress().bytes() == before
    };
    assert!((0..300).any(stands_still), "reading goes on, although no batch is taken");
}

#[test]
fn a_budget_too_small_is_refused_at_the_start() {
    let records = Records::from_reader("text", &b">a\nMK\n"[..]).unwrap();
    let mut options = options();
    options.lengths.max_length = 600;
    let error = create_async_dataloader(records, EsmTokenizer, collator(10), options).unwrap_err();
    assert!(matches!(error, SeqError::BudgetTooSmall { token_budget: 512, longest: 602 }));
}
