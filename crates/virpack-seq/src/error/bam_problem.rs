//! Problems of a record in a BAM file.

use std::fmt;

/// A problem of a record in a BAM file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BamProblem {
    /// A header whose counts contradict each other.
    Header,
    /// A record whose lengths contradict each other.
    Lengths,
    /// Another BAM file follows the first.
    SecondHeader,
    /// A name with control characters, or that is not UTF-8.
    Name,
    /// Bases that are given only as equal to the reference.
    SameAsReference,
}

impl BamProblem {
    /// Returns what the user can do about it.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            BamProblem::SecondHeader => "join BAM files by samtools cat, or give each as an input of its own",
            BamProblem::SameAsReference => {
                "samtools fasta writes such bases as `=` too: take the file before samtools calmd -e"
            }
            BamProblem::Header | BamProblem::Lengths | BamProblem::Name => {
                "the file is damaged: fetch or write it again; samtools quickcheck checks it"
            }
        }
    }
}

impl fmt::Display for BamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BamProblem::Header => "the lengths in the header contradict each other",
            BamProblem::Lengths => "its lengths contradict each other",
            BamProblem::SecondHeader => "the header of another BAM file begins here",
            BamProblem::Name => "its name holds control characters, or is not UTF-8",
            BamProblem::SameAsReference => {
                "it has `=` for bases, which are those of a reference that is not here"
            }
        })
    }
}
