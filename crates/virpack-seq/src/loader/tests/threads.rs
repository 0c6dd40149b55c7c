//! Several tokenizing threads give what one gives.

use super::*;
use crate::record::Record;

/// A tokenizer that is said to merge letters, so that several threads share its work.
struct Merging<T>(T);

impl<T: Tokenizer> Tokenizer for Merging<T> {
    fn length(&self, sequence: &[u8]) -> u64 {
        sequence.len() as u64
    }

    fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts {
        self.0.tokenize(sequence, max_length, tokens)
    }

    fn special_tokens(&self) -> Option<SpecialTokens> {
        self.0.special_tokens()
    }

    fn merges_letters(&self) -> bool {
        true
    }
}

#[test]
fn several_tokenizing_threads_give_what_one_gives() {
    let run = |threads| {
        let records = Records::from_reader("made", Generated::new(20_000)).unwrap();
        let options = LoaderOptions { tokenizer_threads: NonZeroUsize::new(threads), ..options() };
        let loader = create_async_dataloader(records, Merging(EsmTokenizer), collator(200), options).unwrap();
        let counters = loader.clone();
        let all: Vec<_> = loader.map(|loaded| loaded.unwrap()).collect();
        (all, counters.counters().lengths)
    };
    let one = run(1);
    assert_eq!(one.1.records, 20_000);
    for threads in [2, 5] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn a_panic_among_several_threads_is_an_error_after_what_came_before() {
    // Far enough in that another thread than the first has it.
    let letters = "MKTLLVAGGX".repeat(9);
    let sequence = |i| if i == 700 { "M*K" } else { &letters };
    let text: String = (0..900).map(|i| format!(">{i}\n{}\n", sequence(i))).collect();
    let records = Records::from_reader("text", io::Cursor::new(text)).unwrap();
    let options = LoaderOptions { tokenizer_threads: NonZeroUsize::new(4), ..options() };
    let loader = create_async_dataloader(records, Merging(Fragile), collator(200), options).unwrap();
    let (records, error) = consume(loader, 2, Duration::ZERO);
    assert_eq!(records, (0..700).collect::<Vec<_>>());
    assert!(matches!(error.unwrap(), panicked!("tokenizing")));
}

/// What a loader of these files gives with so many tokenizing threads.
fn load_files(
    paths: &[std::path::PathBuf],
    threads: usize,
) -> (Vec<LoaderItem>, Option<SeqError>, Vec<String>) {
    let inputs: Vec<_> = paths.iter().map(|path| path.clone().into()).collect();
    let records = crate::reader::open(&inputs).unwrap();
    let options = LoaderOptions { tokenizer_threads: NonZeroUsize::new(threads), ..options() };
    let mut loader = create_async_dataloader(records, EsmTokenizer, collator(200), options).unwrap();
    let (mut items, mut error) = (Vec::new(), None);
    for loaded in loader.by_ref() {
        match loaded {
            Ok(item) => items.push(item),
            Err(wrong) => error = Some(wrong),
        }
    }
    let remarks = loader.progress().remarks_on(loader.inputs());
    (items, error, remarks.iter().map(ToString::to_string).collect())
}

#[test]
fn places_remarks_and_errors_do_not_depend_on_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let letters = "MKTLLVAGGX".repeat(30);
    // Blocks are of 256 KiB: some six a file. Every 50th record is empty, and some lines are comments.
    let write = |name: &str, of: &dyn Fn(usize) -> String| {
        let path = folder.path().join(name);
        std::fs::write(&path, (0..5_000).map(of).collect::<String>()).unwrap();
        path
    };
    let record = |i: usize| match i {
        _ if i % 50 == 7 => format!(">{i}\n"),
        _ if i % 1_000 == 999 => format!(">{i}\n;a comment\n{letters}\n"),
        _ => format!(">{i} of many\n{}\n", &letters[..1 + i * 7919 % 300]),
    };
    let paths = [write("a.fa", &record), write("b.fa", &record)];
    let one = load_files(&paths, 1);
    assert!(one.1.is_none());
    assert_eq!(one.2.len(), 2, "{:?}", one.2);
    for threads in [2, 5] {
        assert!(load_files(&paths, threads).0 == one.0, "{threads} threads");
        assert_eq!(load_files(&paths, threads).2, one.2, "{threads} threads");
    }
    // The number of the record in its file, which few blocks of a thread are from.
    let stray = |i: usize| if i == 3_700 { ">odd\nMK1T\n".to_owned() } else { record(i) };
    let binary = |i: usize| if i == 4_321 { ">bin\0ary\nMKT\n".to_owned() } else { record(i) };
    let cut = |i: usize| {
        if i == 2_222 {
            "@q\nMKT\n+\nII\n".to_owned()
        } else {
            format!("@{i}\nMKT{letters}\n+\nIII{}\n", "I".repeat(300))
        }
    };
    for (name, of, number) in [
        ("stray.fa", &stray as &dyn Fn(usize) -> String, "record 3701"),
        ("binary.fa", &binary, "record 4322"),
        ("cut.fq", &cut, "record 2223"),
    ] {
        let paths = [paths[0].clone(), write(name, of)];
        let one = load_files(&paths, 1);
        let told = one.1.unwrap().to_string();
        assert!(told.contains(number), "{told}");
        let mut records = crate::reader::open(&paths.clone().map(Input::from)).unwrap();
        while records.read(&mut Record::default()).unwrap_or(false) {}
        let remarks: Vec<_> = records.remarks().iter().map(ToString::to_string).collect();
        assert_eq!(one.2, remarks, "{name}: those on what is before the error");
        for threads in [2, 5] {
            let (items, error, remarks) = load_files(&paths, threads);
            assert_eq!(remarks, one.2, "{name}, {threads} threads");
            assert!(items == one.0, "{name}, {threads} threads");
            assert_eq!(error.unwrap().to_string(), told, "{threads} threads");
        }
    }
}

#[test]
fn records_that_depend_on_those_before_them_have_one_thread() {
    let ids = |records: Records| -> Vec<String> {
        let options = LoaderOptions { tokenizer_threads: NonZeroUsize::new(4), ..options() };
        let loader = create_async_dataloader(records, EsmTokenizer, collator(200), options).unwrap();
        let mut ids: Vec<(u64, String)> = Vec::new();
        for loaded in loader {
            let LoaderItem::Batch(batch) = loaded.unwrap() else { continue };
            ids.extend(batch.index.iter().map(|index| (index.number, index.id.to_string())));
        }
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("same.fa");
    let letters = "MKTLLVAGGX".repeat(30);
    std::fs::write(&path, format!(">r\n{letters}\n").repeat(3_000)).unwrap();
    let reading = crate::ReadOptions::default().unique_ids(true);
    let numbered = ids(crate::reader::open_with(&[path.clone().into()], reading).unwrap());
    let expected = |i: usize| if i == 0 { "r".to_owned() } else { format!("r_{i}") };
    assert_eq!(numbered, (0..3_000).map(expected).collect::<Vec<_>>());
    let shard = crate::Shard::new(2, 3).unwrap();
    assert_eq!(ids(crate::reader::open(&[path.into()]).unwrap().shard(shard)).len(), 1_000);
}

#[test]
fn a_block_over_all_limits_goes_alone() {
    // Two records of 40 MB each, between small ones.
    let long = "MKTLLVAGGX".repeat(4_000_000);
    let text = format!(">0\nMK\n>1\n{long}\n>2\nMKT\n>3\n{long}\n>4\nM\n");
    let records = Records::from_reader("long", io::Cursor::new(text)).unwrap();
    let options = LoaderOptions { tokenizer_threads: NonZeroUsize::new(4), ..options() };
    let loader = create_async_dataloader(records, EsmTokenizer, collator(200), options).unwrap();
    let (records, error) = consume(loader, 1, Duration::ZERO);
    assert_eq!(records, [0, 1, 2, 3, 4]);
    assert!(error.is_none(), "{error:?}");
}
