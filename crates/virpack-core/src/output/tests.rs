//! Complete runs: the contents of the directory afterwards, read by hand and by the parquet crate.

use std::collections::BTreeMap;
use std::fs::{self, File};

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{ListAccessor, RowAccessor};
use proptest::prelude::*;
use tempfile::TempDir;
use virpack_seq::{Hint, SequenceIndex, SkipReason};

use super::format::special_name;
use super::*;
use crate::files::FileProblem;

mod arrow;
mod formats;

fn row(record: u64, id: &str) -> Row {
    let (unknown, gaps) = (record as u32 % 3, record as u32 % 5);
    Row { record, source: 0, id: id.into(), length: 7 + record, truncated: record % 2 == 1, unknown, gaps }
}

fn skipped(record: u64, source: u32) -> SkippedRecord {
    SkippedRecord { record, source, line: 3, id: "bad".into(), length: 0, reason: SkipReason::Empty }
}

fn two_sources() -> OutputOptions {
    OutputOptions { sources: vec!["a.fa".into(), "b\tc.fa".into()], ..Default::default() }
}

/// Returns everything in the directory with its bytes, hidden files included.
fn files(directory: &TempDir) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|f| (f.file_name().unwrap().to_str().unwrap().into(), fs::read(&f).unwrap_or_default()))
        .collect()
}

fn names(directory: &TempDir) -> Vec<String> {
    files(directory).into_keys().collect()
}

/// Returns the shape and the values of a `.npy` file, parsed by hand.
fn read_npy(bytes: &[u8]) -> (String, Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(end % 64, 0);
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': ("), "{header}");
    assert!(header.ends_with(" \n"));
    let shape = header.split_once("'shape': ").unwrap().1.split_once(", }").unwrap().0;
    let values = bytes[end..].as_chunks().0.iter().map(|value| f32::from_le_bytes(*value));
    (shape.to_owned(), values.collect())
}

/// Returns the rows of a `.parquet` file by the parquet crate: id, source, length, truncated, embedding.
fn read_parquet(path: &Path, several: bool) -> Vec<(String, String, i64, bool, Vec<f32>)> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let k = usize::from(several);
        let list = row.get_list(5 + k).unwrap();
        let record = row.get_long(1 + k).unwrap() - 7;
        let counts = [row.get_long(3 + k).unwrap(), row.get_long(4 + k).unwrap()];
        assert_eq!(counts, [record % 3, record % 5], "unknown letters and gaps");
        let embedding = (0..list.len()).map(|i| list.get_float(i).unwrap()).collect();
        let source = if several { row.get_string(1).unwrap().clone() } else { String::new() };
        let id = row.get_string(0).unwrap().clone();
        (id, source, row.get_long(1 + k).unwrap(), row.get_bool(2 + k).unwrap(), embedding)
    });
    rows.collect()
}

#[test]
fn npy_holds_rows_in_input_order_with_ids_and_skipped_records_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("emb.v1.npy");
    let mut out = create(&path, 2, OutputOptions::default()).unwrap();
    out.write(row(3, "tr|Ω,\"x\"|é"), &[5.0, f32::MIN_POSITIVE]).unwrap();
    out.skip(&skipped(1, 0)).unwrap();
    out.write(row(0, "same"), &[1.0, -2.0]).unwrap();
    out.write(row(2, "same"), &[3.0, 4.0]).unwrap();
    assert!(names(&directory).iter().all(|name| name.starts_with('.')));
    let written = out.finish(4).unwrap();
    assert_eq!((written.rows, written.skipped, written.truncated.records), (3, 1, 1));
    assert_eq!(written.files[0], path);

    let files = files(&directory);
    assert_eq!(
        names(&directory),
        ["emb.v1.npy", "emb.v1.npy.records.tsv", "emb.v1.npy.run.json", "emb.v1.npy.skipped.tsv"]
    );
    let (shape, values) = read_npy(&files["emb.v1.npy"]);
    assert_eq!((&*shape, values), ("(3, 2)", vec![1.0, -2.0, 3.0, 4.0, 5.0, f32::MIN_POSITIVE]));
    let expected = [
        "row\tid\tlength\ttruncated\tunknown\tgaps\n",
        "0\tsame\t7\tFalse\t0\t0\n",
        "1\tsame\t9\tFalse\t2\t2\n",
        "2\t\"tr|Ω,\"\"x\"\"|é\"\t10\tTrue\t0\t3\n",
    ];
    assert_eq!(files["emb.v1.npy.records.tsv"], expected.concat().as_bytes());
    let first = |noted: &NotedRecords| (noted.records, noted.letters, noted.first.clone());
    assert_eq!(first(&written.unknown), (1, 2, Some("same".into())));
    assert_eq!(first(&written.gaps), (2, 5, Some("same".into())));
    assert_eq!(written.truncated.first.as_deref(), Some("tr|Ω,\"x\"|é"));
    assert_eq!((written.repeated.ids, written.repeated.first.as_deref()), (1, Some("same")));
    assert_eq!(
        files["emb.v1.npy.skipped.tsv"],
        b"record\tsource\tline\tid\tlength\treason\n1\t\t3\tbad\t0\tempty\n"
    );
}

#[test]
fn several_inputs_are_named_in_every_table() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["emb.npy", "other.parquet"] {
        let mut out = create(&directory.path().join(name), 1, two_sources()).unwrap();
        out.write(Row { source: 1, ..row(1, "b") }, &[2.0]).unwrap();
        out.write(row(0, "a"), &[1.0]).unwrap();
        out.skip(&skipped(2, 1)).unwrap();
        out.finish(3).unwrap();
    }
    let files = files(&directory);
    let expected = "row\tid\tsource\tlength\ttruncated\tunknown\tgaps\n\
                    0\ta\ta.fa\t7\tFalse\t0\t0\n1\tb\tb\\tc.fa\t8\tTrue\t1\t1\n";
    assert_eq!(files["emb.npy.records.tsv"], expected.as_bytes());
    assert!(files["emb.npy.skipped.tsv"].ends_with(b"\n2\tb\\tc.fa\t3\tbad\t0\tempty\n"));
    let rows = read_parquet(&directory.path().join("other.parquet"), true);
    assert_eq!(rows[0], ("a".into(), "a.fa".into(), 7, false, vec![1.0]));
    assert_eq!(rows[1], ("b".into(), "b\tc.fa".into(), 8, true, vec![2.0]));
}

#[test]
fn parquet_row_groups_are_bounded_and_its_metadata_names_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("emb.parquet");
    let hidden = 1 << 20; // 4 MiB a row, so four rows a group
    let metadata = vec![("virpack.model".to_owned(), "esm2".to_owned())];
    let mut out = create(&path, hidden, OutputOptions { metadata, ..Default::default() }).unwrap();
    for record in (0..9).rev() {
        out.write(row(record, "x"), &vec![record as f32; hidden]).unwrap();
    }
    out.finish(9).unwrap();
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let groups = reader.metadata().row_groups().iter().map(|group| group.num_rows());
    assert_eq!(groups.collect::<Vec<_>>(), [4, 4, 1]);
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap();
    assert_eq!(value("virpack.model"), "esm2");
    assert_eq!(value("virpack.version"), env!("CARGO_PKG_VERSION"));
    let rows = read_parquet(&path, false);
    assert!(rows.iter().enumerate().all(|(i, row)| row.4 == vec![i as f32; hidden]));
}

#[test]
fn no_records_make_files_without_rows() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["emb.npy", "emb.parquet"] {
        let out = create(&directory.path().join(name), 320, OutputOptions::default()).unwrap();
        assert_eq!(out.finish(0).unwrap().rows, 0);
    }
    let files = files(&directory);
    assert_eq!(
        names(&directory),
        ["emb.npy", "emb.npy.records.tsv", "emb.npy.run.json", "emb.parquet", "emb.parquet.run.json"]
    );
    assert_eq!(read_npy(&files["emb.npy"]), ("(0, 320)".into(), vec![]));
    assert_eq!(files["emb.npy.records.tsv"], b"row\tid\tlength\ttruncated\tunknown\tgaps\n");
    assert!(read_parquet(&directory.path().join("emb.parquet"), false).is_empty());
}

#[test]
fn an_unfinished_run_leaves_nothing_and_the_old_result_stays() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["emb.h5", "emb.npy", "emb.parquet", "emb.safetensors"] {
        fs::write(directory.path().join(name), "old").unwrap();
        let path = directory.path().join(name);
        let options = OutputOptions { force: true, reorder_bytes: 0, ..Default::default() };
        let mut out = create(&path, 1, options.clone()).unwrap();
        out.skip(&skipped(0, 0)).unwrap();
        out.write(row(1, "a"), &[1.0]).unwrap();
        out.write(row(3, "waits on disk"), &[1.0]).unwrap();
        drop(out);
        assert_eq!(fs::read(&path).unwrap(), b"old");

        let mut out = create(&path, 1, options).unwrap();
        out.write(row(1, "a"), &[1.0]).unwrap();
        let error = out.finish(2).unwrap_err();
        assert!(
            matches!(error.0, OutputProblem::Missing { record: 0, delivered: 1, expected: 2 }),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
    assert_eq!(names(&directory), ["emb.h5", "emb.npy", "emb.parquet", "emb.safetensors"]);
}

#[test]
fn an_existing_output_or_side_file_is_refused_and_force_leaves_none_of_the_old() {
    let st = "emb-00002-of-00002.safetensors";
    for (main, sides) in [
        ("emb.npy", ["emb.npy.records.tsv", "emb.npy.run.json"]),
        ("emb.parquet", ["emb.parquet.skipped.tsv"; 2]),
        ("emb.safetensors", ["emb.safetensors.index.json", st]),
        ("emb.h5", ["emb.h5.skipped.tsv"; 2]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(main);
        for name in [main, sides[0], sides[1]] {
            let old = directory.path().join(name);
            fs::write(&old, "old").unwrap();
            let error = create(&path, 1, OutputOptions::default()).err().unwrap();
            assert!(matches!(&error.0, OutputProblem::Exists(path) if *path == old), "{error}");
            assert_eq!(names(&directory), [name]);
            fs::remove_file(old).unwrap();
        }
        for name in [main, sides[0], sides[1]] {
            fs::write(directory.path().join(name), "old").unwrap();
        }
        let options = OutputOptions { force: true, ..Default::default() };
        let mut out = create(&path, 1, options).unwrap();
        out.write(row(0, "a"), &[1.0]).unwrap();
        out.finish(1).unwrap();
        let files = files(&directory);
        assert!(!files.contains_key(&format!("{main}.skipped.tsv")), "a table of another run stayed");
        assert!(!files.contains_key(st), "a shard of another run stayed");
        assert!(files.values().all(|bytes| bytes != b"old"));
    }
}

#[test]
fn tables_of_another_output_stay() {
    let directory = tempfile::tempdir().unwrap();
    let others = ["emb.npy.records.tsv", "emb.npy.skipped.tsv"];
    others.iter().for_each(|name| fs::write(directory.path().join(name), "of emb.npy").unwrap());
    for (name, force) in ["emb.parquet", "emb.safetensors"].into_iter().flat_map(|n| [(n, false), (n, true)])
    {
        let options = OutputOptions { force, ..Default::default() };
        let mut out = create(&directory.path().join(name), 1, options).unwrap();
        out.skip(&skipped(0, 0)).unwrap();
        out.finish(1).unwrap();
    }
    let files = files(&directory);
    assert!(others.iter().all(|name| files[*name] == b"of emb.npy"));
    assert!(
        ["emb.safetensors.records.tsv", "emb.safetensors.skipped.tsv"]
            .iter()
            .all(|name| files.contains_key(*name))
    );
}

#[test]
fn a_name_taken_during_the_run_is_left_alone_and_the_result_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("emb.npy");
    let mut out = create(&path, 1, OutputOptions::default()).unwrap();
    out.write(row(0, "a"), &[1.0]).unwrap();
    fs::write(&path, "theirs").unwrap();
    let error = out.finish(1).unwrap_err();
    let OutputError(OutputProblem::File(FileProblem::Publish { path: named, kept, .. })) = &error else {
        panic!("{error}")
    };
    assert_eq!((named, kept.len()), (&path, 3));
    assert_eq!(read_npy(&fs::read(&kept[2]).unwrap()).1, [1.0]);
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    assert!(error.hint().unwrap().starts_with("nothing is lost"), "{error:?}");
}

#[test]
fn the_asked_name_does_not_appear_when_a_table_beside_it_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("emb.npy");
    let options = OutputOptions { force: true, ..Default::default() };
    let mut out = create(&path, 1, options).unwrap();
    out.write(row(0, "a"), &[1.0]).unwrap();
    out.skip(&skipped(1, 0)).unwrap();
    fs::create_dir(directory.path().join("emb.npy.skipped.tsv")).unwrap();
    let error = out.finish(2).unwrap_err();
    let OutputError(OutputProblem::File(FileProblem::Publish { path: named, kept, .. })) = &error else {
        panic!("{error}")
    };
    assert!(named.ends_with("emb.npy.skipped.tsv"), "{error}");
    assert_eq!(kept.len(), 3);
    assert!(!path.exists());
    assert_eq!(read_npy(&fs::read(&kept[2]).unwrap()).1, [1.0]);
}

#[test]
fn destinations_that_cannot_work_are_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &str| {
        let error = create(&directory.path().join(path), 1, OutputOptions::default()).err().unwrap();
        let said = error.to_string().replace(directory.path().to_str().unwrap(), "DIR");
        (said, error.hint().unwrap().into_owned())
    };
    let (said, hint) = refused("emb.csv");
    assert_eq!(said, "DIR/emb.csv: .csv is not a known output format");
    assert_eq!(hint, "use one of .npy, .parquet, .arrows, .safetensors, .h5");
    assert_eq!(refused("emb").0, "DIR/emb: a name without an ending is not a known output format");
    assert!(refused("none/emb.npy").0.starts_with("cannot write into DIR/none: "));
    fs::create_dir(directory.path().join("dir.npy")).unwrap();
    assert_eq!(refused("dir.npy").0, "DIR/dir.npy is a directory, not a regular file");
    fs::write(directory.path().join("file"), "").unwrap();
    assert!(refused("file/emb.npy").1.starts_with("a part of the path is a file"));
    assert_eq!(special_name(Path::new("/dev/shm/x.npy")), None);
    assert_eq!(special_name(Path::new("-")), Some("standard output"), "where none is taken");
    let special = ["/dev/x.npy", "/proc/self/fd/1", "/dev/stdout", "/dev/null", "new.npy/"];
    for (path, force) in special.into_iter().flat_map(|path| [(path, false), (path, true)]) {
        let options = OutputOptions { force, ..Default::default() };
        let error = create(Path::new(path), 1, options).err().unwrap();
        assert!(matches!(error.0, OutputProblem::NotAFile { .. }), "{error}");
    }
    assert!(create(&directory.path().join("emb.NPY"), 1, OutputOptions::default()).is_ok());
    assert_eq!(names(&directory), ["dir.npy", "file"]);
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut out = create(&directory.path().join("emb.npy"), 2, two_sources()).unwrap();
    let error = out.write(row(0, "a"), &[1.0]).unwrap_err();
    assert!(matches!(error.0, OutputProblem::Width { expected: 2, given: 1, .. }), "{error}");
    let error = out.skip(&skipped(0, 2)).unwrap_err();
    assert!(matches!(error.0, OutputProblem::UnknownSource { source_index: 2, sources: 2, .. }), "{error}");
    out.write(row(0, "a"), &[1.0, 1.0]).unwrap();
    let error = out.skip(&skipped(0, 0)).unwrap_err();
    assert!(matches!(error.0, OutputProblem::Duplicate { record: 0, .. }), "{error}");
}

#[test]
fn a_packed_sequence_is_a_row() {
    let index =
        SequenceIndex { source: 1, truncated: true, unknown: 3, gaps: 4, ..SequenceIndex::new(4, "p", 2000) };
    assert_eq!(
        Row::from(&index),
        Row { record: 4, source: 1, id: "p".into(), length: 2000, truncated: true, unknown: 3, gaps: 4 }
    );
}

/// Returns a column of a table as readers of CSV with TABs see it, unescaped.
fn csv_column(text: &str, column: usize) -> Vec<String> {
    let cell = |line: &str| {
        let cell = line.split('\t').nth(column).unwrap();
        let quoted = cell.strip_prefix('"').map(|cell| cell.strip_suffix('"').unwrap().replace("\"\"", "\""));
        let mut text = quoted.unwrap_or_else(|| cell.to_owned());
        let codes = (0..0xa0).chain(0x2028..=0x202e).chain(0x2066..=0x2069).chain([0xfffe, 0xffff]);
        for code in codes.filter(|_| cell.contains('\\')) {
            let letter = char::from_u32(code).unwrap();
            let escape = if code < 0x100 { format!("\\x{code:02x}") } else { format!("\\u{code:04x}") };
            text = text.replace(&escape, &letter.to_string());
        }
        text
    };
    text.split_terminator('\n').map(cell).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_written_in_any_order_is_read_back_in_order(
        ids in proptest::collection::vec("[^\\s\\\\]{0,12}", 0..40),
        order in any::<u64>(),
        hidden in 1..9usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let value = |record: usize, i: usize| record as f32 + i as f32 / 16.0;
        for name in ["emb.npy", "emb.parquet"] {
            let options = OutputOptions { reorder_bytes: 10 * hidden, ..Default::default() };
            let mut out = create(&directory.path().join(name), hidden, options).unwrap();
            let mut records: Vec<usize> = (0..ids.len()).collect();
            records.sort_by_key(|&record| (record as u64 + 1).wrapping_mul(order | 1).rotate_left(29));
            for record in records {
                let embedding: Vec<f32> = (0..hidden).map(|i| value(record, i)).collect();
                out.write(row(record as u64, &ids[record]), &embedding).unwrap();
            }
            out.finish(ids.len() as u64).unwrap();
        }
        let files = files(&directory);
        let expected: Vec<f32> =
            (0..ids.len()).flat_map(|record| (0..hidden).map(move |i| value(record, i))).collect();
        let (shape, values) = read_npy(&files["emb.npy"]);
        prop_assert_eq!(shape, format!("({}, {hidden})", ids.len()));
        prop_assert_eq!(&values, &expected);
        let text = std::str::from_utf8(&files["emb.npy.records.tsv"]).unwrap();
        prop_assert_eq!(csv_column(text, 1).split_off(1), ids.clone());
        let rows = read_parquet(&directory.path().join("emb.parquet"), false);
        prop_assert_eq!(rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(), ids);
        prop_assert_eq!(rows.into_iter().flat_map(|row| row.4).collect::<Vec<_>>(), expected);
    }
}
