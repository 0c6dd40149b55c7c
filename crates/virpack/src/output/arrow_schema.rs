//! The Arrow schema that a Parquet file carries, by which readers know that a list has a fixed size.
//!
//! Parquet itself has lists of any length only. Arrow's own writers put the schema into the file's
//! metadata, under `ARROW:schema`: an IPC message, its length before it, in base64. The message is built
//! here with `flatbuffers`, because the `arrow-ipc` crate would bring six more crates for these lines.
//! Tables, slots and numbers: `Schema.fbs` and `Message.fbs` of Apache Arrow (format 1.0 and later).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, WIPOffset};

/// The key under which readers look for the schema.
pub(super) const KEY: &str = "ARROW:schema";

/// A column type that virpack writes.
#[derive(Clone, Copy)]
pub(super) enum ArrowType {
    Utf8,
    Int64,
    Bool,
    Float {
        half: bool,
    },
    /// A list of so many floats, each of them nullable: what `pa.list_(pa.float32(), n)` is.
    Floats {
        half: bool,
        size: i32,
    },
    /// A list of any number of such lists.
    Table {
        half: bool,
        size: i32,
    },
}

/// The slot of field `number` of a table in the `.fbs` files, from 0.
const fn slot(number: u16) -> u16 {
    4 + 2 * number
}

/// The value for [`KEY`]: columns by name and type, none of them nullable, and the schema's metadata,
/// which pyarrow shows in the place of the file's.
pub(super) fn encode(columns: &[(&str, ArrowType)], metadata: &[(&str, &str)]) -> String {
    let mut builder = FlatBufferBuilder::new();
    let fields: Vec<_> = columns.iter().map(|(name, kind)| field(&mut builder, name, *kind, false)).collect();
    let fields = builder.create_vector(&fields);

    let metadata: Vec<_> = metadata.iter().map(|(key, value)| key_value(&mut builder, key, value)).collect();
    let metadata = builder.create_vector(&metadata);

    let schema = builder.start_table();
    builder.push_slot_always(slot(1), fields);
    builder.push_slot_always(slot(2), metadata); // custom_metadata
    let schema = builder.end_table(schema);

    let message = builder.start_table();
    builder.push_slot_always(slot(3), 0_i64); // bodyLength
    builder.push_slot_always(slot(2), schema); // header
    builder.push_slot_always(slot(0), 4_i16); // version: V5
    builder.push_slot_always(slot(1), 1_u8); // header_type: Schema
    let message = builder.end_table(message);
    builder.finish_minimal(message);

    let message = builder.finished_data();
    // A reader takes the message with padding to eight bytes, and its length with it.
    let padding = message.len().next_multiple_of(8) - message.len();
    let length = u32::try_from(message.len() + padding).expect("a schema of five columns is short");
    let framed = [&u32::MAX.to_le_bytes(), &length.to_le_bytes(), message, &[0; 8][..padding]].concat();
    BASE64_STANDARD.encode(framed)
}

fn field<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    name: &str,
    kind: ArrowType,
    nullable: bool,
) -> WIPOffset<TableFinishedWIPOffset> {
    let name = builder.create_string(name);
    let children = match kind {
        ArrowType::Floats { half, .. } => vec![field(builder, "element", ArrowType::Float { half }, true)],
        ArrowType::Table { half, size } => {
            vec![field(builder, "element", ArrowType::Floats { half, size }, false)]
        }
        _ => Vec::new(),
    };
    let children = builder.create_vector(&children);
    let (number, kind) = type_table(builder, kind);

    let field = builder.start_table();
    builder.push_slot_always(slot(0), name);
    builder.push_slot_always(slot(3), kind); // type
    builder.push_slot_always(slot(5), children);
    builder.push_slot_always(slot(1), nullable);
    builder.push_slot_always(slot(2), number); // type_type
    builder.end_table(field)
}

fn key_value<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    key: &str,
    value: &str,
) -> WIPOffset<TableFinishedWIPOffset> {
    let [key, value] = [key, value].map(|text| builder.create_string(text));
    let pair = builder.start_table();
    builder.push_slot_always(slot(0), key);
    builder.push_slot_always(slot(1), value);
    builder.end_table(pair)
}

/// A type's number in the union `Type`, and its table.
fn type_table(
    builder: &mut FlatBufferBuilder<'_>,
    kind: ArrowType,
) -> (u8, WIPOffset<TableFinishedWIPOffset>) {
    let table = builder.start_table();
    let number = match kind {
        ArrowType::Int64 => {
            builder.push_slot_always(slot(0), 64_i32); // bitWidth
            builder.push_slot_always(slot(1), true); // is_signed
            2
        }
        ArrowType::Float { half } => {
            builder.push_slot_always(slot(0), i16::from(!half)); // precision: HALF or SINGLE
            3
        }
        ArrowType::Utf8 => 5,
        ArrowType::Bool => 6,
        ArrowType::Floats { size, .. } => {
            builder.push_slot_always(slot(0), size); // listSize
            16
        }
        ArrowType::Table { .. } => 12,
    };
    (number, builder.end_table(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pyarrow 26 reads this as `id: string not null, embedding: fixed_size_list<element: float>[320] not
    /// null`, metadata `{a: b}`: `pa.ipc.read_schema(pa.BufferReader(base64.b64decode(…)))`.
    const GOLDEN: &str = "\
        /////zABAAAUAAAAAAAAAAwAFgAGAAUACAAMAAwAAAAAAQQAGAAAAAAAAAAAAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAw\
        AAAAAQAAAAwAAAAIAAwACAAEAAgAAAAIAAAADAAAAAEAAABiAAAAAQAAAGEAAAACAAAAmAAAAAQAAADU////AAAQABwA\
        AAAQAAAAYAAAAAAABgAIAAQABgAAAEABAAABAAAAFAAAABAAFgAQAAcABgAMAAAACAAQAAAAAAADARwAAAAQAAAAGAAA\
        AAAABgAIAAYABgAAAAAAAQAAAAAABwAAAGVsZW1lbnQACQAAAGVtYmVkZGluZwAAABAAFAAQAAcABgAMAAAACAAQAAAA\
        AAAFABQAAAAMAAAAEAAAAAQABAAEAAAAAAAAAAIAAABpZAAA";

    #[test]
    fn the_message_is_the_one_that_pyarrow_was_seen_to_read() {
        let columns = [("id", ArrowType::Utf8), ("embedding", ArrowType::Floats { half: false, size: 320 })];
        assert_eq!(encode(&columns, &[("a", "b")]), GOLDEN);
    }

    #[test]
    fn the_message_is_padded_to_eight_bytes_whatever_the_names() {
        for n in 0..20 {
            let name = "x".repeat(n);
            let bytes = BASE64_STANDARD.decode(encode(&[(&name, ArrowType::Bool)], &[])).unwrap();
            let length = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
            assert_eq!((length % 8, length + 8), (0, bytes.len()));
        }
    }
}
