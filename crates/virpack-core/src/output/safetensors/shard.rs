//! Writes one `.safetensors` file, whose header is known only after its data.
//!
//! The header is JSON with the offset of each tensor, and comes before the data. So the first megabytes of
//! data are held in memory. If there are more, space is reserved for any header that may follow; it may end
//! in blanks.

use std::fmt::Write as _;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::Value;

use super::{Layout, OutputDtype};
use crate::files::{PendingFile, WriteBehind};
use crate::output::{OutputError, OutputProblem, about};

/// The most bytes of data held in memory.
const HELD: usize = 8 << 20;
/// Bytes reserved for a header and the eight bytes of its length.
const ROOM: usize = 1 << 20;
/// Bytes of these for facts about the run.
const ABOUT: usize = 32 << 10;
/// The most bytes of a tensor's entry: a name, and two numbers each for shape and offsets, of twenty digits.
const ENTRY: usize = 192;

/// The writer of a file.
pub(super) struct Shard {
    pending: PendingFile,
    out: WriteBehind,
    /// The data, while they are few.
    held: Option<Vec<u8>>,
    bytes: u64,
    /// The facts about the run, as JSON.
    about: String,
    /// The tensors' entries in the header, and the offset of the next tensor.
    entries: String,
    next: u64,
}

impl Shard {
    /// Opens the file. Its final name may still change.
    pub(super) fn create(target: &Path, layout: &Layout) -> Result<Shard, OutputError> {
        let about = Value::Object(about::object(&layout.about)).to_string();
        if about.len() > ABOUT {
            let source = format!("facts about the run in {} bytes, and room for {ABOUT}", about.len()).into();
            return Err(OutputProblem::Encode { path: target.to_path_buf(), source }.into());
        }
        let (pending, file) = PendingFile::create(target)?;
        let out = WriteBehind::new(file);
        Ok(Shard { pending, out, held: Some(Vec::new()), bytes: 0, about, entries: String::new(), next: 0 })
    }

    /// Returns the bytes of data so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether the header has no space for another tensor.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() + ENTRY > ROOM - ABOUT
    }

    /// Appends data.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.bytes += bytes.len() as u64;
        self.put(bytes).map_err(OutputError::write(self.pending.target()))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(held) = &mut self.held {
            if held.len() + bytes.len() <= HELD {
                held.extend_from_slice(bytes);
                return Ok(());
            }
            self.out.seek(SeekFrom::Start(ROOM as u64))?;
            self.out.write_all(held)?;
            self.held = None;
        }
        self.out.write_all(bytes)
    }

    /// Adds the entry of a tensor, `[rows, hidden]`, that takes the next `bytes` of the data.
    pub(super) fn tensor(&mut self, name: &str, layout: &Layout, rows: u64, bytes: u64) {
        let dtype = match layout.dtype {
            OutputDtype::F32 => "F32",
            OutputDtype::F16 => "F16",
            OutputDtype::Bf16 => "BF16",
        };
        let (start, end, hidden) = (self.next, self.next + bytes, layout.hidden);
        self.next = end;
        let entry = format_args!(
            r#","{name}":{{"dtype":"{dtype}","shape":[{rows},{hidden}],"data_offsets":[{start},{end}]}}"#
        );
        self.entries.write_fmt(entry).expect("a string takes any text");
    }

    /// Writes the header and completes the file on disk.
    pub(super) fn finish(mut self) -> Result<PendingFile, OutputError> {
        let mut header = format!(r#"{{"__metadata__":{}{}}}"#, self.about, self.entries);
        // Data begin at a multiple of eight.
        let length = if self.held.is_some() { header.len().next_multiple_of(8) } else { ROOM - 8 };
        let blanks = length.checked_sub(header.len()).expect("a file is full before its header is");
        header.extend(std::iter::repeat_n(' ', blanks));
        let mut fill_in = || {
            self.out.seek(SeekFrom::Start(0))?;
            self.out.write_all(&(length as u64).to_le_bytes())?;
            self.out.write_all(header.as_bytes())?;
            self.out.write_all(self.held.as_deref().unwrap_or_default())?;
            self.out.file()?.sync_all()
        };
        fill_in().map_err(OutputError::write(self.pending.target()))?;
        Ok(self.pending)
    }
}
