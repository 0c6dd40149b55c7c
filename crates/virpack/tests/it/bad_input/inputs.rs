//! Inputs that are missing, empty, damaged or not sequences.

use super::compression::gzip;
#[cfg(unix)]
use super::outputs::unprivileged;
use super::{TWO, refused};
use crate::support::{MODEL, Place, Ran, read_npy};

#[test]
fn a_missing_file() {
    let place = Place::new();
    place.write("two.fa", TWO);
    refused(&place, &["absent.fa"], &["cannot open absent.fa: No such file", "hint: check the path"]);
    // The other inputs are not read first.
    refused(&place, &["two.fa", "absent.fa"], &["cannot open absent.fa"]);
}

#[test]
fn a_directory() {
    refused(&Place::new(), &["out"], &["out is a directory", "hint: name the files in it"]);
}

#[cfg(unix)]
#[test]
fn a_file_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("secret.fa", TWO);
    std::fs::set_permissions(place.path("secret.fa"), std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::set_permissions(place.path("out"), std::fs::Permissions::from_mode(0o777)).unwrap();
    if let Some(ran) = unprivileged(&place, &["secret.fa", "-o", "out/emb.npy"]) {
        ran.is_refused(&[
            "cannot open secret.fa: Permission denied",
            "hint: check the path and its permissions",
        ]);
        assert_eq!(place.outputs(), [""; 0]);
    }
}

/// It can be opened, and the first read fails.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read() {
    refused(&Place::new(), &["/proc/self/mem"], &["/proc/self/mem:1: reading failed after 0 records"]);
}

/// Returns the ids in the table beside an output, with their inputs if there are several.
fn ids(place: &Place, output: &str) -> Vec<String> {
    let text = place.read(&format!("{output}.records.tsv"));
    let several = text.starts_with("row\tid\tsource\t");
    let id =
        |line: &str| line.split('\t').skip(1).take(1 + usize::from(several)).collect::<Vec<_>>().join("\t");
    text.lines().skip(1).map(id).collect()
}

#[test]
fn an_empty_file_is_zero_rows_and_a_warning() {
    let place = Place::new();
    place.write("none.fa", "").write("blank.fa", "\n \n\r\n").write("two.fa", TWO);
    place
        .embed(&["none.fa", "-o", "out/a.npy"])
        .succeeds(&["warning: none.fa: empty, no records", "0 sequences"]);
    assert_eq!(read_npy(&place.path("out/a.npy")), (0, 48, vec![]));
    assert_eq!(place.read("out/a.npy.records.tsv"), "row\tid\tlength\ttruncated\tunknown\tgaps\n");
    place.embed(&["blank.fa", "-o", "out/b.parquet", "-q"]).succeeds(&["warning: blank.fa: empty"]);
    // One of several inputs.
    place
        .embed(&["none.fa", "two.fa", "-o", "out/c.npy"])
        .succeeds(&["warning: none.fa: empty", "2 sequences"]);
    assert_eq!(read_npy(&place.path("out/c.npy")).0, 2);
    assert_eq!(ids(&place, "out/c.npy"), ["a\ttwo.fa", "b\ttwo.fa"]);
    assert_eq!(
        place.outputs(),
        [
            "a.npy",
            "a.npy.records.tsv",
            "a.npy.run.json",
            "b.parquet",
            "b.parquet.run.json",
            "c.npy",
            "c.npy.records.tsv",
            "c.npy.run.json"
        ]
    );
    // Empty standard input, and a compressed empty file.
    place.embed_stdin(&["-", "-o", "out/d.npy"], b"").succeeds(&["warning: <stdin>: empty"]);
    place.write("none.fa.gz", gzip(b""));
    place.embed(&["none.fa.gz", "-o", "out/e.npy"]).succeeds(&["warning: none.fa.gz: empty"]);
    place.run(&["pack", "none.fa"]).succeeds(&["warning: none.fa: empty"]);
}

#[test]
fn text_that_is_not_fasta() {
    let place = Place::new();
    place.write("letter.txt", "\n\nDear colleague,\nhere are the sequences\n");
    place.write("table.csv", "id,sequence\na,MKV\n").write("bare.txt", "MKTAYIAKQR\n");
    let said = ["letter.txt:3: this is neither FASTA nor FASTQ", "`Dear colleague,`", "hint: "];
    refused(&place, &["letter.txt"], &said);
    refused(&place, &["table.csv"], &["table.csv:1: ", "`id,sequence`"]);
    refused(&place, &["bare.txt"], &["bare.txt:1: ", "`MKTAYIAKQR`"]);
    let ran = place.run(&["pack", "letter.txt"]);
    ran.is_refused(&["letter.txt:3: "]);
}

#[test]
fn a_header_without_a_sequence_is_listed() {
    let place = Place::new();
    place.write("hole.fa", ">a\nMKT\n>b nothing\n>c\nMKV\n>d\n\n>e\n*\n>");
    let ran = place.embed(&["hole.fa", "-o", "out/emb.npy"]);
    ran.succeeds(&["warning: 4 records skipped: see out/emb.npy.skipped.tsv", "2 sequences"]);
    assert_eq!(ids(&place, "out/emb.npy"), ["a", "c"]);
    let expected = "record\tsource\tline\tid\tlength\treason\n\
                    1\thole.fa\t3\tb\t0\tempty\n3\thole.fa\t6\td\t0\tempty\n\
                    4\thole.fa\t8\te\t0\tempty\n5\thole.fa\t10\t\t0\tempty\n";
    assert_eq!(place.read("out/emb.npy.skipped.tsv"), expected);
    // Also if there are no other records, and with other reasons.
    place.write("all.fa", ">a\n>b\n");
    place.embed(&["all.fa", "-o", "out/all.parquet"]).succeeds(&["2 records skipped", "0 sequences"]);
    let lengths = ["--min-length", "5", "--max-length", "8", "--long-records", "skip"];
    place.write("two.fa", TWO);
    let ran = place.embed(&[&["two.fa", "-o", "out/two.npy"], &lengths[..]].concat());
    ran.succeeds(&["2 records skipped: see out/two.npy.skipped.tsv"]);
    let skipped = place.read("out/two.npy.skipped.tsv");
    assert!(skipped.contains("0\ttwo.fa\t1\ta\t10\ttoo_long\n1\ttwo.fa\t3\tb\t3\ttoo_short\n"), "{skipped}");
}

/// Every command that reads stops at the same place, and leaves nothing behind.
#[test]
fn a_byte_that_belongs_to_no_sequence_stops_every_command() {
    let place = Place::new();
    let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC";
    place.write("joined.fa", format!(">a\n{gene}\n>b\n{gene}>c\n{gene}\n"));
    place.write("numbered.fa", format!(">a\n{gene}\n>b\n{gene}\n       61 {gene}\n"));
    place.write("mixed.fa", format!(">a\n{gene}\n>b\n{gene}\n@r\nACGT\n+\nIIII\n"));
    for (input, line, byte, hint) in [
        ("joined.fa", 4, ">", "awk 1 FILE"),
        ("numbered.fa", 5, "6", "without numbers"),
        ("mixed.fa", 5, "@", "put FASTA and FASTQ into separate files"),
    ] {
        let said = format!("{input}:{line}: record 2 (b): `{byte}` is not a letter of a sequence: ");
        for command in [
            &["embed", input, "-o", "out/emb.npy"][..],
            &["predict", input, "-o", "out/verdicts"],
            &["frames", input, "-o", "out/frames"],
            &["pack", input],
            &["validate", input, "--model", "virpack-mini/nucleotide"],
        ] {
            place.run(command).stops(&[&said, "hint: ", hint]);
            assert_eq!(place.outputs(), [""; 0], "{command:?}");
        }
    }
}

#[test]
fn what_is_passed_over_is_listed() {
    let place = Place::new();
    place.write("notes.fa", ">a\nMKTLLVAGGX\n; checked by hand\nMKT\n;\n>b\nMKV\n\x1A");
    let ran = place.embed(&["notes.fa", "-o", "out/emb.npy"]);
    ran.succeeds(&[
        "warning: notes.fa:3: 2 comment lines (`;`) ignored, the first here",
        "warning: notes.fa:8: a Ctrl-Z at the end of the file ignored",
        "2 sequences, 20 tokens",
    ]);
}

#[test]
fn fastq_over_several_lines() {
    let place = Place::new();
    place.write("wrapped.fq", "@a\nMKTAY\nIAK\n+\nIIIII\n@II\n@b\nMKV\n+\n@@@\n");
    place.write("plain.fq", "@a\nMKTAYIAK\n+\nIIIIIIII\n@b\nMKV\n+\nIII\n");
    for input in ["wrapped", "plain"] {
        place.embed(&[&format!("{input}.fq"), "-o", &format!("out/{input}.npy")]).succeeds(&["2 sequences"]);
    }
    assert_eq!(read_npy(&place.path("out/wrapped.npy")), read_npy(&place.path("out/plain.npy")));
}

/// Without a model, the letters select the model, for a pipe by its first block, or the run asks.
#[test]
fn the_letters_choose_the_model_or_the_run_asks() {
    let place = Place::new();
    place.write("peptide.fa", ">p\nMKTLLVAAAGG\n").write("doubt.fa", ">p\nSKKGTGNAAVTKAATGKST\n");
    let said = |model: &str| format!("with {model} (built in, for ");
    place.run(&["embed", "peptide.fa", "-o", "out/a.npy"]).succeeds(&[&said("virpack-mini/peptide")]);
    let asks = [
        "cannot tell whether these are proteins or nucleotides",
        "19 letters",
        "hint: name the model, --model ",
    ];
    for command in [&["embed", "doubt.fa", "-o", "out/b.npy"][..], &["pack", "doubt.fa"]] {
        place.run(command).is_refused(&asks);
    }
    let named = ["embed", "doubt.fa", "-o", "out/b.npy", "--model", "virpack-mini/peptide"];
    place.run(&named).succeeds(&["1 sequence"]);
    // A pipe longer than the part that is examined, plain and compressed.
    let text: String = (0..3000).map(|i| format!(">r{i}\nATGGCCAAAGAACTGCGTTTCGACGTTCAGATC\n")).collect();
    place.write("genes.fa", &text);
    let model = said("virpack-mini/nucleotide");
    place.run(&["embed", "genes.fa", "-o", "out/file.npy"]).succeeds(&[&model]);
    for (name, bytes) in [("plain", text.clone().into_bytes()), ("gzip", gzip(text.as_bytes()))] {
        let output = format!("out/{name}.npy");
        place.run_stdin(&["embed", "-", "-o", &output], &bytes).succeeds(&[&model, "3,000 sequences"]);
        assert_eq!(read_npy(&place.path(&output)), read_npy(&place.path("out/file.npy")));
    }
    place.run_stdin(&["embed", "-", "-o", "out/c.npy"], b">p\nSKKGTGN\n").is_refused(&asks[..1]);
}

/// Each has a warning with the first record's id; counts are of what was embedded, each letter once.
#[test]
fn what_is_altered_is_named_and_has_its_columns() {
    let place = Place::new();
    place.write(
        "odd.fa",
        ">plain\nMKTAYIAK\n>aligned\nM-KT..AY\n>odd\nMJJK\n>both\nM-J\n>long\nMKTAYIAKQRJ-\n",
    );
    let ran = place.embed(&["odd.fa", "-o", "out/emb.npy", "--max-length", "8"]);
    ran.succeeds(&[
        "warning: 1 record is truncated to 8 letters, the first is long: --long-records window embeds all of it\n",
        "warning: 2 records have 3 letters that the model does not know, the first is odd: ",
        "warning: 2 records have 4 gap characters (- or .), the first is aligned: ",
        "1 truncated, 3 unknown letters, 4 gaps\n",
    ]);
    let expected = [
        "row\tid\tlength\ttruncated\tunknown\tgaps\n",
        "0\tplain\t8\tFalse\t0\t0\n1\taligned\t8\tFalse\t0\t3\n2\todd\t4\tFalse\t2\t0\n",
        "3\tboth\t3\tFalse\t1\t1\n4\tlong\t12\tTrue\t0\t0\n",
    ];
    assert_eq!(place.read("out/emb.npy.records.tsv"), expected.concat());
    // In windows, whose neighbours share letters.
    let windows =
        ["--max-length", "8", "--long-records", "window", "--window-overlap", "4", "-o", "out/w.npy"];
    place.embed(&[&["odd.fa"], &windows[..]].concat()).succeeds(&["4 unknown letters, 5 gaps\n"]);
    assert!(place.read("out/w.npy.records.tsv").ends_with("\n4\tlong\t12\tFalse\t1\t1\n"));
    // There is no message about unremarkable records.
    place.write("two.fa", TWO);
    let ran = place.embed(&["two.fa", "-o", "out/two.npy"]);
    ran.succeeds(&[" %\n"]);
    assert!(!["warning", "truncated", "unknown"].iter().any(|word| ran.stderr.contains(word)), "{ran:#?}");
}

/// Two outputs with one stem have their own tables.
#[test]
fn tables_beside_an_output_are_its_own() {
    let place = Place::new();
    place.write("one.fa", ">a\nMKT\n>none\n").write("two.fa", ">b\nMKV\n>hole\n");
    place.embed(&["one.fa", "-o", "out/x.npy"]).succeeds(&[]);
    let before = ["out/x.npy.records.tsv", "out/x.npy.skipped.tsv"].map(|name| place.read(name));
    place.embed(&["two.fa", "-o", "out/x.safetensors", "--force"]).succeeds(&[]);
    assert_eq!(["out/x.npy.records.tsv", "out/x.npy.skipped.tsv"].map(|name| place.read(name)), before);
    assert_eq!(ids(&place, "out/x.safetensors"), ["b"]);
}

/// An id may begin with a quotation mark or hold control characters: every reader of tables finds one row
/// for each record.
#[test]
fn a_table_has_a_row_a_record_whatever_ids_hold() {
    let place = Place::new();
    place.write("odd.fa", ">\"open\nMKT\n>a\u{1}b\nMKV\n>\u{2028}\nMKI\n>last\nMKA\n");
    place.embed(&["odd.fa", "-o", "out/emb.npy"]).succeeds(&["4 sequences"]);
    assert_eq!(ids(&place, "out/emb.npy"), ["\"\"\"open\"", "a\\x01b", "\\u2028", "last"]);
    let python = "import csv, sys\nrows = list(csv.reader(open(sys.argv[1], newline='', encoding='utf-8'), delimiter='\\t'))\n\
                  assert [len(row) for row in rows] == [6] * 5, rows\nassert rows[1][1] == '\"open', rows";
    let path = place.path("out/emb.npy.records.tsv");
    match std::process::Command::new("python3").args(["-c", python]).arg(path).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => eprintln!("skipped: no python3"),
    }
}

#[test]
fn fastq_with_a_short_quality_line() {
    let place = Place::new();
    place.write("short.fq", "@r1\nMKTAY\n+\nIIIII\n@r2 x\nMKTAY\n+\nIII\n");
    let said = ["short.fq:5: record 2 (r2): 5 letters, but 3 quality values", "hint: "];
    refused(&place, &["short.fq"], &said);
    place.write("cut.fq", "@r1\nMKTAY\n+\nIIIII\n@r2\nMKTAY\n");
    refused(&place, &["cut.fq"], &["cut.fq:6: the file ends inside record 2", "hint: "]);
    place.write("plus.fq", "@r1\nMKTAY\nIIIII\n+\n");
    refused(&place, &["plus.fq"], &["plus.fq:4: the file ends inside record 1", "hint: "]);
}

#[test]
fn binary_junk() {
    let place = Place::new();
    let mut state = 1u32;
    let junk: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(100_000)
    .collect();
    place.write("junk.fa", [b"\x00", &junk[..]].concat());
    refused(&place, &["junk.fa"], &["junk.fa: this is a binary file of no known format", "hint: "]);
    // After a valid beginning, the record is named.
    place.write("later.fa", [TWO, b">c\n", &junk].concat());
    refused(&place, &["later.fa"], &["later.fa:", "binary data", "record 3", "hint: "]);
    // Files that users often have: a program, a picture, an archive, an array.
    for (name, magic) in
        [("elf", &b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..]), ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")]
    {
        place.write(name, [magic, &junk].concat());
        refused(&place, &[name], &["binary file of no known format", "hint: "]);
    }
    for (name, bytes, format) in [
        ("a.zip", &b"PK\x03\x04\x14\0\0\0\x08\0"[..], "a zip archive"),
        ("a.npy", b"\x93NUMPY\x01\0v\0{'descr': '<f4'", "NumPy"),
    ] {
        place.write(name, bytes);
        refused(&place, &[name], &[&format!("{name}: this is "), format, "hint: "]);
    }
}

/// Every command that reads names the format, and how to convert it to FASTA.
#[test]
fn another_format_is_named_by_every_command() {
    let place = Place::new();
    place.write("reads.sam", "@HD\tVN:1.6\n@SQ\tSN:c\tLN:9\nr\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII\n");
    for command in [
        &["embed", "reads.sam", "-o", "out/emb.npy"][..],
        &["predict", "reads.sam", "-o", "out/verdicts"],
        &["frames", "reads.sam", "-o", "out/frames"],
        &["pack", "reads.sam"],
        &["validate", "reads.sam", "--model", "virpack-mini/nucleotide"],
    ] {
        place.run(command).stops(&["reads.sam: this is SAM", "hint: samtools fasta"]);
        assert_eq!(place.outputs(), [""; 0], "{command:?}");
    }
}

#[test]
fn a_record_of_ten_million_letters() {
    let place = Place::new();
    let mut text = b">huge\n".to_vec();
    text.extend(b"MKTAYIAKQRLLVGGTSPED".iter().cycle().take(10_000_000));
    text.extend_from_slice(b"\n>small\nMKV\n");
    place.write("huge.fa", text);
    place.embed(&["huge.fa", "-o", "out/emb.npy"]).succeeds(&["2 sequences, 1,029 tokens", "1 truncated"]);
    assert_eq!(ids(&place, "out/emb.npy"), ["huge", "small"]);
    let skipped = place.embed(&["huge.fa", "-o", "out/skip.npy", "--long-records", "skip"]);
    skipped.succeeds(&["1 record skipped"]);
    assert!(place.read("out/skip.npy.skipped.tsv").contains("\thuge\t10000000\ttoo_long\n"));
    std::fs::remove_dir_all(place.path("out")).unwrap();
    std::fs::create_dir(place.path("out")).unwrap();
    let said = ["huge.fa:1: record huge: 10000000 residues exceed the maximum length of 1022", "hint: "];
    refused(&place, &["huge.fa", "--long-records", "error"], &said);
}

#[test]
fn bases_are_counted_one_by_one() {
    let place = Place::new();
    place
        .write("x.fa", ">x\nACGNNNACG---ACGN\n")
        .write("long.fa", format!(">long\n{}\n", "ACGTA".repeat(700)));
    let nucleotides = |input: &'static str| ["embed", "--model", "virpack-mini/nucleotide", input, "-o"];
    let ran = place.run(&[&nucleotides("x.fa")[..], &["x.npy"]].concat());
    ran.succeeds(&["4 letters", "3 gap characters"]);
    assert!(place.read("x.npy.records.tsv").ends_with("\tFalse\t4\t3\n"));
    let said = ["long.fa:1: record long: 3500 bases exceed the maximum length of 3000", "hint: "];
    place
        .run(&[&nucleotides("long.fa")[..], &["l.npy", "--long-records", "error"]].concat())
        .is_refused(&said);
}

#[test]
fn latin_1_in_headers_is_reported_and_ids_stay_different() {
    let place = Place::new();
    place.write("old.fa", b">s\xe9\nACGTACGATACGAT\n>s\xe8\nACGATACGATAA\n");
    let said = ["warning: old.fa:1: 2 headers are not UTF-8, the first here", "`iconv -f latin1 -t utf-8`"];
    let ran = place.run(&["embed", "--model", "virpack-mini/nucleotide", "old.fa", "-o", "x.npy"]);
    ran.succeeds(&said);
    assert!(!ran.stderr.contains("more than once"), "{ran:#?}");
    assert_eq!(ids(&place, "x.npy"), ["s\\xe9", "s\\xe8"]);
}

#[test]
fn a_long_record_in_windows() {
    let place = Place::new();
    let mut text = b">long\n".to_vec();
    text.extend(b"MKTAYIAKQRLLVGGTSPED".iter().cycle().take(50_000));
    place.write("long.fa", text);
    let ran = place.embed(&["long.fa", "-o", "out/emb.npy", "--long-records", "window"]);
    // 1 + (50,000 - 1,022) / (1,022 - 128), rounded up.
    ran.succeeds(&["1 sequence", " %, 1 record in 56 windows"]);
    assert_eq!(read_npy(&place.path("out/emb.npy")).0, 1);
}

#[test]
fn several_inputs_name_their_source_and_ids_may_repeat() {
    let place = Place::new();
    place.write("one.fa", ">x\nMKT\n>x\nMKTT\n>y z\nMK\n").write("two.fq", "@x\nMKTAY\n+\nIIIII\n");
    place.embed(&["one.fa", "two.fq", "one.fa", "-o", "out/emb.npy"]).succeeds(&[
        "7 sequences",
        "warning: 2 ids come more than once, the first is x: each record has its own rows, in input order",
    ]);
    let one = ["x\tone.fa", "x\tone.fa", "y\tone.fa"];
    assert_eq!(ids(&place, "out/emb.npy"), [&one[..], &["x\ttwo.fq"], &one].concat());
    let (rows, _, values) = read_npy(&place.path("out/emb.npy"));
    assert_eq!(rows, 7);
    for column in 0..3 * 48 {
        assert!((values[column] - values[4 * 48 + column]).abs() < 1e-5);
    }
    // A single input is not named.
    place.embed(&["one.fa", "-o", "out/one.npy"]).succeeds(&[]);
    assert_eq!(ids(&place, "out/one.npy"), ["x", "x", "y"]);
    // An error in the second input names it, with lines counted from its beginning.
    let place = Place::new();
    place.write("one.fa", ">x\nMKT\n").write("bad.fq", "@x\nMKTAY\n+\nII\n");
    refused(&place, &["one.fa", "bad.fq"], &["bad.fq:1: record 1 (x)"]);
}

/// File names are bytes, at least on Linux.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let names = [&b"in\xff.fa"[..], b"out/\xfe.npy"].map(OsStr::from_bytes);
    std::fs::write(place.path(".").join(names[0]), TWO).unwrap();
    let mut command = place.command(&["embed", "--model", MODEL, "-o"]);
    command.args([names[1], names[0]]);
    Ran::of(command).succeeds(&["2 sequences"]);
    assert!(place.path(".").join(names[1]).exists());
}

/// By name or by the first records, a model reads one kind; records of the other kind would get meaningless
/// vectors.
#[test]
fn a_record_of_the_other_kind_is_refused() {
    let place = Place::new();
    let (gene, peptide) = ("ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC", "MAKELRFDVQILKGALLDE");
    place.write("gene.fa", format!(">gene\n{gene}\n"));
    place.write("proteins.fa", format!(">p\n{peptide}\n>gene\n{gene}\n>q\n{peptide}\n"));
    place.write("genes.fa", format!("{}>p\n{peptide}\n", format!(">gene\n{gene}\n").repeat(1_000)));
    let no_protein = [
        "record gene looks like nucleotides, not a protein: 33 of its 33 letters",
        "--model virpack-mini/nucleotide",
    ];
    let no_gene = ["genes.fa:2001: record p is not a nucleotide sequence: it holds 'E'", "hint: "];
    let embed = |more: &[&str]| place.run(&[&["embed", "-q", "-o", "out/x.npy"], more].concat());
    embed(&["proteins.fa"]).is_refused(&no_protein);
    embed(&["proteins.fa"]).is_refused(&["proteins.fa:3: "]);
    embed(&["genes.fa"]).is_refused(&no_gene);
    embed(&["gene.fa", "-m", MODEL]).is_refused(&no_protein);
    embed(&["proteins.fa", "-m", "virpack-mini/nucleotide"])
        .is_refused(&["record p is not a nucleotide sequence"]);
    assert_eq!(place.outputs(), [""; 0]);
    place.run(&["validate", "gene.fa", "-m", MODEL]).is_refused(&no_protein);
    place.run(&["pack", "gene.fa", "-m", MODEL]).is_refused(&no_protein);
    // Only a long enough record is certain.
    place.write("short.fa", format!(">p\n{peptide}\n>cut\n{}\n", &gene[..29]));
    embed(&["short.fa"]).succeeds(&[]);
}

#[test]
fn letters_that_are_not_nucleotides_are_reported() {
    let place = Place::new();
    let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC".repeat(20);
    place.write("gaps.fa", format!(">a\n{gene}\n{gene}\n--{}\n", "I".repeat(9)));
    place
        .run(&["predict", "gaps.fa", "-o", "out/a"])
        .succeeds(&["11 of 1,331 letters stand for no nucleotide", "in 1 record, the first is a"]);
    assert!(place.read("out/a/run.json").contains("\"odd_letters\": 11"));
    place.write("clean.fa", format!(">a\n{gene}RYN\n"));
    let ran = place.run(&["predict", "clean.fa", "-o", "out/b"]);
    ran.succeeds(&[]);
    assert!(!ran.stderr.contains("stand for no nucleotide"), "{ran:#?}");
}

#[test]
fn validate_proves_something() {
    let place = Place::new();
    place.write("none.fa", "").write("two.fa", TWO);
    let validate = |more: &[&str]| place.run(&[&["validate", "-m", MODEL, "--device", "cpu"], more].concat());
    validate(&["none.fa"]).is_refused(&["none of 0 records could be compared", "hint: "]);
    validate(&["two.fa", "--max-float32", "0.1"]).succeeds(&["warning: --max-float32 does nothing"]);
    for limit in ["nan", "0", "inf"] {
        validate(&["two.fa", "--max-packed", limit]).is_refused(&["expected a number above 0"]);
    }
}

/// An id may be a complete genome if the line end after it was lost.
#[test]
fn an_id_of_any_length_is_reported_in_one_line() {
    let place = Place::new();
    let first = "i".repeat(59);
    place
        .write("huge.fa", format!(">{}\nMKTAYIAKQR\n", "i".repeat(1 << 20)))
        .write("none.fa", ">\nMKTAYIAKQR\n");
    let too_long = |input: &str, said: &str| {
        let ran = place.embed(&[input, "-o", "out/x.npy", "--max-length", "5", "--long-records", "error"]);
        ran.is_refused(&[said]);
    };
    too_long("huge.fa", &format!("huge.fa:1: record {first}…: 10 residues exceed the maximum length"));
    too_long("none.fa", "none.fa:1: record (no id): 10 residues exceed the maximum length");
}
