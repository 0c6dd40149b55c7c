//! The columns of columnar formats as Arrow's schema, with the facts about the run.

use std::sync::Arc;

use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Metadata, Schema};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Layout, OutputDtype};

/// The key under which readers of Parquet look for the schema. Parquet itself has only lists of variable
/// length.
pub(super) const KEY: &str = "ARROW:schema";

/// Returns the columns of a file with this layout.
pub(super) fn of(layout: &Layout) -> Schema {
    let (text, number) = (DataType::Utf8, DataType::Int64);
    let column = |name: &str, kind: &DataType| Field::new(name, kind.clone(), false);
    let mut columns = vec![
        column("id", &text),
        column("source", &text),
        column("length", &number),
        column("truncated", &DataType::Boolean),
        column("unknown", &number),
        column("gaps", &number),
        column("embedding", &embedding(layout)),
    ];
    columns.retain(|column| !layout.sources.is_empty() || column.name() != "source");
    Schema::new(columns).with_metadata(Metadata::from_iter(layout.about.iter().cloned()))
}

/// Returns the type of an embedding: a list of `hidden` floats, or a variable-length list of such lists.
fn embedding(layout: &Layout) -> DataType {
    let row = DataType::FixedSizeList(float(layout), width(layout));
    if layout.residues { DataType::List(Arc::new(Field::new("element", row, false))) } else { row }
}

/// Returns the element of a list of floats, which may be null, as in `pa.list_(pa.float32(), n)`.
pub(super) fn float(layout: &Layout) -> Arc<Field> {
    let half = layout.dtype == OutputDtype::F16;
    Arc::new(Field::new("element", if half { DataType::Float16 } else { DataType::Float32 }, true))
}

/// Returns the number of floats in a row.
pub(super) fn width(layout: &Layout) -> i32 {
    i32::try_from(layout.hidden).expect("a model is narrower than 2^31")
}

/// Returns the value of [`KEY`]: the schema as a message of Arrow's IPC format, in base64.
pub(super) fn for_parquet(layout: &Layout) -> Result<String, ArrowError> {
    let message = StreamWriter::try_new(Vec::new(), &of(layout))?;
    Ok(BASE64_STANDARD.encode(message.get_ref()))
}
