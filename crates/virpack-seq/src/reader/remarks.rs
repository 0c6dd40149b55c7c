//! What a reader skips and reports: nothing of it belongs to a record.

use parking_lot::Mutex;
use std::fmt;

use super::Alignments;
use crate::input::Input;

/// What a reader passed over in an input, or missed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// The input holds no record.
    Empty,
    /// Lines of FASTA that begin with `;`.
    Comments {
        /// The first one, from 1.
        line: u64,
        /// How many there are.
        lines: u64,
    },
    /// Headers with bytes that are not UTF-8, each of which is written as `\xe9`.
    NotUtf8 {
        /// The line of the first one, from 1.
        line: u64,
        /// How many there are.
        headers: u64,
    },
    /// What a BAM file holds beside reads as they were.
    Alignments(Alignments),
    /// Plain gzip data that follow BGZF data without their last block.
    NoBgzfEnd,
    /// The mark (Ctrl-Z) that programs of DOS put behind a text.
    EndMark {
        /// The line it ends, from 1.
        line: u64,
    },
    /// Records whose id came before, which have a number behind it
    /// ([`ReadOptions::unique_ids`](super::ReadOptions::unique_ids)).
    NumberedIds {
        /// How many.
        records: u64,
    },
}

impl Remark {
    /// Returns its place among the remarks on an input.
    fn kind(&self) -> u8 {
        match self {
            Remark::NoBgzfEnd => 0,
            Remark::Comments { .. } => 1,
            Remark::EndMark { .. } => 2,
            Remark::Empty => 3,
            Remark::Alignments(_) => 4,
            Remark::NumberedIds { .. } => 5,
            Remark::NotUtf8 { .. } => 6,
        }
    }
}

/// A [`Remark`] and the input it is about, as one line for people.
///
/// ```
/// use virpack_seq::reader::{InputRemark, Remark};
///
/// let remark = Remark::Comments { line: 3, lines: 2 };
/// let remark = InputRemark { input: "proteins.fasta".into(), remark };
/// assert_eq!(remark.to_string(), "proteins.fasta:3: 2 comment lines (`;`) ignored, the first here");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRemark {
    /// The input.
    pub input: Input,
    /// What was passed over.
    pub remark: Remark,
}

impl fmt::Display for InputRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = &self.input;
        match self.remark {
            Remark::Empty => write!(f, "{input}: empty, no records"),
            Remark::Comments { line, lines: 1 } => write!(f, "{input}:{line}: a comment line (`;`) ignored"),
            Remark::Comments { line, lines } => {
                write!(f, "{input}:{line}: {lines} comment lines (`;`) ignored, the first here")
            }
            Remark::NotUtf8 { line, headers } => {
                let which = match headers {
                    1 => "a header is not UTF-8, and its other bytes are".to_owned(),
                    _ => {
                        format!("{headers} headers are not UTF-8, the first here, and their other bytes are")
                    }
                };
                write!(
                    f,
                    "{input}:{line}: {which} written as \\xe9; `iconv -f latin1 -t utf-8` converts Latin-1"
                )
            }
            Remark::Alignments(seen) => write!(f, "{input}: {seen}"),
            Remark::NoBgzfEnd => write!(
                f,
                "{input}: gzip data follow BGZF data whose last block is missing: the first of the joined files may be truncated"
            ),
            Remark::EndMark { line } => write!(f, "{input}:{line}: a Ctrl-Z at the end of the file ignored"),
            Remark::NumberedIds { records: 1 } => {
                write!(f, "{input}: the id of a record came before and is numbered")
            }
            Remark::NumberedIds { records } => {
                write!(f, "{input}: the ids of {records} records came before and are numbered")
            }
        }
    }
}

/// The remarks of a stream, by the number of the input.
#[derive(Debug, Default)]
pub(super) struct Remarks(Mutex<Vec<(u32, Remark)>>);

impl Remarks {
    /// Takes a remark; comments of one input are one remark, and so is what its BAM holds beside reads.
    pub(super) fn add(&self, source: u32, remark: Remark) {
        let mut all = self.0.lock();
        for (_, known) in all.iter_mut().filter(|(of, _)| *of == source) {
            match (known, &remark) {
                (Remark::Comments { line, lines }, Remark::Comments { line: other, lines: more }) => {
                    // Several threads may read the lines of one input.
                    *line = (*line).min(*other);
                    *lines += more;
                    return;
                }
                (Remark::Alignments(seen), Remark::Alignments(more)) => {
                    seen.add(more);
                    return;
                }
                (Remark::NotUtf8 { line, headers }, Remark::NotUtf8 { line: other, headers: more }) => {
                    *line = (*line).min(*other);
                    *headers += more;
                    return;
                }
                (Remark::NumberedIds { records }, Remark::NumberedIds { records: more }) => {
                    *records += more;
                    return;
                }
                _ => {}
            }
        }
        all.push((source, remark));
    }

    /// Takes all of them out, in the order in which they came.
    pub(super) fn take(&self) -> Vec<(u32, Remark)> {
        std::mem::take(&mut self.0.lock())
    }

    /// Returns all of them, in the order of the inputs, and of the kinds of remarks: several threads may have
    /// made them.
    pub(super) fn all(&self) -> Vec<(u32, Remark)> {
        let mut all = self.0.lock().clone();
        all.sort_by_key(|(source, remark)| (*source, remark.kind()));
        all
    }
}
