//! Object headers, version 1, which describe a dataset or a group by a list of messages.

use super::object::UNDEFINED;

/// The type of the elements of a dataset or attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datatype {
    Float32,
    Float16,
    Int64,
    /// The same as in h5py: an enumeration of `FALSE` and `TRUE`.
    Bool,
    /// UTF-8 of any length, in a heap.
    Text,
}

impl Datatype {
    /// Returns the bytes of an element.
    pub(super) fn bytes(self) -> usize {
        match self {
            Datatype::Text => 16,
            Datatype::Int64 => 8,
            Datatype::Float32 => 4,
            Datatype::Float16 => 2,
            Datatype::Bool => 1,
        }
    }

    /// Returns the message, with little-endian types of version 1.
    fn encode(self) -> Vec<u8> {
        let message = |class: u8, bits: [u8; 3], size: u32, properties: &[u8]| {
            [&[0x10 | class, bits[0], bits[1], bits[2]], &size.to_le_bytes()[..], properties].concat()
        };
        // The positions and widths of exponent and mantissa, and the exponent's bias.
        let float = |bits: u8, exponent: u8, mantissa: u8, bias: u32| {
            let properties = [0, 0, bits, 0, mantissa, exponent, 0, mantissa];
            let properties = [&properties[..], &bias.to_le_bytes()].concat();
            message(1, [0x20, bits - 1, 0], u32::from(bits) / 8, &properties)
        };
        let integer = |bits: u8, signed: bool| {
            message(0, [u8::from(signed) << 3, 0, 0], u32::from(bits) / 8, &[0, 0, bits, 0])
        };
        match self {
            Datatype::Float32 => float(32, 8, 23, 127),
            Datatype::Float16 => float(16, 5, 10, 15),
            Datatype::Int64 => integer(64, true),
            Datatype::Bool => {
                let members = [&integer(8, true), &b"FALSE\0\0\0TRUE\0\0\0\0"[..], &[0, 1]].concat();
                message(8, [2, 0, 0], 1, &members)
            }
            Datatype::Text => message(9, [1, 1, 0], 16, &integer(8, false)),
        }
    }
}

/// Returns the message for a dataset's rows and columns.
fn dataspace(sizes: &[u64], can_grow: bool) -> Vec<u8> {
    let mut message = vec![1, sizes.len() as u8, u8::from(can_grow), 0, 0, 0, 0, 0];
    message.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    if can_grow {
        let most = sizes.iter().enumerate().map(|(i, size)| if i == 0 { UNDEFINED } else { *size });
        message.extend(most.flat_map(u64::to_le_bytes));
    }
    message
}

/// A header, built message by message.
#[derive(Default)]
pub(super) struct ObjectHeader {
    messages: Vec<u8>,
    count: u16,
}

impl ObjectHeader {
    /// Returns the header of a group that holds its own links.
    pub(super) fn group() -> ObjectHeader {
        let mut header = ObjectHeader::default();
        // No heap and no tree of links.
        header.message(0x02, &[&[0, 0][..], &[0xff; 16]].concat());
        header.message(0x0a, &[0, 0]);
        header
    }

    /// Returns the header of a group whose links are in a tree.
    pub(super) fn large_group(tree: u64, heap: u64) -> ObjectHeader {
        let mut header = ObjectHeader::default();
        header.message(0x11, &[tree.to_le_bytes(), heap.to_le_bytes()].concat());
        header
    }

    /// Returns the header of a dataset that is contiguous.
    pub(super) fn piece(datatype: Datatype, sizes: &[u64], address: u64, bytes: u64) -> ObjectHeader {
        let mut header = ObjectHeader::dataset(datatype, &dataspace(sizes, false), 1);
        header.message(0x08, &[&[3, 1][..], &address.to_le_bytes(), &bytes.to_le_bytes()].concat());
        header
    }

    /// Returns the header of an extensible dataset in chunks of `chunk` elements.
    pub(super) fn chunked(datatype: Datatype, sizes: &[u64], chunk: &[u32], tree: u64) -> ObjectHeader {
        let mut header = ObjectHeader::dataset(datatype, &dataspace(sizes, true), 3);
        let mut layout = vec![3, 2, chunk.len() as u8 + 1];
        layout.extend(tree.to_le_bytes());
        let element = datatype.bytes() as u32;
        layout.extend(chunk.iter().chain([&element]).flat_map(|size| size.to_le_bytes()));
        header.message(0x08, &layout);
        header
    }

    fn dataset(datatype: Datatype, dataspace: &[u8], allocation: u8) -> ObjectHeader {
        let mut header = ObjectHeader::default();
        header.message(0x01, dataspace);
        header.message(0x03, &datatype.encode());
        // Unwritten elements are zero.
        header.message(0x05, &[2, allocation, 2, 1, 0, 0, 0, 0]);
        header
    }

    /// Adds a link to an object of this group; `name` is short and ASCII.
    pub(super) fn link(&mut self, name: &str, address: u64) {
        self.message(0x06, &[&[1, 0, name.len() as u8], name.as_bytes(), &address.to_le_bytes()].concat());
    }

    /// Adds a single value.
    pub(super) fn attribute(&mut self, name: &str, datatype: Datatype, value: &[u8]) {
        let padded = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let (name, datatype, dataspace) =
            ([name.as_bytes(), &[0]].concat(), datatype.encode(), dataspace(&[], false));
        let mut message = vec![1, 0];
        for part in [&name, &datatype, &dataspace] {
            message.extend((part.len() as u16).to_le_bytes());
        }
        message.extend([padded(&name), padded(&datatype), padded(&dataspace), value.to_vec()].concat());
        self.message(0x0c, &message);
    }

    fn message(&mut self, kind: u16, data: &[u8]) {
        let size = data.len().next_multiple_of(8);
        self.messages.extend(kind.to_le_bytes());
        let size_field = u16::try_from(size).expect("texts stand in the heap, and names are short");
        self.messages.extend(size_field.to_le_bytes());
        self.messages.extend([0; 4]);
        self.messages.extend(data);
        self.messages.resize(self.messages.len() + size - data.len(), 0);
        self.count += 1;
    }

    /// Returns the header as it is in the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut header = vec![1, 0];
        header.extend(self.count.to_le_bytes());
        header.extend(1u32.to_le_bytes());
        header.extend((self.messages.len() as u32).to_le_bytes());
        header.extend([0; 4]);
        header.extend(&self.messages);
        header
    }
}
