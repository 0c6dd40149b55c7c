//! Streams of Arrow's IPC format, read by the crate's reader, and the schema in Parquet files.

use std::io::Cursor;

use ::parquet::file::metadata::KeyValue;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use base64::Engine as _;

use super::*;

fn read_stream(bytes: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let reader = StreamReader::try_new(Cursor::new(bytes), None)?;
    let schema = reader.schema();
    Ok((schema, reader.collect::<Result<_, _>>()?))
}

fn floats(values: &ArrayRef) -> Vec<f32> {
    match values.data_type() {
        DataType::Float32 => values.as_primitive::<Float32Type>().values().to_vec(),
        _ => values.as_primitive::<Float16Type>().values().iter().map(|value| value.to_f32()).collect(),
    }
}

/// Returns ids and values of an `.arrows` file, whose counts are those of `row`.
pub(super) fn read_arrow(path: &Path, residues: bool) -> Vec<(String, Vec<f32>)> {
    let (schema, batches) = read_stream(&fs::read(path).unwrap()).unwrap();
    assert_eq!(schema.metadata().get("virpack.model").map(|model| &**model), Some("ESM \"2\"\nΩ"));
    let mut all = Vec::new();
    for batch in &batches {
        for i in 0..batch.num_rows() {
            let number = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(i);
            let record = all.len() as i64;
            assert_eq!([number(1), number(3), number(4)], [7 + record, record % 3, record % 5]);
            assert_eq!(batch.column(2).as_boolean().value(i), record % 2 == 1);
            let mut values = batch.column(5).clone();
            if residues {
                values = values.as_list::<i32>().value(i);
                values = values.as_fixed_size_list().values().clone();
            } else {
                values = values.as_fixed_size_list().value(i);
            }
            all.push((batch.column(0).as_string::<i32>().value(i).to_owned(), floats(&values)));
        }
    }
    all
}

/// Writes `rows` rows of 1,024 floats; 256 of them fill a batch.
fn stream(directory: &TempDir, rows: u64) -> (PathBuf, EmbeddingWriter) {
    let path = directory.path().join("emb.arrows");
    let mut out = create(&path, 1024, two_sources()).unwrap();
    for i in 0..rows {
        out.write(row(i, &format!("r{i}")), &[i as f32; 1024]).unwrap();
    }
    (path, out)
}

#[test]
fn batches_are_written_as_they_fill_and_a_stream_that_is_cut_is_not_a_stream() {
    let directory = tempfile::tempdir().unwrap();
    let (path, out) = stream(&directory, 600);
    // Two batches are in the file, and the third is incomplete.
    let begun = files(&directory).into_values().next().unwrap();
    assert!(begun.len() > 2 << 20 && begun.ends_with(&[0xff; 4]), "{}", begun.len());
    assert!(read_stream(&begun).is_err(), "a run that ends here");
    out.finish(600).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.starts_with(&begun));
    let (_, batches) = read_stream(&whole).unwrap();
    let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [256, 256, 88]);
    let last = batches[2].column(6).as_fixed_size_list().value(87);
    assert_eq!(floats(&last), [599.0; 1024]);
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "a.fa");
    let cuts = (0..whole.len()).filter(|cut| cut % 997 == 0 || *cut > whole.len() - 900);
    let pass: Vec<_> = cuts.filter(|cut| read_stream(&whole[..*cut]).is_ok()).collect();
    let end = whole.len() - 8;
    assert_eq!(
        pass,
        [end, end + 1, end + 2, end + 3],
        "within the marker, which is written with what is before it"
    );
}

#[test]
fn parquet_carries_the_schema_of_the_stream() {
    let directory = tempfile::tempdir().unwrap();
    for (dtype, residues) in [(OutputDtype::F32, false), (OutputDtype::F16, true)] {
        let options = OutputOptions { dtype, residues, force: true, ..two_sources() };
        for name in ["a.parquet", "a.arrows"] {
            let mut out = create(&directory.path().join(name), 2, options.clone()).unwrap();
            out.write(row(0, "a"), &[1.0, 2.0]).unwrap();
            out.finish(1).unwrap();
        }
        let reader = SerializedFileReader::new(File::open(directory.path().join("a.parquet")).unwrap());
        let reader = reader.unwrap();
        let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
        let is_schema = |pair: &&KeyValue| pair.key == schema::KEY;
        let text = pairs.iter().find(is_schema).unwrap().value.clone().unwrap();
        let message = base64::prelude::BASE64_STANDARD.decode(text).unwrap();
        assert_eq!(message.len() % 8, 0);
        let (in_parquet, _) = read_stream(&message).unwrap();
        let (in_stream, _) = read_stream(&files(&directory)["a.arrows"]).unwrap();
        assert_eq!(in_parquet, in_stream);
        let names: Vec<_> = in_stream.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "source", "length", "truncated", "unknown", "gaps", "embedding"]);
        assert_eq!(in_stream.metadata().get("virpack.version").unwrap(), env!("CARGO_PKG_VERSION"));
    }
}
