//! The blocks of records that follow each other inside an input.

use std::sync::Arc;

use super::super::ReadProgress;
use super::super::parser::Format;
use super::super::source::Source;
use super::{Blocks, Cutter};
use crate::input::Input;

impl Blocks {
    /// The blocks of what `source` reads of input `number`: it begins at a record, `line` lines from the
    /// first (which is 1) and `offset` bytes into the input, decompressed.
    pub(in super::super) fn of_range(
        source: Source,
        inputs: Arc<[Input]>,
        number: u32,
        line: u64,
        offset: u64,
        progress: Arc<ReadProgress>,
    ) -> Self {
        let cutter = inputs.get(number as usize).map(|input| {
            let cutter = Cutter::new(source, input.clone(), number, Arc::clone(&progress));
            Cutter { line, offset, inside: offset > 0, ..cutter }
        });
        Blocks { next: inputs.len(), cutter, ..Blocks::new(inputs, progress) }
    }
}

impl Cutter {
    /// Takes the format of records inside an input from the mark of the first: what else a header may be
    /// taken for was asked at the beginning of the input. False where the text has no mark there.
    pub(super) fn find_format_inside(&mut self) -> bool {
        self.format = match self.text.first() {
            Some(b'>') => Some(Format::Fasta),
            Some(b'@') => Some(Format::Fastq),
            _ => return false,
        };
        true
    }
}
