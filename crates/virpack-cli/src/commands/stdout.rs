//! `-o -`: an output goes to standard output once it is whole.
//!
//! Until then it is a file in `TMPDIR`: the header of `.npy` holds the number of rows, and a run that fails must not have
//! sent half of its rows on.

use crate::failure::Failure;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use virpack::output::ScratchFolder;

/// An output on its way to standard output.
pub(crate) struct Stdout(ScratchFolder);

impl Stdout {
    /// The place of an output that is named `-`; None where it has another name. What `is_binary` is refused where
    /// standard output is a terminal.
    pub(crate) fn asked(output: &Path, is_binary: bool) -> Result<Option<Stdout>, Failure> {
        if output != Path::new("-") {
            return Ok(None);
        }
        if is_binary && std::io::stdout().is_terminal() {
            return Err(Failure::BinaryToTerminal);
        }
        let folder = ScratchFolder::create().map_err(virpack::Error::from)?;
        Ok(Some(Stdout(folder)))
    }

    /// Where a file of this name is until it is whole.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Copies a file that is whole to standard output.
    pub(crate) fn send(&self, file: &Path) -> Result<(), Failure> {
        let mut file = File::open(file)?;
        let mut out = std::io::stdout().lock();
        std::io::copy(&mut file, &mut out)?;
        Ok(out.flush()?)
    }

    /// The lines of a table, without its columns' names.
    pub(crate) fn lines(&self, table: &Path) -> Result<Vec<String>, Failure> {
        let lines = BufReader::new(File::open(table)?).lines().skip(1);
        Ok(lines.collect::<Result<_, _>>()?)
    }
}
