//! Formats of text, by how their first lines look.

use memchr::memchr;

use crate::error::ForeignFormat;

/// How a file begins, capitals or not, what it then is, and what makes FASTA of it.
const BEGINNINGS: &[(&str, &str, &str)] = &[
    (
        "version https://git-lfs",
        "a Git LFS pointer, which stands for a file that was not fetched",
        "git lfs pull",
    ),
    ("##gff-version", "GFF3, a table of features", GET_FASTA),
    ("##gtf", "GTF, a table of features", GET_FASTA),
    ("#gtf", "GTF, a table of features", GET_FASTA),
    ("#!genome-build", "GTF, a table of features", GET_FASTA),
    (
        "##fileformat=VCF",
        "VCF, a table of variants",
        "bgzip -k FILE; tabix FILE.gz; bcftools consensus -f GENOME.fasta FILE.gz > FILE.fasta",
    ),
    ("track ", "BED, a table of places", GET_FASTA),
    ("browser ", "BED, a table of places", GET_FASTA),
    ("LOCUS       ", "GenBank", ANY2FASTA),
    ("#NEXUS", "NEXUS, an alignment", "seqret -sequence FILE -sformat nexus -outseq FILE.fasta"),
    ("CLUSTAL", "Clustal, an alignment", ANY2FASTA),
    ("MUSCLE (", "Clustal, an alignment", ANY2FASTA),
    ("# STOCKHOLM", "Stockholm, an alignment", ANY2FASTA),
    ("PileUp", "MSF, an alignment", "seqret -sequence FILE -sformat msf -outseq FILE.fasta"),
    ("!!AA_MULTIPLE", "MSF, an alignment", "seqret -sequence FILE -sformat msf -outseq FILE.fasta"),
    ("!!NA_MULTIPLE", "MSF, an alignment", "seqret -sequence FILE -sformat msf -outseq FILE.fasta"),
    ("HMMER", "an HMMER profile", "hmmemit -c FILE > FILE.fasta"),
    (
        "data_",
        "mmCIF, a structure",
        "python3 -c \"import sys; from Bio import SeqIO; SeqIO.convert(sys.argv[1], 'cif-seqres', \
         sys.argv[2], 'fasta')\" FILE FILE.fasta",
    ),
    ("HEADER    ", "PDB, a structure", PDB),
    ("ATOM      ", "PDB, a structure", PDB),
    ("CRYST1", "PDB, a structure", PDB),
    ("H\tVN:Z:", "GFA, an assembly graph", GFA),
    ("S\t", "GFA, an assembly graph", GFA),
    ("<!doctype html", "a web page (HTML)", WEB),
    ("<html", "a web page (HTML)", WEB),
    ("<head", "a web page (HTML)", WEB),
    (
        "<?xml",
        "XML",
        "of UniProt or INSDC: seqret -sequence FILE -outseq FILE.fasta; or download the records as FASTA",
    ),
    ("<", "XML or HTML", WEB),
];

const GET_FASTA: &str = "bedtools getfasta -fi GENOME.fasta -bed FILE > FILE.fasta";
const ANY2FASTA: &str = "any2fasta FILE > FILE.fasta (or EMBOSS: seqret FILE FILE.fasta)";
const PDB: &str = "python3 -c \"import sys; from Bio import SeqIO; \
     SeqIO.convert(sys.argv[1], 'pdb-atom', sys.argv[2], 'fasta')\" FILE FILE.fasta";
const GFA: &str = "awk '/^S/ { print \">\" $2; print $3 }' FILE > FILE.fasta";
const WEB: &str =
    "this is what a download gives that failed or asked for a log-in: fetch the file itself, curl -fL URL";
const SAM: ForeignFormat = ForeignFormat::new("SAM", "samtools fasta FILE > FILE.fasta");
const TABLE: ForeignFormat = ForeignFormat::new(
    "a table, with TAB between its columns",
    "awk -F'\\t' '{ print \">\" $1; print $2 }' FILE > FILE.fasta, where ids and sequences are columns 1 and \
     2",
);

/// Returns a SAM file that begins with a header, which begins as FASTQ does.
pub(super) fn sam_header(text: &[u8]) -> Option<ForeignFormat> {
    let is_header =
        [b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t"].iter().any(|tag| text.starts_with(*tag));
    is_header.then_some(SAM)
}

/// NBRF or PIR, which begins as FASTA does and has a title for its second line.
pub(super) fn pir(text: &[u8]) -> Option<ForeignFormat> {
    const KINDS: [&[u8]; 9] = [b"P1", b"F1", b"DL", b"DC", b"RL", b"RC", b"N1", b"N3", b"XX"];
    let is_pir = text.get(3) == Some(&b';') && KINDS.contains(&&text[1..3]);
    is_pir.then_some(ForeignFormat::new("NBRF/PIR", "seqret -sequence FILE -sformat pir -outseq FILE.fasta"))
}

/// Returns the format of a text by its first lines.
pub(super) fn identify(text: &[u8]) -> Option<ForeignFormat> {
    let begins = |beginning: &str| {
        text.get(..beginning.len()).is_some_and(|text| text.eq_ignore_ascii_case(beginning.as_bytes()))
    };
    if let Some((_, name, remedy)) = BEGINNINGS.iter().find(|(beginning, ..)| begins(beginning)) {
        return Some(ForeignFormat::new(name, remedy));
    }
    if is_binary(text) {
        return Some(ForeignFormat::new("a binary file of no known format", "name the file of sequences"));
    }
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let first = lines.next()?;
    let second = lines.next();
    of_embl(first).or_else(|| is_json(first).then_some(JSON)).or_else(|| {
        if is_phylip(first) {
            return Some(ForeignFormat::new(
                "PHYLIP, an alignment",
                "seqret -sequence FILE -sformat phylip -outseq FILE.fasta",
            ));
        }
        // The first lines of tables are comments, or the columns' names.
        let row = if first.starts_with('#') { second.unwrap_or_default() } else { first };
        of_row(row)
    })
}

/// Returns whether bytes are not text: the first line holds control characters, or any line NUL.
fn is_binary(text: &[u8]) -> bool {
    let first = &text[..memchr(b'\n', text).unwrap_or(text.len())];
    text.contains(&0)
        || first.iter().any(|&byte| byte < b' ' && !byte.is_ascii_whitespace() && byte != END_MARK)
}

/// The mark (Ctrl-Z) that programs of DOS put behind a text.
const END_MARK: u8 = 0x1A;

const JSON: ForeignFormat = ForeignFormat::new(
    "JSON",
    "jq -r '.[] | \">\" + .id, .sequence' FILE > FILE.fasta, with the names of its fields",
);

fn is_json(line: &str) -> bool {
    let rest = line.strip_prefix(['{', '[']).map(str::trim_start);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['"', '{', '[', ']', '}']))
}

/// EMBL, or UniProt's text: both begin `ID   `.
fn of_embl(line: &str) -> Option<ForeignFormat> {
    let rest = line.strip_prefix("ID   ")?;
    let name = if rest.trim_end().ends_with("AA.") { "UniProt's text" } else { "EMBL" };
    Some(ForeignFormat::new(
        name,
        "seqret -sequence FILE -outseq FILE.fasta (of EMBL also: any2fasta FILE > FILE.fasta)",
    ))
}

/// Two numbers alone.
fn is_phylip(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    words.len() == 2 && words.iter().all(|word| word.parse::<u32>().is_ok())
}

/// Returns what has TAB between its columns.
fn of_row(line: &str) -> Option<ForeignFormat> {
    let columns: Vec<&str> = line.split('\t').collect();
    let number = |i: usize| columns.get(i).is_some_and(|column| column.trim_end().parse::<u64>().is_ok());
    let one_of = |i: usize, words: &[&str]| columns.get(i).is_some_and(|column| words.contains(column));
    match columns.len() {
        11.. if number(1) && number(3) && number(4) && number(7) => Some(SAM),
        8..=9 if number(3) && number(4) && one_of(6, &["+", "-", ".", "?"]) => {
            let is_gtf = columns.get(8).is_some_and(|last| last.contains("gene_id \""));
            let name = if is_gtf { "GTF, a table of features" } else { "GFF, a table of features" };
            Some(ForeignFormat::new(name, GET_FASTA))
        }
        5 if (1..5).all(number) => {
            Some(ForeignFormat::new("the index of a FASTA file (.fai)", "name the FASTA file itself"))
        }
        3.. if number(1) && number(2) => Some(ForeignFormat::new("BED, a table of places", GET_FASTA)),
        2.. => Some(TABLE),
        _ => None,
    }
}
