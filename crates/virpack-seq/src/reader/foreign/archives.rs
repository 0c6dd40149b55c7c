//! Binary formats, and text in another encoding, by their signatures.

use memchr::memmem;

use crate::error::ForeignFormat;

/// A signature at the beginning of a file, what the file then is, and what makes FASTA of it.
const SIGNATURES: &[(&[u8], &str, &str)] = &[
    (b"CRAM", "CRAM", "samtools fasta FILE > FILE.fasta (with --reference GENOME, where it asks for one)"),
    (b"BCF\x02", "BCF, a table of variants", "bcftools consensus -f GENOME.fasta FILE > FILE.fasta"),
    (b"BAI\x01", "the index of a BAM file (.bai)", "name the BAM file itself"),
    (b"CSI\x01", "an index (.csi)", "name the file that it is the index of"),
    (b"TBI\x01", "an index (.tbi)", "name the file that it is the index of"),
    (b"\x43\x27\x41\x1A", "2bit", "twoBitToFa FILE FILE.fasta"),
    (b"\x1A\x41\x27\x43", "2bit", "twoBitToFa FILE FILE.fasta"),
    (
        b"\x8BPOD\r\n\x1A\n",
        "POD5, the signals of a nanopore",
        "dorado basecaller MODEL FILE | samtools fasta - > FILE.fasta",
    ),
    (
        b"\x89HDF\r\n\x1A\n",
        "HDF5 (or FAST5, the signals of a nanopore)",
        "of FAST5: pod5 convert fast5 FILE --output FILE.pod5; dorado basecaller MODEL FILE.pod5 | samtools \
         fasta - > FILE.fasta",
    ),
    (b"NCBI.sra", "SRA", "fasterq-dump --fasta FILE"),
    (b"ABIF", "ABIF, the trace of a Sanger read", "seqret -sequence FILE -sformat abi -outseq FILE.fasta"),
    (b".sff", "SFF", "sff2fastq -o FILE.fastq FILE"),
    (
        b"PAR1",
        "Parquet",
        "python3 -c \"import pandas, sys; [print(f'>{i}\\n{s}') for i, s in \
         pandas.read_parquet(sys.argv[1])[['id', 'sequence']].values]\" FILE > FILE.fasta, with the names of \
         its columns",
    ),
    (b"ARROW1", "Arrow", "write its columns of ids and sequences as FASTA"),
    (
        b"\x93NUMPY",
        "a NumPy array (.npy)",
        "embeddings cannot be made sequences again: name the file of sequences",
    ),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "sqlite3 FILE \"SELECT '>' || id || char(10) || sequence FROM TABLE\"",
    ),
    (b"%PDF-", "PDF", "pdftotext FILE, and copy the sequences out of it"),
    (b"{\\rtf", "RTF, a text with its layout", "save it as plain text, or: unrtf --text FILE"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive", "7z x -so FILE > FILE.fasta"),
    (b"Rar!\x1A\x07", "a RAR archive", "unrar p -inul FILE > FILE.fasta"),
    (b"LZIP", "compressed by lzip", "lzip -dc FILE > FILE.fasta"),
    (b"\x1F\x9D", "compressed by compress (.Z)", "gzip -dc FILE > FILE.fasta"),
    (b"\x04\x22\x4D\x18", "compressed by lz4", "lz4 -dc FILE > FILE.fasta"),
    (b"\x5D\x00\x00", "compressed by lzma", "xz --format=lzma -dc FILE > FILE.fasta"),
    (b"\x89LZO\0\r\n\x1A\n", "compressed by lzop", "lzop -dc FILE > FILE.fasta"),
    (b"\x1F\x8B", "compressed twice, by gzip inside", "name FILE as the input"),
    (b"BZh", "compressed twice, by bzip2 inside", "name FILE as the input"),
    (b"\xFD7zXZ\0", "compressed twice, by xz inside", "name FILE as the input"),
    (b"\x28\xB5\x2F\xFD", "compressed twice, by zstd inside", "name FILE as the input"),
    (
        b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
        "a document of old Microsoft Office (.xls or .doc)",
        "save its sequences as text; of Excel: ssconvert FILE FILE.csv",
    ),
];

/// Returns a binary format, or text in UTF-16 or UTF-32.
pub(super) fn identify(text: &[u8]) -> Option<ForeignFormat> {
    if let Some((_, name, remedy)) = SIGNATURES.iter().find(|(signature, ..)| text.starts_with(signature)) {
        return Some(ForeignFormat::new(name, remedy));
    }
    match text {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(zip(text)),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 0, 0xFE, 0xFF, ..] => Some(utf16(text)),
        [0, 0, 0, b'>' | b'@', ..] | [0, b'>' | b'@', ..] => Some(utf16(text)),
        _ => safetensors(text).or_else(|| tar(text)),
    }
}

/// Text in UTF-16 or UTF-32, with a mark or without.
pub(super) fn utf16(text: &[u8]) -> ForeignFormat {
    const TO: &str = "text in another encoding";
    let (name, remedy) = match text {
        [0xFF, 0xFE, 0, 0, ..] | [b'>' | b'@', 0, 0, 0, ..] => {
            ("UTF-32", "iconv -f UTF-32LE -t UTF-8 FILE > FILE.fasta")
        }
        [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, ..] => ("UTF-32", "iconv -f UTF-32BE -t UTF-8 FILE > FILE.fasta"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => ("UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > FILE.fasta"),
        [_, 0, ..] => ("UTF-16", "iconv -f UTF-16LE -t UTF-8 FILE > FILE.fasta"),
        [0, ..] => ("UTF-16", "iconv -f UTF-16BE -t UTF-8 FILE > FILE.fasta"),
        _ => (TO, "iconv -t UTF-8 FILE > FILE.fasta"),
    };
    ForeignFormat::new(name, remedy)
}

/// Returns a zip archive; documents of Office are such.
fn zip(text: &[u8]) -> ForeignFormat {
    let holds = |name: &[u8]| memmem::find(text, name).is_some();
    let member = first_of_zip(text);
    if holds(b"xl/") {
        return excel();
    }
    if holds(b"word/") {
        return ForeignFormat::new(
            "a Word document (.docx)",
            "pandoc -t plain --wrap=none FILE > FILE.fasta, and look at what it gives",
        );
    }
    // Excel and Word begin with their list of contents, which is compressed.
    if holds(b"[Content_Types].xml") || holds(b"_rels/") {
        return excel();
    }
    if holds(b"mimetypeapplication/vnd.oasis") {
        return ForeignFormat::new(
            "an OpenDocument file",
            "save its sequences as text; of a table: ssconvert FILE FILE.csv",
        );
    }
    if member.as_deref().is_some_and(|name| name.ends_with("/data.pkl") || name.ends_with(".npy")) {
        return ForeignFormat::new("arrays or weights in a zip archive", "name the file of sequences");
    }
    ForeignFormat { member, ..ForeignFormat::new("a zip archive", "unzip -p FILE MEMBER > FILE.fasta") }
}

fn excel() -> ForeignFormat {
    ForeignFormat::new(
        "an Excel workbook (.xlsx)",
        "save the sheet as CSV (or: ssconvert FILE FILE.csv), then: awk -F, 'NR > 1 { print \">\" $1; print \
         $2 }' FILE.csv > FILE.fasta, where ids and sequences are columns 1 and 2",
    )
}

/// Returns the name in the first local header of a zip archive.
fn first_of_zip(text: &[u8]) -> Option<String> {
    let length = u16::from_le_bytes([*text.get(26)?, *text.get(27)?]) as usize;
    let name = text.get(30..30 + length).filter(|name| !name.is_empty())?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// safetensors: a length of eight bytes and a JSON object.
pub(super) fn safetensors(text: &[u8]) -> Option<ForeignFormat> {
    matches!(text, [_, _, _, _, _, 0, 0, 0, b'{', b'"' | b'}', ..]).then_some(ForeignFormat::new(
        ForeignFormat::SAFETENSORS,
        "name the file of sequences; a model is named apart from the inputs",
    ))
}

/// Returns a tar file, by the checksum of its first header: the oldest have no signature.
fn tar(text: &[u8]) -> Option<ForeignFormat> {
    let header = text.get(..512)?;
    let field = std::str::from_utf8(&header[148..156]).ok()?;
    let said = u64::from_str_radix(field.trim_matches(['\0', ' ']), 8).ok()?;
    let blank = 8 * u64::from(b' ');
    let sum = header.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    let of_field = header[148..156].iter().map(|&byte| u64::from(byte)).sum::<u64>();
    (said == sum - of_field + blank && said > blank).then(|| {
        let name = header[..100].split(|&byte| byte == 0).next().unwrap_or_default();
        // Names of extended headers are not those of files.
        let is_file = matches!(header[156], 0 | b'0') && !name.is_empty();
        let member = is_file.then(|| String::from_utf8_lossy(name).into_owned());
        ForeignFormat { member, ..ForeignFormat::new("a tar archive", "tar -xOf FILE MEMBER > FILE.fasta") }
    })
}
