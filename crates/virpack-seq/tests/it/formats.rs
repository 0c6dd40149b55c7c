//! BAM is read as `samtools fasta` reads it; other formats are named, with the command that converts them
//! to FASTA.

use std::io::{Cursor, Read};

use virpack_seq::reader::{BamProblem, Remark};
use virpack_seq::{Hint, InputError, Record, Records, SeqError};

use crate::support::codecs::{CODECS, bgzf, gzip};

/// A fixture of `dev/bam.py --fixture`: a record of each kind.
const BAM: &[u8] = include_bytes!("../fixtures/reads.bam");

/// The output of `samtools fasta` (1.16) for it, and the read without letters, which samtools leaves out:
/// `number/id/letters`.
const READS: [&str; 11] = [
    "1/forward/AACTAAGTGCTATCAACTAG",
    "2/reverse/GAAAATCCCCACGGTGCGTTT",
    "5/pair/1/AACTAAGTGCTA",
    "6/pair/2/CACGGTGCGTTT",
    "7/unmapped/ACGTNRYSWKMBDHV",
    "8/unmapped_pair/1/ACGTT",
    "9/unmapped_pair/2/GGGTT",
    "10/bare/",
    "11/clipped/GCGAAAGC",
    "12/failed/CCTGAGGTG",
    "13/duplicate/TACTACAGT",
];

/// A block that ends a BGZF file.
const END: [u8; 28] =
    [0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 6, 0, b'B', b'C', 2, 0, 0x1B, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn read_from(reader: impl Read + Send + 'static) -> (Vec<String>, Vec<Remark>, Option<SeqError>) {
    let mut records = match Records::from_reader("reads", reader) {
        Ok(records) => records,
        Err(error) => return (Vec::new(), Vec::new(), Some(error)),
    };
    let (mut all, mut record, mut failed) = (Vec::new(), Record::default(), None);
    loop {
        match records.read(&mut record) {
            Ok(true) => {
                let letters = String::from_utf8_lossy(&record.sequence);
                all.push(format!("{}/{}/{letters}", record.line, record.id));
            }
            Ok(false) => break,
            Err(error) => failed = Some(error),
        }
    }
    (all, records.remarks().into_iter().map(|remark| remark.remark).collect(), failed)
}

fn read(bytes: impl AsRef<[u8]>) -> (Vec<String>, Vec<Remark>, Option<SeqError>) {
    read_from(Cursor::new(bytes.as_ref().to_vec()))
}

/// The fixture, decompressed.
fn plain() -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(BAM).read_to_end(&mut plain).unwrap();
    plain
}

/// Returns the positions of all records in the decompressed fixture, and its end.
fn places(plain: &[u8]) -> Vec<usize> {
    let number = |at: usize| u32::from_le_bytes(plain[at..at + 4].try_into().unwrap()) as usize;
    let mut at = 8 + number(4);
    let references = number(at);
    at += 4;
    for _ in 0..references {
        at += 8 + number(at);
    }
    let mut places = vec![at];
    while at < plain.len() {
        at += 4 + number(at);
        places.push(at);
    }
    places
}

#[test]
fn a_read_of_bam_is_what_samtools_makes_of_it() {
    let (reads, remarks, error) = read(BAM);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(reads, READS);
    let [Remark::Alignments(seen)] = remarks[..] else { panic!("{remarks:?}") };
    assert_eq!((seen.secondary, seen.supplementary, seen.clipped), (1, 1, 1));
    assert_eq!(
        seen.to_string(),
        "1 secondary and 1 supplementary alignments are left out: their reads have records of their own; 1 read has lost \
         bases to hard clips: take them from the file before alignment"
    );
    // BGZF or not, complete or in pieces.
    assert_eq!(read(plain()).0, READS);
    assert_eq!(read_from(Pieces(Cursor::new(BAM.to_vec()))).0, READS);
    assert_eq!(read_from(Pieces(Cursor::new(plain()))).0, READS);
}

/// Returns three bytes at a time.
struct Pieces(Cursor<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let most = buf.len().min(3);
        self.0.read(&mut buf[..most])
    }
}

#[test]
fn a_bam_file_without_reads_is_empty() {
    let plain = plain();
    let (reads, remarks, error) = read(&plain[..places(&plain)[0]]);
    assert!(reads.is_empty() && error.is_none(), "{error:?}");
    assert_eq!(remarks, [Remark::Empty]);
}

#[test]
fn truncated_bam_is_an_error_wherever_it_ends() {
    // Without the last block, as a job leaves it that is killed between two of them.
    assert!(BAM.ends_with(&END));
    let (reads, _, error) = read(&BAM[..BAM.len() - END.len()]);
    assert_eq!(reads, READS, "whole reads come first");
    let error = error.unwrap();
    assert!(
        matches!(error, SeqError::Input(InputError::BamTruncated { line: 14, records: 11, .. })),
        "{error:?}"
    );
    let said = "reads: record 14: the BAM file ends too early, after 11 complete reads";
    assert_eq!(error.to_string(), said);
    assert!(error.hint().unwrap().starts_with("the file is incomplete"), "{error:?}");
    // Inside a block.
    for end in 20..BAM.len() - END.len() {
        let (reads, _, error) = read(&BAM[..end]);
        assert_eq!(reads, READS[..reads.len()]);
        // samtools ends a block after the header.
        let is_damaged = matches!(error, Some(SeqError::Input(InputError::Damaged { codec: "gzip", .. })));
        assert!(
            is_damaged || matches!(error, Some(SeqError::Input(InputError::BamTruncated { line: 1, .. }))),
            "{end}: {error:?}"
        );
    }
    // Inside a record, or the header, of a complete stream.
    let (plain, places) = (plain(), places(&plain()));
    for end in 5..plain.len() {
        let (reads, _, error) = read(&plain[..end]);
        assert_eq!(reads, READS[..reads.len()]);
        let is_whole = places.contains(&end);
        assert_eq!(error.is_none(), is_whole, "{end}: {error:?}");
        assert!(
            is_whole || matches!(error, Some(SeqError::Input(InputError::BamTruncated { .. }))),
            "{end}: {error:?}"
        );
    }
}

#[test]
fn damaged_bam_is_an_error_with_the_record() {
    let (plain, places) = (plain(), places(&plain()));
    let damaged = |offset: usize, bytes: &[u8]| {
        let mut damaged = plain.clone();
        damaged[places[1] + offset..places[1] + offset + bytes.len()].copy_from_slice(bytes);
        let (reads, _, error) = read(damaged);
        assert_eq!(reads, READS[..1], "what is whole comes first");
        match error.unwrap() {
            SeqError::Input(InputError::Bam { record: 2, problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(damaged(0, &[0; 4]), BamProblem::Lengths);
    assert_eq!(damaged(0, &[0xFF; 4]), BamProblem::Lengths);
    assert_eq!(damaged(20, &[0xFF; 4]), BamProblem::Lengths, "letters");
    assert_eq!(damaged(12, &[0]), BamProblem::Lengths, "no name, not even an empty one");
    assert_eq!(damaged(36, b"\n"), BamProblem::Name);
    assert_eq!(damaged(36, b"\xe9"), BamProblem::Name);
    // `reverse` and its NUL, one operation, then the letters.
    assert_eq!(damaged(36 + 8 + 4, &[0]), BamProblem::SameAsReference);
    let (reads, _, error) = read([&plain[..], &plain].concat());
    assert_eq!(reads, READS);
    let second = BamProblem::SecondHeader;
    assert!(
        matches!(error, Some(SeqError::Input(InputError::Bam { record: 14, problem, .. })) if problem == second),
        "{error:?}"
    );
}

/// Returns the name of the format of `bytes`, and what to do.
fn foreign(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let (reads, _, error) = read(bytes);
    assert!(reads.is_empty(), "{reads:?}");
    let error = error.unwrap_or_else(|| panic!("{:?} passes", String::from_utf8_lossy(bytes)));
    assert!(matches!(error, SeqError::Input(InputError::Foreign { .. })), "{error:?}");
    // As from a pipe.
    assert_eq!(read_from(Pieces(Cursor::new(bytes.to_vec()))).2.unwrap().to_string(), error.to_string());
    format!("{error}\nhint: {}", error.hint().unwrap())
}

/// A tar file of one file.
fn tar(name: &str, content: &str, signature: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..257 + signature.len()].copy_from_slice(signature);
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = [&header[..], content.as_bytes()].concat();
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

/// The first local header of a zip archive, and what may follow.
fn zip(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    bytes.resize(26, 0);
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    [&bytes[..], name.as_bytes(), rest].concat()
}

#[test]
fn other_formats_are_named_with_the_command_that_makes_fasta_of_them() {
    let sam_row = "read1\t0\tchr1\t11\t60\t4M\t*\t0\t0\tACGT\tIIII\n";
    let cases: &[(&[u8], &str, &str)] = &[
        (b"@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\n", "SAM", "samtools fasta reads"),
        (b"@SQ\tSN:chr1\tLN:9\n", "SAM", "samtools fasta reads"),
        (sam_row.as_bytes(), "SAM", "samtools fasta reads"),
        (b"CRAM\x03\0abc", "CRAM", "samtools fasta reads"),
        (b"BCF\x02\x02\0", "BCF", "bcftools consensus"),
        (b"BAI\x01\0\0\0\0", "the index of a BAM file", "the BAM file itself"),
        (b"\x43\x27\x41\x1A\0\0", "2bit", "twoBitToFa reads"),
        (b"\x89HDF\r\n\x1A\n\0", "HDF5", "dorado"),
        (b"\x8BPOD\r\n\x1A\n\0", "POD5", "dorado basecaller MODEL reads"),
        (b"NCBI.sra\0\0", "SRA", "fasterq-dump --fasta reads"),
        (b"PAR1\x15\x04", "Parquet", "pandas.read_parquet(sys.argv[1])"),
        (b"\x93NUMPY\x01\0", "NumPy", "name the file of sequences"),
        (b"\x40\0\0\0\0\0\0\0{\"a\":{}}", "safetensors", "a model is named apart from"),
        (b"%PDF-1.7\n", "PDF", "pdftotext reads"),
        (b"{\\rtf1\\ansi", "RTF", "plain text"),
        (b"7z\xBC\xAF\x27\x1C\0", "7z", "7z x -so reads"),
        (b"Rar!\x1A\x07\0", "RAR", "unrar p"),
        (b"LZIP\x01", "lzip", "lzip -dc reads"),
        (b"\x1F\x9D\x90ab", "compress (.Z)", "gzip -dc reads"),
        (b"\x04\x22\x4D\x18ab", "lz4", "lz4 -dc reads"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "Microsoft Office", "ssconvert reads"),
        (b"##gff-version 3\nchr1\t.\tgene\t1\t9\t.\t+\t.\tID=a\n", "GFF3", "bedtools getfasta"),
        (b"chr1\tens\tgene\t1\t9\t.\t+\t.\tgene_id \"a\";\n", "GTF", "bedtools getfasta"),
        (b"chr1\tens\tgene\t1\t9\t.\t+\t.\tID=a\n", "GFF,", "bedtools getfasta"),
        (b"chr1\t10\t20\tname\n", "BED", "bedtools getfasta"),
        (b"chr1\t20000\t6\t60\t61\n", "(.fai)", "the FASTA file itself"),
        (b"##fileformat=VCFv4.2\n", "VCF", "bcftools consensus"),
        (b"LOCUS       AB000001   9 bp DNA\nORIGIN\n", "GenBank", "any2fasta reads"),
        (b"ID   AB000001; SV 1; linear; DNA; STD; VRL; 9 BP.\n", "EMBL", "seqret"),
        (b"ID   INS_HUMAN   Reviewed;   110 AA.\n", "UniProt", "seqret"),
        (b" 2 9\na         ACGTACGTA\n", "PHYLIP", "seqret"),
        (b"CLUSTAL W (1.83) multiple sequence alignment\n", "Clustal", "any2fasta reads"),
        (b"# STOCKHOLM 1.0\n", "Stockholm", "any2fasta reads"),
        (b"#NEXUS\nbegin data;\n", "NEXUS", "seqret"),
        (b">P1;CRAB_ANAPL\nALPHA CRYSTALLIN B CHAIN\nMDITIHN*\n", "PIR", "seqret"),
        (b"HEADER    HYDROLASE\nATOM      1\n", "PDB", "pdb-atom"),
        (b"data_1ABC\n#\n", "mmCIF", "cif-seqres"),
        (b"H\tVN:Z:1.0\nS\t1\tACGT\n", "GFA", "awk"),
        (b"<!DOCTYPE html>\n<html>", "web page", "fetch the file itself"),
        (b"<?xml version=\"1.0\"?>\n", "XML", "seqret"),
        (b"[{\"id\": \"a\", \"sequence\": \"ACGT\"}]", "JSON", "jq"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "Git LFS pointer", "git lfs pull"),
        (b"id\tsequence\na\tACGT\n", "a table", "awk"),
        (b"SQLite format 3\0\x10\0", "SQLite", "sqlite3 reads"),
        (b"\x7FELF\x02\x01\x01\0a\tb\tc\n", "a binary file of no known format", "name the file of sequences"),
        (b"one\ttwo\n\0\0\0\n", "a binary file of no known format", "name the file of sequences"),
    ];
    for (bytes, name, command) in cases {
        let said = foreign(bytes);
        let (what, hint) = said.split_once("\nhint: ").unwrap();
        assert!(what.contains(name) && what.contains("not FASTA, FASTQ or BAM"), "{said}");
        assert!(hint.contains(command), "{said}");
        // Compressed, it is the same format; the command decompresses it first unless it does so itself.
        let unpacked = command.replace("reads", "reads.unpacked");
        for (codec, compress) in CODECS {
            let said = foreign(compress(bytes));
            let (what, hint) = said.split_once("\nhint: ").unwrap();
            assert!(what.contains(name) && what.contains("not FASTA, FASTQ or BAM"), "{codec}: {said}");
            let names_it = !command.contains("reads") || (*name == "SAM" && codec == "gzip");
            let first = format!("{codec} -dc reads > reads.unpacked; then ");
            let expected = if names_it { *command } else { &*unpacked };
            assert!(hint.contains(expected) && (names_it || hint.starts_with(&first)), "{codec}: {said}");
        }
        for block in [3, 60_000] {
            assert_eq!(foreign(bgzf(bytes, block)), foreign(gzip(bytes)), "blocks of {block} bytes");
        }
    }
}

#[test]
fn sequences_are_read_out_of_bgzf_in_blocks_of_any_size() {
    for (text, expected) in [
        (&b">a\nACGT\n>b\nGG\n"[..], ["1/a/ACGT", "3/b/GG"]),
        (b"@a\nAC\n+\nII\n@b\nG\n+\nI\n", ["1/a/AC", "5/b/G"]),
    ] {
        for block in [1, 5, 60_000] {
            let (records, remarks, error) = read(bgzf(text, block));
            assert!(error.is_none() && remarks.is_empty(), "{error:?}");
            assert_eq!(records, expected);
        }
    }
}

#[test]
fn archives_are_named_with_their_first_file() {
    let ustar = tar("a b.fasta", ">a\nACGT\n", b"ustar\x0000");
    let said = foreign(&ustar);
    assert!(said.contains("a tar archive (its first file is \"a b.fasta\")"), "{said}");
    assert!(said.ends_with("hint: tar -xOf reads 'a b.fasta' > reads.fasta"), "{said}");
    for (codec, compress) in CODECS {
        assert_eq!(foreign(compress(&ustar)), said, "{codec}: tar finds compression by itself");
    }
    let old = foreign(tar("seq.fasta", ">a\nACGT\n", b""));
    assert!(old.contains("a tar archive"), "{old}");
    let said = foreign(zip("seq.fasta", b"PK"));
    assert!(said.contains("a zip archive (its first file is \"seq.fasta\")"), "{said}");
    assert!(said.ends_with("hint: unzip -p reads seq.fasta > reads.fasta"), "{said}");
    assert!(foreign(zip("[Content_Types].xml", b"..")).contains("Excel"));
    assert!(foreign(zip("xl/workbook.xml", b"..")).contains("Excel"));
    assert!(foreign(zip("[Content_Types].xml", b"word/document.xml")).contains("Word"));
}

#[test]
fn a_file_compressed_twice_is_reported() {
    let said = foreign(gzip(&gzip(b">a\nACGT\n")));
    assert!(said.contains("compressed twice, by gzip inside"), "{said}");
    for (codec, compress) in CODECS {
        for (inner, first) in CODECS {
            let said = foreign(compress(&first(b">a\nACGT\n")));
            assert!(
                said.contains(&format!("compressed twice, by {inner} inside")),
                "{inner} inside {codec}: {said}"
            );
            assert!(said.contains(&format!("hint: {codec} -dc reads")), "{inner} inside {codec}: {said}");
        }
        // BAM is BGZF, and is read if nothing surrounds it.
        let said = foreign(compress(BAM));
        assert!(said.contains("compressed twice, by gzip inside"), "BAM inside {codec}: {said}");
    }
    assert!(
        said.ends_with("hint: gzip -dc reads > reads.unpacked; then name reads.unpacked as the input"),
        "{said}"
    );
}

#[test]
fn text_in_wide_letters_is_named_with_and_without_its_mark() {
    let text = ">a\nACGT\n";
    let wide = |big: bool, mark: bool| -> Vec<u8> {
        let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
        text.encode_utf16().flat_map(|c| if big { c.to_be_bytes() } else { c.to_le_bytes() }).collect()
    };
    let wider = |big: bool, mark: bool| -> Vec<u8> {
        let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
        let bytes = |c: u32| if big { c.to_be_bytes() } else { c.to_le_bytes() };
        text.chars().flat_map(|c| bytes(c.into())).collect()
    };
    for (big, mark, from) in [
        (false, true, "UTF-16"),
        (true, true, "UTF-16"),
        (false, false, "UTF-16LE"),
        (true, false, "UTF-16BE"),
    ] {
        let said = foreign(wide(big, mark));
        assert!(said.contains("this is UTF-16"), "{said}");
        assert!(said.contains(&format!("iconv -f {from} -t UTF-8 reads")), "{said}");
    }
    for (big, mark) in [(false, true), (true, true), (false, false), (true, false)] {
        let said = foreign(wider(big, mark));
        let from = if big { "UTF-32BE" } else { "UTF-32LE" };
        assert!(said.contains("this is UTF-32") && said.contains(&format!("iconv -f {from}")), "{said}");
    }
}

#[test]
fn what_only_looks_like_another_format_is_read() {
    for (text, id) in [
        (">P1\nMK\n", "P1"),
        (">P1;x\n", ""),
        ("@HD_1\nAC\n+\nII\n", "@HD"),
        ("@SQ:7\nAC\n+\nII\n", "@SQ"),
        (">BAM\nMK\n", "BAM"),
        (">LOCUS       a\nMK\n", "LOCUS"),
    ] {
        let (reads, _, error) = read(text);
        match id {
            "" => assert!(matches!(error, Some(SeqError::Input(InputError::Foreign { .. }))), "{error:?}"),
            _ => assert!(error.is_none() && reads.len() == 1, "{text:?}: {error:?}"),
        }
    }
}
