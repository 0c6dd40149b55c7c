//! Every format returns what was written, read by other crates than those that write.

use ::safetensors::{Dtype, SafeTensors};
use half::{bf16, f16};
use rust_hdf5::H5File;

use virpack_seq::Hint;

use super::*;

/// The records in a file: ids and values, in order.
type Records = Vec<(String, Vec<f32>)>;

fn options(format: OutputFormat, dtype: OutputDtype, residues: bool) -> OutputOptions {
    let metadata = vec![("virpack.model".to_owned(), "ESM \"2\"\nΩ".to_owned())];
    OutputOptions {
        format: Some(format),
        dtype,
        residues,
        metadata,
        reorder_bytes: 100,
        ..Default::default()
    }
}

/// Writes records in reverse order.
fn write(path: &Path, hidden: usize, options: OutputOptions, records: &Records) -> OutputSummary {
    let mut out = create(path, hidden, options).unwrap();
    for (i, (id, values)) in records.iter().enumerate().rev() {
        out.write(row(i as u64, id), values).unwrap();
    }
    out.finish(records.len() as u64).unwrap()
}

fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
        _ => bytes.as_chunks().0.iter().map(|value| bf16::from_le_bytes(*value).to_f32()).collect(),
    }
}

/// Returns the ids in the table beside a file.
fn ids(path: &Path) -> Vec<String> {
    csv_column(&fs::read_to_string(beside(path, "records.tsv")).unwrap(), 1).split_off(1)
}

fn read_safetensors(files: &[PathBuf], path: &Path, hidden: usize, residues: bool) -> Records {
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension() == path.extension()) {
        let bytes = fs::read(file).unwrap();
        let about = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        assert_eq!((&*about["virpack.model"], about.len()), ("ESM \"2\"\nΩ", 2), "{}", file.display());
        for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            assert_eq!(tensor.shape()[1], hidden);
            found.insert(name, floats(tensor.dtype(), tensor.data()));
        }
    }
    let values: Vec<Vec<f32>> = match residues {
        true => found.into_values().collect(),
        false => {
            found.into_values().flatten().collect::<Vec<_>>().chunks(hidden).map(<[f32]>::to_vec).collect()
        }
    };
    ids(path).into_iter().zip(values).collect()
}

fn read_h5(path: &Path, hidden: usize, residues: bool) -> Records {
    let file = H5File::open(path).unwrap();
    assert_eq!(file.attr_string("virpack.model").unwrap(), "ESM \"2\"\nΩ");
    assert_eq!(file.attr_string("virpack.version").unwrap(), env!("CARGO_PKG_VERSION"));
    let ids = file.dataset("ids").unwrap().read_vlen_strings().unwrap();
    let lengths = file.dataset("lengths").unwrap().read_raw::<i64>().unwrap();
    assert!(lengths.iter().enumerate().all(|(i, length)| *length == 7 + i as i64));
    for (name, modulus) in [("unknown", 3), ("gaps", 5)] {
        let counts = file.dataset(name).unwrap().read_raw::<i64>().unwrap();
        assert!(counts.iter().enumerate().all(|(i, count)| *count == i as i64 % modulus), "{name}");
    }
    let values: Vec<Vec<f32>> = match residues {
        true => {
            let names = file.root_group().group("records").unwrap().group_names().unwrap();
            assert_eq!(names.len(), ids.len());
            let values = |i| file.dataset(&format!("records/{i:012}/embeddings")).unwrap();
            let values = |i| (values(i).shape()[1], values(i).read_numeric_as::<f32>().unwrap());
            (0..ids.len())
                .map(values)
                .map(|(width, values)| if width == hidden { values } else { vec![] })
                .collect()
        }
        false => {
            let table = file.dataset("embeddings").unwrap();
            assert_eq!(table.shape(), [ids.len(), hidden]);
            table.read_numeric_as::<f32>().unwrap().chunks(hidden).map(<[f32]>::to_vec).collect()
        }
    };
    ids.into_iter().zip(values).collect()
}

fn read_parquet_values(path: &Path, residues: bool) -> Records {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let about = reader.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(about.iter().any(|pair| pair.value.as_deref() == Some("ESM \"2\"\nΩ")));
    let value = |list: &::parquet::record::List, i: usize| {
        list.get_float(i).or_else(|_| list.get_float16(i).map(f32::from)).unwrap()
    };
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let list = row.get_list(5).unwrap();
        let values = match residues {
            true => (0..list.len())
                .map(|i| list.get_list(i).unwrap())
                .flat_map(|list| (0..list.len()).map(move |i| value(list, i)))
                .collect(),
            false => (0..list.len()).map(|i| value(list, i)).collect(),
        };
        (row.get_string(0).unwrap().clone(), values)
    });
    rows.collect()
}

fn read(
    written: &OutputSummary,
    path: &Path,
    format: OutputFormat,
    hidden: usize,
    residues: bool,
) -> Records {
    match format {
        OutputFormat::Npy => {
            let bytes = fs::read(path).unwrap();
            let dtype =
                if bytes[..128].windows(3).any(|kind| kind == b"<f2") { Dtype::F16 } else { Dtype::F32 };
            let values = floats(dtype, &bytes[128..]);
            ids(path).into_iter().zip(values.chunks(hidden).map(<[f32]>::to_vec)).collect()
        }
        OutputFormat::Parquet => read_parquet_values(path, residues),
        OutputFormat::Arrow => arrow::read_arrow(path, residues),
        OutputFormat::Safetensors => read_safetensors(&written.files, path, hidden, residues),
        OutputFormat::H5 => read_h5(path, hidden, residues),
        OutputFormat::Shard => unreachable!("a shard is read by what joins it"),
    }
}

/// Returns everything that a format can hold.
fn all() -> Vec<(OutputFormat, OutputDtype, bool)> {
    let formats = [
        OutputFormat::Npy,
        OutputFormat::Parquet,
        OutputFormat::Arrow,
        OutputFormat::Safetensors,
        OutputFormat::H5,
    ];
    let dtypes = [OutputDtype::F32, OutputDtype::F16, OutputDtype::Bf16];
    let all = formats.into_iter().flat_map(|format| dtypes.map(|dtype| (format, dtype)));
    let all = all.flat_map(|(format, dtype)| [(format, dtype, false), (format, dtype, true)]);
    all.filter(|(format, dtype, residues)| format.check(*dtype, *residues).is_ok()).collect()
}

#[test]
fn formats_hold_what_they_have_a_place_for() {
    assert_eq!(all().len(), 2 + 4 + 4 + 6 + 4);
    let directory = tempfile::tempdir().unwrap();
    let refused = |name: &str, dtype, residues| {
        let options = OutputOptions { dtype, residues, ..Default::default() };
        check(&directory.path().join(name), &options, &[]).unwrap_err()
    };
    let error = refused("a.npy", OutputDtype::F32, true);
    assert_eq!(
        error.to_string(),
        ".npy holds one row for each record, and without pooling a record has a row for each residue"
    );
    assert_eq!(error.hint().unwrap(), "use .parquet, .arrows, .safetensors or .h5, or another pooling");
    let error = refused("a.h5", OutputDtype::Bf16, false);
    assert_eq!(error.to_string(), ".h5 has no bfloat16");
    assert_eq!(error.hint().unwrap(), "use float16 or float32, or .safetensors, which has it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_format_gives_back_the_same_values_in_the_order_of_the_input(
        sizes in proptest::collection::vec((".{0,9}", 1..9usize), 0..40),
        hidden in 1..9usize,
        shard_bytes in 1..4000u64,
    ) {
        // Values that all three types hold exactly. An id may be anything, and may repeat. In a text table a
        // line end or a TAB in it is escaped.
        let plain = |id: &str| id.replace(['\t', '\n', '\r', '\0'], "_");
        let record = |i: usize, id: &str, n: usize| {
            (plain(id), (0..n * hidden).map(|j| ((i * 7 + j) % 250) as f32 / 2.0 - 60.0).collect::<Vec<f32>>())
        };
        let of = |residues: bool| -> Records {
            let sizes = sizes.iter().enumerate();
            sizes.map(|(i, (id, n))| record(i, id, if residues { *n } else { 1 })).collect()
        };
        for (format, dtype, residues) in all() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(format!("emb.{}", format.ending()));
            let options = OutputOptions { shard_bytes, ..options(format, dtype, residues) };
            let written = write(&path, hidden, options, &of(residues));
            prop_assert_eq!(read(&written, &path, format, hidden, residues), of(residues), "{:?} {:?}", format, dtype);
            for file in fs::read_dir(directory.path()).unwrap() {
                prop_assert!(written.files.contains(&file.unwrap().path()), "a file that was not named");
            }
        }
    }
}

#[test]
fn many_records_and_large_ones_are_read_back() {
    // More than a leaf, a node, a chunk and the data held for a header; ids longer than a heap's collection.
    let long = "x".repeat(200_000);
    for residues in [false, true] {
        let hidden = if residues { 4 } else { 256 };
        let records: Records = (0..9_000usize)
            .map(|i| {
                let id = if i % 4000 == 3999 { format!("{long}{i}") } else { format!("same{}", i % 3) };
                let n = if !residues {
                    1
                } else if i == 5000 {
                    600_000
                } else {
                    1 + i % 3
                };
                (id, (0..n * hidden).map(|j| (i * 31 + j) as f32).collect())
            })
            .collect();
        for format in [OutputFormat::Parquet, OutputFormat::Safetensors, OutputFormat::H5] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("emb.any");
            let written = write(&path, hidden, options(format, OutputDtype::F32, residues), &records);
            let found = read(&written, &path, format, hidden, residues);
            assert_eq!(found.len(), records.len());
            assert!(found == records, "{format:?}");
        }
    }
}

#[test]
fn shards_are_indexed_as_hugging_face_does() {
    let records: Records = (0..5u8).map(|i| (format!("r{i}"), vec![f32::from(i); 4])).collect();
    for residues in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("emb.safetensors");
        let options = OutputOptions {
            shard_bytes: 40,
            force: true,
            ..options(OutputFormat::Safetensors, OutputDtype::F32, residues)
        };
        fs::write(&path, "of an earlier run").unwrap();
        let written = write(&path, 4, options.clone(), &records);
        let shards: Vec<_> = (1..=3).map(|i| format!("emb-{i:05}-of-00003.safetensors")).collect();
        let beside =
            ["emb.safetensors.index.json", "emb.safetensors.records.tsv", "emb.safetensors.run.json"];
        let expected = [&shards[..], &beside.map(String::from)].concat();
        assert_eq!(
            names(&directory),
            expected,
            "two rows of 16 bytes a shard, and nothing of the earlier run"
        );
        assert_eq!(written.files[0], directory.path().join("emb.safetensors.index.json"));

        let index = fs::read_to_string(&written.files[0]).unwrap();
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        assert_eq!(index["metadata"]["total_size"], 80);
        assert_eq!(index["metadata"]["virpack.model"], "ESM \"2\"\nΩ");
        let map = index["weight_map"].as_object().unwrap();
        for (tensor, file) in map {
            let bytes = fs::read(directory.path().join(file.as_str().unwrap())).unwrap();
            SafeTensors::deserialize(&bytes).unwrap().tensor(tensor).unwrap();
        }
        assert_eq!(map.len(), if residues { 5 } else { 3 });
        assert_eq!(map[if residues { "000000000004" } else { "embeddings.00003" }], *shards[2]);

        // Fewer records, in one file: nothing of the earlier files stays.
        write(&path, 4, OutputOptions { shard_bytes: 1000, ..options }, &records);
        assert_eq!(
            names(&directory),
            ["emb.safetensors", "emb.safetensors.records.tsv", "emb.safetensors.run.json"]
        );
    }
}

#[test]
fn shards_may_be_more_than_a_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("emb.safetensors");
    let options =
        OutputOptions { shard_bytes: 1, ..options(OutputFormat::Safetensors, OutputDtype::F32, false) };
    let records: Records = (0..1_010u16).map(|i| (format!("r{i}"), vec![f32::from(i)])).collect();
    let written = write(&path, 1, options, &records);
    assert_eq!(written.files.len(), 1_010 + 3);
    assert_eq!(read(&written, &path, OutputFormat::Safetensors, 1, false), records);
}

#[test]
fn no_records_make_files_without_rows_in_any_format() {
    for (format, dtype, residues) in all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("emb");
        let mut out = create(&path, 48, options(format, dtype, residues)).unwrap();
        out.skip(&skipped(0, 0)).unwrap();
        let written = out.finish(1).unwrap();
        assert_eq!((written.rows, written.skipped), (0, 1));
        assert!(beside(&path, "skipped.tsv").exists());
        assert!(read(&written, &path, format, 48, residues).is_empty());
    }
}

#[test]
fn several_inputs_are_named_in_the_new_formats_too() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["emb.h5", "emb.safetensors"] {
        let mut out = create(&directory.path().join(name), 1, two_sources()).unwrap();
        out.write(Row { source: 1, ..row(0, "b") }, &[2.0]).unwrap();
        out.finish(1).unwrap();
    }
    let file = H5File::open(directory.path().join("emb.h5")).unwrap();
    assert_eq!(file.dataset("source").unwrap().read_raw::<i64>().unwrap(), [1]);
    assert_eq!(file.dataset("sources").unwrap().read_vlen_strings().unwrap(), ["a.fa", "b\tc.fa"]);
    let records = String::from_utf8(files(&directory)["emb.safetensors.records.tsv"].clone()).unwrap();
    assert!(records.ends_with("\n0\tb\tb\\tc.fa\t7\tFalse\t0\t0\n"), "{records}");
    for (name, expected) in [("unknown", 0), ("gaps", 0), ("lengths", 7)] {
        assert_eq!(file.dataset(name).unwrap().read_raw::<i64>().unwrap(), [expected], "{name}");
    }
}

#[test]
fn a_value_too_large_for_its_type_ends_the_run_and_leaves_nothing() {
    for (format, dtype, residues) in all().into_iter().filter(|(_, dtype, _)| *dtype == OutputDtype::F16) {
        let directory = tempfile::tempdir().unwrap();
        let mut out = create(&directory.path().join("emb"), 1, options(format, dtype, residues)).unwrap();
        let error = out.write(row(0, "big"), &[1e6]).unwrap_err().to_string();
        assert!(
            error.starts_with("record big: a value of 1000000 in its embedding, more than float16"),
            "{error}"
        );
        drop(out);
        assert!(names(&directory).is_empty(), "{format:?}");
    }
}

#[test]
fn a_record_without_rows_or_with_half_a_row_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(OutputFormat::H5, OutputDtype::F32, true);
    let mut out = create(&directory.path().join("emb"), 2, options).unwrap();
    for values in [&[][..], &[1.0], &[1.0; 3]] {
        assert!(matches!(out.write(row(0, "a"), values), Err(OutputError(OutputProblem::Width { .. }))));
    }
    out.write(row(0, "a"), &[1.0; 4]).unwrap();
}

#[test]
fn facts_that_have_no_room_are_refused_before_the_first_record() {
    let directory = tempfile::tempdir().unwrap();
    let metadata = vec![("virpack.model".to_owned(), "x".repeat(1 << 20))];
    let options = OutputOptions { metadata, ..Default::default() };
    let error = create(&directory.path().join("emb.safetensors"), 1, options.clone()).err().unwrap();
    assert!(matches!(error.0, OutputProblem::Encode { .. }), "{error}");
    assert!(names(&directory).is_empty());
    create(&directory.path().join("emb.h5"), 1, options).unwrap().finish(0).unwrap();
}
