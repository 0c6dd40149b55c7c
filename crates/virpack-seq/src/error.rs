//! What can go wrong between a file and a packed batch.

mod fault;
mod hints;

use std::path::PathBuf;
use std::sync::Arc;

use hints::{
    decompress, fastq_hint, grown, in_brackets, is_end, megabytes, mend, shown_beginning, size, too_large,
};

use crate::escape::shown_path;
use crate::reader::{BamProblem, Change, ForeignFormat, Suspect, shown_byte};
use crate::record::shown_id;
use crate::tokenize::bpe::BpeProblem;

/// What can go wrong between a file and a packed batch, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeqError {
    /// An input could not be opened.
    #[error("cannot open {}: {source}\nhint: check the path and its permissions", shown_path(path))]
    Open {
        /// The input as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    // --- reading: reader.rs ---
    /// An input is a directory.
    #[error("{} is a directory\nhint: name the files in it", shown_path(path))]
    Directory {
        /// The input as it was named.
        path: PathBuf,
    },
    /// Standard input was named more than once.
    #[error("standard input (-) is named {times} times\nhint: it can be read only once")]
    StdinTwice {
        /// How often it was named.
        times: usize,
    },
    /// The system failed while an input was read.
    #[error("{}:{line}: reading failed after {records} records: {source}", shown_path(path))]
    Read {
        /// The input as it was named.
        path: PathBuf,
        /// The line that could not be read to its end, from 1.
        line: u64,
        /// Whole records of this input before it.
        records: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// An input that changed before it was read to its end.
    #[error("{}: the input changed while virpack read it: {change}\nhint: {}", shown_path(path), change.remedy())]
    InputChanged {
        /// The input as it was named.
        path: PathBuf,
        /// What has happened to it.
        change: Change,
    },
    /// Compressed data that end too early or are damaged.
    #[error(
        "{}:{line}: the {codec} data {}, after {records} whole records: {source}\n\
         hint: {}",
        shown_path(path), if is_end(source) { "end too early" } else { "are damaged" }, mend(codec, is_end(source))
    )]
    Damaged {
        /// The input as it was named.
        path: PathBuf,
        /// The compression: `gzip`, `bzip2`, `xz` or `zstd`.
        codec: &'static str,
        /// The line (decompressed) that could not be read to its end, from 1.
        line: u64,
        /// Whole records of this input before the damage.
        records: u64,
        /// What the decoder said.
        source: std::io::Error,
    },
    /// Compressed data that take too much memory.
    #[error(
        "{}: the {codec} data take more than {} of memory to decompress: they refer that far back\n\
         hint: {}",
        shown_path(path), size(*limit), decompress(codec, path)
    )]
    DecoderMemory {
        /// The input as it was named.
        path: PathBuf,
        /// The compression: `xz` or `zstd`.
        codec: &'static str,
        /// Most bytes that its decoder takes.
        limit: u64,
    },
    /// A record that is larger than records may be.
    #[error(
        "{}:{line}: record {}{} is larger than {}{}\nhint: {}",
        shown_path(path), records + 1, in_brackets(id), size(*limit), grown(*compressed),
        too_large(compressed.is_some())
    )]
    RecordTooLarge {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1; of BAM the record's number.
        line: u64,
        /// Whole records of this input before it.
        records: u64,
        /// The first word of its header, as far as it is shown.
        id: Arc<str>,
        /// Most bytes of a record.
        limit: u64,
        /// Bytes of the compressed file that were read for it, at most, where the limit is a multiple of them.
        compressed: Option<u64>,
    },
    /// A header that is longer than headers may be.
    #[error(
        "{}:{line}: record {}: its header is longer than {}\n\
         hint: a line end is missing, or this is not a file of sequences; --max-header-size reads longer ones",
        shown_path(path), records + 1, size(*limit)
    )]
    HeaderTooLong {
        /// The input as it was named.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// Whole records of this input before it.
        records: u64,
        /// Most bytes of a header.
        limit: u64,
    },
    /// Something else behind the gzip data of a file.
    #[error(
        "{}: the gzip data end at byte {offset}, and what follows is no gzip: `{found}`\n\
         hint: where a plain file was joined to a compressed one, compress it first; else keep the data alone, \
         head -c {offset}",
        shown_path(path)
    )]
    Trailing {
        /// The input as it was named.
        path: PathBuf,
        /// Where the data end, bytes of the file.
        offset: u64,
        /// How what follows begins.
        found: String,
    },
    /// Text that is neither FASTA nor FASTQ.
    #[error(
        "{}:{line}: this is neither FASTA nor FASTQ: a record begins with `>` or `@`, this line with `{found}`\n\
         hint: name a file of sequences",
        shown_path(path)
    )]
    NotSequences {
        /// The input as it was named.
        path: PathBuf,
        /// The first line that is not blank, from 1.
        line: u64,
        /// The beginning of that line.
        found: String,
    },
    /// A format that is not read.
    #[error(
        "{}: this is {format}, not FASTA, FASTQ or BAM\nhint: {}",
        shown_path(path), format.remedy(&shown_path(path), *codec)
    )]
    Foreign {
        /// The input as it was named.
        path: PathBuf,
        /// What it is.
        format: ForeignFormat,
        /// The compression around it: `gzip`, `bzip2`, `xz` or `zstd`.
        codec: Option<&'static str>,
    },
    /// A BAM file that ends too early.
    #[error(
        "{}: record {line}: the BAM file ends too early, after {records} whole reads\n\
         hint: the file is incomplete: fetch or write it again; samtools quickcheck checks it",
        shown_path(path)
    )]
    BamTruncated {
        /// The input as it was named.
        path: PathBuf,
        /// The record that is not there, from 1.
        line: u64,
        /// Reads before it.
        records: u64,
    },
    /// A record of a BAM file that cannot be read.
    #[error("{}: record {record} of the BAM file: {problem}\nhint: {}", shown_path(path), problem.remedy())]
    Bam {
        /// The input as it was named.
        path: PathBuf,
        /// The record's number in this input, alignments that are left out included, from 1.
        record: u64,
        /// What is wrong with it.
        problem: BamProblem,
    },
    /// Bytes that are no text.
    #[error(
        "{}:{line}: binary data where text was expected (record {record})\n\
         hint: FASTA and FASTQ may be compressed by gzip, bzip2, xz or zstd; other formats are not read",
        shown_path(path)
    )]
    Binary {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
    },
    /// Lines that end with a carriage return alone, as on a Macintosh of old: all of them are one header.
    #[error(
        "{}:{line}: record {record}: its lines end with carriage returns alone\n\
         hint: tr '\\r' '\\n' gives them ends that are read",
        shown_path(path)
    )]
    CarriageReturns {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
    },
    /// A FASTQ record whose quality line is shorter or longer than its sequence.
    #[error(
        "{}:{line}: record {record} ({}): {sequence} letters, but {quality} quality values\n\
         hint: the file is damaged; fetch it again, or remove the record",
        shown_path(path),
        shown_id(id)
    )]
    QualityLength {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Letters in its sequence.
        sequence: usize,
        /// Quality values read for them, at least.
        quality: usize,
    },
    /// A FASTQ record whose lines are not where they must be.
    #[error(
        "{}:{line}: record {record}: a line that begins with `{expected}` was expected, this one begins with {}\n\
         hint: {}",
        shown_path(path), shown_beginning(*found), fastq_hint(*found)
    )]
    FastqLine {
        /// The input as it was named.
        path: PathBuf,
        /// The line at fault, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
        /// What the line must begin with: `@` or `+`.
        expected: char,
        /// What it begins with; `None` where it is empty.
        found: Option<u8>,
    },
    /// A byte in a sequence that belongs to no sequence.
    #[error(
        "{}:{line}: record {record} ({}): {} belongs to no sequence: {suspect}\nhint: {}",
        shown_path(path), shown_id(id), shown_byte(*byte), suspect.hint()
    )]
    StrayByte {
        /// The input as it was named.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// The byte.
        byte: u8,
        /// What it probably comes from.
        suspect: Suspect,
    },
    /// A FASTQ file that ends inside a record.
    #[error(
        "{}:{line}: the file ends inside record {record}\nhint: the file is incomplete; fetch it again",
        shown_path(path)
    )]
    FastqTruncated {
        /// The input as it was named.
        path: PathBuf,
        /// The last line, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
    },

    // --- letters: alphabet.rs, translate.rs ---
    /// A protein where nucleotides are wanted.
    #[error(
        "{}:{line}: record {} is no nucleotide sequence: it holds {letter:?}, and {other} of its {letters} letters \
         are none of A, C, G, T, U and N\n\
         hint: this takes DNA or RNA; proteins are for `virpack embed` with a model of proteins, in a run of their own",
        shown_path(path),
        shown_id(id)
    )]
    NotNucleotides {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Its first letter that stands for no nucleotide.
        letter: char,
        /// Letters in it that are none of A, C, G, T, U and N.
        other: u64,
        /// Letters in it.
        letters: u64,
    },
    /// Nucleotides where a protein is wanted.
    #[error(
        "{}:{line}: record {} is no protein: {bases} of its {letters} letters are A, C, G, T, U or N, and none stands for \
         a residue alone\n\
         hint: this model reads proteins; nucleotides are for --model virpack-mini/nucleotide or zhihan1996/DNABERT-S, in a \
         run of their own",
        shown_path(path),
        shown_id(id)
    )]
    NotProtein {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Letters in it that are A, C, G, T, U or N.
        bases: u64,
        /// Letters in it.
        letters: u64,
    },
    /// A number that NCBI has given to no genetic code.
    #[error("there is no genetic code {number}\nhint: NCBI's are {known}")]
    GeneticCode {
        /// What was asked for.
        number: u8,
        /// The numbers that there are.
        known: String,
    },

    // --- tokenizing: tokenize/bpe.rs ---
    /// A tokenizer's file that cannot be used.
    #[error("{}: {problem}\nhint: {}", shown_path(path), problem.hint())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: BpeProblem,
    },

    // --- lengths and the loader: long.rs, loader.rs ---
    /// A record over the largest length, where such records are errors.
    #[error(
        "{}:{line}: record {}: {length} residues are over the largest length of {max_length}\n\
         hint: raise --max-length, or let --long-records truncate, window or skip it",
        shown_path(path),
        shown_id(id)
    )]
    TooLong {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Residues in the record.
        length: u64,
        /// Most residues that go through.
        max_length: usize,
    },
    /// Windows that overlap so much that a residue would lie in more than two.
    #[error("windows cannot overlap by {overlap} residues\nhint: the most is half of --max-length, {most}")]
    WindowOverlap {
        /// The overlap asked for, in residues.
        overlap: usize,
        /// The most that works, in residues.
        most: usize,
    },
    /// A largest length that lets nothing through.
    #[error("a largest length of 0 residues lets nothing through\nhint: give --max-length at least 1")]
    MaxLengthZero,
    /// The system gave the loader no thread.
    #[error(
        "cannot start the loader's {worker} thread: {source}\n\
         hint: raise the limit on processes or memory (ulimit -u, ulimit -v, the container's), or end other programs"
    )]
    Thread {
        /// What the thread was to do.
        worker: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread of the loader panicked; it is a fault of ours, or of the tokenizer given.
    #[error(
        "the loader's {worker} thread panicked: {message}\nhint: this is a fault of virpack's: please report it"
    )]
    WorkerPanicked {
        /// What the thread did: `reading`, `tokenizing`, `collating` or `framing`.
        worker: &'static str,
        /// What it said.
        message: String,
    },

    // --- packing: pack.rs, collate.rs, budget.rs ---
    /// A budget that cannot hold the longest sequence the options let through.
    #[error(
        "a token budget of {token_budget} cannot hold a sequence of {longest} tokens\n\
         hint: the smallest budget that works is {longest}: --max-length (of chunks, --length) and the special tokens"
    )]
    BudgetTooSmall {
        /// Most tokens in a batch.
        token_budget: usize,
        /// Tokens in the longest sequence that may come, special tokens included.
        longest: usize,
    },
    /// A sequence longer than any batch reached the packer.
    #[error("record {}: {tokens} tokens are over the token budget of {token_budget}", shown_id(id))]
    OverBudget {
        /// The record's id.
        id: Arc<str>,
        /// Its tokens, special tokens included.
        tokens: usize,
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// A budget whose tokens `cu_seqlens` (int32) could not count.
    #[error("a token budget of {token_budget} is too large\nhint: the largest is 2147483647")]
    BudgetTooLarge {
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// A limit on attention cost that the longest sequence alone passes.
    #[error(
        "an attention cost of {max_attention_cost} cannot hold a sequence of {longest} tokens\n\
         hint: the smallest that works is the square of {longest}"
    )]
    AttentionCostTooSmall {
        /// Largest sum of squared lengths in a batch, tokens².
        max_attention_cost: u64,
        /// Tokens in the longest sequence that may come, special tokens included.
        longest: usize,
    },
    /// An option that must be at least 1 is 0.
    #[error("{option} must be at least 1")]
    ZeroOption {
        /// The option's name.
        option: &'static str,
    },
    /// A length that no batch can hold was given to the packer.
    #[error(
        "length {position} is of {tokens} tokens\nhint: a batch holds sequences of 1 to {longest} tokens"
    )]
    LengthOutOfRange {
        /// Its place among the lengths, from 0.
        position: usize,
        /// The length, tokens.
        tokens: usize,
        /// The longest sequence that a batch holds, tokens.
        longest: usize,
    },
    /// A sequence whose attention alone costs more than a batch may reached the packer.
    #[error(
        "record {}: {tokens} tokens, squared, are over the attention cost of {max_attention_cost}",
        shown_id(id)
    )]
    OverAttentionCost {
        /// The record's id.
        id: Arc<str>,
        /// Its tokens, special tokens included.
        tokens: usize,
        /// Largest sum of squared lengths in a batch, tokens².
        max_attention_cost: u64,
    },
    /// A sequence without any token, not even special ones, reached the packer.
    #[error("record {} has no tokens", shown_id(id))]
    NoTokens {
        /// The record's id.
        id: Arc<str>,
    },
    /// Memory that does not hold the model and its smallest batch.
    #[error(
        "{} of free memory do not hold the model and a batch of {smallest_budget} tokens\n\
         hint: {} are needed; free some, lower --max-length (of chunks, --length) or take a smaller model",
        megabytes(*available), megabytes(*needed)
    )]
    NotEnoughMemory {
        /// Memory that may be used, bytes.
        available: u64,
        /// Memory that the smallest batch needs, weights and workspace included, bytes.
        needed: u64,
        /// The smallest token budget that the limits allow.
        smallest_budget: usize,
    },
}
