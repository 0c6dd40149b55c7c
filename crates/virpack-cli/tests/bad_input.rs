//! What a person in a hurry does wrong: each time a message with the place and a way out, exit code 1, and
//! nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::io::Write;
use support::{MODEL, PROTEINS, Place, Ran, read_npy};

const TWO: &[u8] = b">a first\nMKTAYIAKQR\n>b second\nMKV\n";

/// `virpack embed INPUT -o out/emb.npy` is refused and leaves nothing.
#[track_caller]
fn refused(place: &Place, arguments: &[&str], said: &[&str]) {
    for output in ["out/emb.npy", "out/emb.parquet"] {
        place.embed(&[&["-o", output], arguments].concat()).is_refused(said);
        assert_eq!(place.outputs(), [""; 0]);
    }
}

// --- inputs ---

#[test]
fn a_missing_file() {
    let place = Place::new();
    place.write("two.fa", TWO);
    refused(&place, &["absent.fa"], &["cannot open absent.fa: No such file", "hint: check the path"]);
    // The others are not read first.
    refused(&place, &["two.fa", "absent.fa"], &["cannot open absent.fa"]);
}

#[test]
fn a_directory() {
    refused(&Place::new(), &["out"], &["out is a directory", "hint: name the files in it"]);
}

/// Runs as nobody where the tests are root's, whom no permission keeps out; nothing where that cannot be done.
#[cfg(unix)]
fn unprivileged(place: &Place, arguments: &[&str]) -> Option<Ran> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let mut command = place.command(&[&["embed", "--model", MODEL], arguments].concat());
    if std::fs::metadata(place.path("out")).unwrap().uid() == 0 {
        std::fs::set_permissions(place.path("."), std::fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65_534).gid(65_534);
        let mut version = place.command(&["--version"]);
        version.uid(65_534).gid(65_534);
        if !version.output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: root, and nobody cannot run the binary");
            return None;
        }
    }
    Some(Ran::of(command))
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

/// It opens, and the first read fails.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read() {
    refused(&Place::new(), &["/proc/self/mem"], &["/proc/self/mem:1: reading failed after 0 records"]);
}

#[test]
fn an_empty_file_is_zero_rows_and_a_warning() {
    let place = Place::new();
    place.write("none.fa", "").write("blank.fa", "\n \n\r\n").write("two.fa", TWO);
    place
        .embed(&["none.fa", "-o", "out/a.npy"])
        .succeeds(&["warning: none.fa: empty, no records", "0 sequences"]);
    assert_eq!(read_npy(&place.path("out/a.npy")), (0, 48, vec![]));
    assert_eq!(place.read("out/a.ids.txt"), "");
    place.embed(&["blank.fa", "-o", "out/b.parquet", "-q"]).succeeds(&["warning: blank.fa: empty"]);
    // One of several.
    place
        .embed(&["none.fa", "two.fa", "-o", "out/c.npy"])
        .succeeds(&["warning: none.fa: empty", "2 sequences"]);
    assert_eq!(read_npy(&place.path("out/c.npy")).0, 2);
    assert_eq!(place.read("out/c.ids.txt"), "a\ttwo.fa\nb\ttwo.fa\n");
    assert_eq!(
        place.outputs(),
        [
            "a.ids.txt",
            "a.npy",
            "a.npy.run.json",
            "b.parquet",
            "b.parquet.run.json",
            "c.ids.txt",
            "c.npy",
            "c.npy.run.json"
        ]
    );
    // Nothing on standard input, and an empty file compressed.
    place.embed_stdin(&["-", "-o", "out/d.npy"], b"").succeeds(&["warning: <stdin>: empty"]);
    place.write("none.fa.gz", gzip(b""));
    place.embed(&["none.fa.gz", "-o", "out/e.npy"]).succeeds(&["warning: none.fa.gz: empty"]);
    place.run(&["pack", "none.fa"]).succeeds(&["warning: none.fa: empty"]);
}

#[test]
fn text_that_is_no_fasta() {
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
    ran.succeeds(&["warning: 4 records skipped: see out/emb.skipped.tsv", "2 sequences"]);
    assert_eq!(place.read("out/emb.ids.txt"), "a\nc\n");
    let expected = "record\tsource\tline\tid\tlength\treason\n\
                    1\thole.fa\t3\tb\t0\tempty\n3\thole.fa\t6\td\t0\tempty\n\
                    4\thole.fa\t8\te\t0\tempty\n5\thole.fa\t10\t\t0\tempty\n";
    assert_eq!(place.read("out/emb.skipped.tsv"), expected);
    // Also when only they are there, and with other reasons.
    place.write("all.fa", ">a\n>b\n");
    place.embed(&["all.fa", "-o", "out/all.parquet"]).succeeds(&["2 records skipped", "0 sequences"]);
    let lengths = ["--min-length", "5", "--max-length", "8", "--long-records", "skip"];
    place.write("two.fa", TWO);
    let ran = place.embed(&[&["two.fa", "-o", "out/two.npy"], &lengths[..]].concat());
    ran.succeeds(&["2 records skipped: see out/two.skipped.tsv"]);
    let skipped = place.read("out/two.skipped.tsv");
    assert!(skipped.contains("0\ttwo.fa\t1\ta\t10\ttoo_long\n1\ttwo.fa\t3\tb\t3\ttoo_short\n"), "{skipped}");
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
    refused(&place, &["plus.fq"], &["plus.fq:3: record 1: a line that begins with `+`", "hint: "]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn truncated_and_damaged_compression() {
    let place = Place::new();
    let text = (0..2_000u32).fold(String::new(), |text, i| {
        text + &format!(
            ">r{i}\n{}\n",
            "MKTAYIAKQRLLV".repeat(1 + (i.wrapping_mul(2_654_435_761) % 9) as usize)
        )
    });
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    for (codec, whole) in [
        ("gzip", gzip(text.as_bytes())),
        ("zstd", zstd),
        ("bzip2", bzip2(text.as_bytes())),
        ("xz", xz(text.as_bytes())),
    ] {
        for (name, kept) in [("half", whole.len() / 2), ("tail", whole.len() - 3), ("head", 12)] {
            place.write("cut.fa", &whole[..kept]);
            let ran = place.embed(&["cut.fa", "-o", "out/emb.npy"]);
            ran.is_refused(&["cut.fa:", &format!("the {codec} data end too early or are damaged"), "hint: "]);
            assert_eq!(place.outputs(), [""; 0], "{codec} {name}");
        }
        let mut wrong = whole.clone();
        let middle = wrong.len() / 2;
        wrong[middle..middle + 8].fill(0xAA);
        place.write("cut.fa", wrong);
        refused(&place, &["cut.fa"], &["cut.fa:"]);
    }
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
    refused(&place, &["junk.fa"], &["junk.fa:1: binary data", "hint: "]);
    // Behind a good beginning the record is named.
    place.write("later.fa", [TWO, b">c\n", &junk].concat());
    refused(&place, &["later.fa"], &["later.fa:", "binary data", "record 3", "hint: "]);
    // What people have lying about: a program, a picture, an archive, an array.
    for (name, magic) in
        [("elf", &b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..]), ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")]
    {
        place.write(name, [magic, &junk].concat());
        refused(&place, &[name], &[&format!("{name}:1: "), "hint: "]);
    }
    for (name, bytes) in
        [("a.zip", &b"PK\x03\x04\x14\0\0\0\x08\0"[..]), ("a.npy", b"\x93NUMPY\x01\0v\0{'descr': '<f4'")]
    {
        place.write(name, bytes);
        refused(&place, &[name], &[&format!("{name}:1: "), "hint: "]);
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
    assert_eq!(place.read("out/emb.ids.txt"), "huge\nsmall\n");
    let skipped = place.embed(&["huge.fa", "-o", "out/skip.npy", "--long-records", "skip"]);
    skipped.succeeds(&["1 record skipped"]);
    assert!(place.read("out/skip.skipped.tsv").contains("\thuge\t10000000\ttoo_long\n"));
    std::fs::remove_dir_all(place.path("out")).unwrap();
    std::fs::create_dir(place.path("out")).unwrap();
    let said = ["huge.fa:1: record huge: 10000000 residues are over the largest length of 1022", "hint: "];
    refused(&place, &["huge.fa", "--long-records", "error"], &said);
}

#[test]
fn a_long_record_in_windows() {
    let place = Place::new();
    let mut text = b">long\n".to_vec();
    text.extend(b"MKTAYIAKQRLLVGGTSPED".iter().cycle().take(50_000));
    place.write("long.fa", text);
    let ran = place.embed(&["long.fa", "-o", "out/emb.npy", "--long-records", "window"]);
    // 1 + (50,000 - 1,022) / (1,022 - 128), rounded up.
    ran.succeeds(&["1 sequence", "0 truncated, 1 in 56 windows"]);
    assert_eq!(read_npy(&place.path("out/emb.npy")).0, 1);
}

#[test]
fn several_inputs_name_their_source_and_ids_may_repeat() {
    let place = Place::new();
    place.write("one.fa", ">x\nMKT\n>x\nMKTT\n>y z\nMK\n").write("two.fq", "@x\nMKTAY\n+\nIIIII\n");
    place.embed(&["one.fa", "two.fq", "one.fa", "-o", "out/emb.npy"]).succeeds(&["7 sequences"]);
    let one = "x\tone.fa\nx\tone.fa\ny\tone.fa\n";
    assert_eq!(place.read("out/emb.ids.txt"), format!("{one}x\ttwo.fq\n{one}"));
    let (rows, _, values) = read_npy(&place.path("out/emb.npy"));
    assert_eq!(rows, 7);
    for column in 0..3 * 48 {
        assert!((values[column] - values[4 * 48 + column]).abs() < 1e-5);
    }
    // One input alone is not named.
    place.embed(&["one.fa", "-o", "out/one.npy"]).succeeds(&[]);
    assert_eq!(place.read("out/one.ids.txt"), "x\nx\ny\n");
    // An error in the second says so, with lines counted anew.
    let place = Place::new();
    place.write("one.fa", ">x\nMKT\n").write("bad.fq", "@x\nMKTAY\n+\nII\n");
    refused(&place, &["one.fa", "bad.fq"], &["bad.fq:1: record 1 (x)"]);
}

#[test]
fn every_compression_by_content_from_files_and_stdin() {
    let place = Place::new();
    place.write("plain", TWO).embed(&["plain", "-o", "out/plain.npy"]).succeeds(&[]);
    let expected = std::fs::read(place.path("out/plain.npy")).unwrap();
    let members = [gzip(&TWO[..20]), gzip(&TWO[20..])].concat();
    let zstd = zstd::encode_all(TWO, 3).unwrap();
    for (i, bytes) in [gzip(TWO), members, zstd, bzip2(TWO), xz(TWO)].iter().enumerate() {
        // A wrong ending says nothing.
        place.write("input.txt", bytes);
        let output = format!("out/{i}.npy");
        place.embed(&["input.txt", "-o", &output]).succeeds(&["2 sequences"]);
        assert_eq!(std::fs::read(place.path(&output)).unwrap(), expected);
        place.embed_stdin(&["-", "-o", &output, "--force"], bytes).succeeds(&["2 sequences"]);
        assert_eq!(std::fs::read(place.path(&output)).unwrap(), expected);
    }
    refused(&Place::new(), &["-", "-"], &["standard input (-) is named 2 times", "hint: "]);
}

// --- outputs ---

#[test]
fn an_output_that_exists() {
    let place = Place::new();
    place.write("two.fa", TWO).write("out/emb.npy", "mine");
    let again = ["two.fa", "-o", "out/emb.npy"];
    place.embed(&again).is_refused(&["out/emb.npy exists", "--force"]);
    // Before anything is looked for on the network.
    place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", "esm2_t48_15B_UR50D"]).is_refused(&["exists"]);
    assert_eq!((place.read("out/emb.npy").as_str(), place.outputs().len()), ("mine", 1));
    place.embed(&[&again[..], &["--force"]].concat()).succeeds(&["2 sequences"]);
    assert_eq!(place.outputs(), ["emb.ids.txt", "emb.npy", "emb.npy.run.json"]);
    // A failed run leaves what was there.
    let before = std::fs::read(place.path("out/emb.npy")).unwrap();
    place.write("bad.fa", "no fasta");
    place.embed(&["bad.fa", "-o", "out/emb.npy", "--force"]).is_refused(&["bad.fa:1: "]);
    assert_eq!(std::fs::read(place.path("out/emb.npy")).unwrap(), before);
    assert_eq!(place.outputs(), ["emb.ids.txt", "emb.npy", "emb.npy.run.json"]);
    // A table beside it counts as well.
    std::fs::remove_file(place.path("out/emb.npy")).unwrap();
    place.embed(&again).is_refused(&["out/emb.ids.txt exists"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let out = |output: &str| place.embed(&["two.fa", "-o", output]);
    out("nowhere/emb.npy")
        .is_refused(&["cannot write into nowhere: No such file", "hint: make the directory"]);
    out("two.fa/emb.npy").is_refused(&["two.fa", "hint: a part of the path is a file"]);
    out("out").is_refused(&["out", "no known output format", "hint: use one of .npy, .parquet"]);
    out("out/").is_refused(&["is the name of a directory", "hint: "]);
    out("out/emb.csv")
        .is_refused(&["out/emb.csv: .csv is no known output format", "hint: use one of .npy, .parquet"]);
    out("out/emb").is_refused(&["a name without an ending", "hint: use one of .npy, .parquet"]);
    out("-").is_refused(&["- is standard output", "hint: "]);
    out("/dev/null").is_refused(&["/dev/null", "hint: "]);
    assert_eq!(place.outputs(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn an_output_directory_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("two.fa", TWO);
    std::fs::set_permissions(place.path("out"), std::fs::Permissions::from_mode(0o555)).unwrap();
    if let Some(ran) = unprivileged(&place, &["two.fa", "-o", "out/emb.npy"]) {
        ran.is_refused(&["cannot write into out: Permission denied", "hint: check the permissions"]);
        assert_eq!(place.outputs(), [""; 0]);
    }
}

/// `virpack embed` of many proteins in a mount namespace of its own, where `out` is a tmpfs with these options, and what
/// it left there; None where the system gives no such namespace.
#[cfg(target_os = "linux")]
fn embed_on_tmpfs(place: &Place, options: &str, output: &str) -> Option<(Ran, String)> {
    let program = env!("CARGO_BIN_EXE_virpack");
    let script = format!(
        "mount -t tmpfs -o {options} none out || exit 77; \
         {program} embed in.fa -m {MODEL} -o {output} --device cpu -q; code=$?; ls -A out > left; exit $code"
    );
    let mut shell = std::process::Command::new("unshare");
    shell.args(["--mount", "--map-root-user", "sh", "-c", &script]).current_dir(place.path(""));
    let ran = Ran::of(shell);
    if ran.code == Some(77) || ran.stderr.starts_with("unshare: ") {
        eprintln!("skipped: no tmpfs here: {}", ran.stderr);
        return None;
    }
    Some((ran, place.read("left")))
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_and_one_that_is_read_only() {
    let place = Place::new();
    // Different ones, as what is the same takes little room in .parquet.
    let letter = |i: u32, j: u32| {
        let hash = i.wrapping_mul(2_654_435_761).rotate_left(5 * j);
        char::from(b"ACDEFGHIKLMNPQRSTVWY"[hash as usize % 20])
    };
    let sequence = |i| (0..12).map(|j| letter(i, j)).collect::<String>();
    place.write("in.fa", (0..12_000).map(|i| format!(">r{i}\n{}\n", sequence(i))).collect::<String>());
    for ending in ["npy", "parquet", "safetensors", "h5"] {
        let output = format!("out/emb.{ending}");
        let Some((ran, left)) = embed_on_tmpfs(&place, "size=200k", &output) else { return };
        // The output itself, or the first part of what is kept beside it.
        let said = format!("cannot write {output}");
        ran.is_refused(&[&said, ": No space left on device", "hint: the disk is full: free some space"]);
        assert_eq!(left, "");
    }
    let Some((ran, _)) = embed_on_tmpfs(&place, "ro", "out/emb.npy") else { return };
    ran.is_refused(&["cannot write into out: Read-only file system", "hint: the file system is read-only"]);
}

/// Waits for files in `out/`, then.
#[cfg(unix)]
fn wait_for_outputs(place: &Place, files: usize) {
    for _ in 0..3_000 {
        if place.outputs().len() >= files {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{files} files were not begun: {:?}", place.outputs());
}

#[cfg(unix)]
#[test]
fn an_output_directory_that_vanishes() {
    use std::process::Stdio;
    let place = Place::new();
    let mut command =
        place.command(&["embed", "--model", MODEL, "-", "-o", "out/emb.npy", "--device", "cpu"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for_outputs(&place, 2);
    std::fs::remove_dir_all(place.path("out")).unwrap();
    child.stdin.take().unwrap().write_all(TWO).unwrap();
    Ran::from(child.wait_with_output().unwrap()).is_refused(&[
        "cannot put out/emb.npy.run.json in its place: No such file",
        "hint: nothing of the result is left in its directory, which may have been removed",
    ]);
}

// --- models ---

type Tensors = serde_json::Map<String, serde_json::Value>;

/// The example model in `model/`, its safetensors header changed by `change` and its values as they were.
fn damaged_model(change: impl FnOnce(&mut Tensors)) -> Place {
    let place = Place::new();
    place.write("two.fa", TWO);
    let read = |name: &str| std::fs::read(format!("{MODEL}/{name}")).unwrap();
    let bytes = read("model.safetensors");
    let length = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut tensors: Tensors = serde_json::from_slice(&bytes[8..length]).unwrap();
    change(&mut tensors);
    let header = serde_json::to_vec(&tensors).unwrap();
    let start = (header.len() as u64).to_le_bytes();
    place.write("model/model.safetensors", [&start, &header[..], &bytes[length..]].concat());
    place.write("model/config.json", read("config.json"));
    place
}

#[track_caller]
fn refused_model(place: &Place, said: &[&str]) {
    let arguments = ["embed", "two.fa", "-o", "out/emb.npy", "-m", "model"];
    place.run(&arguments).is_refused(said);
    assert_eq!(place.outputs(), [""; 0]);
    place.run(&["models", "info", "model"]).is_refused(said);
    place.run(&["pack", "two.fa", "--model", "model"]).is_refused(said);
}

const TENSOR: &str = "encoder.layer.1.output.dense.weight";

#[test]
fn the_changed_model_works_unchanged() {
    let place = damaged_model(|_| ());
    place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", "model"]).succeeds(&["2 sequences"]);
    place.run(&["pack", "two.fa", "-m", "model"]).succeeds(&[]);
}

#[test]
fn a_directory_without_weights() {
    let place = Place::new();
    place.write("two.fa", TWO).write("model/config.json", "{}");
    refused_model(&place, &["model: no weights here", "model.safetensors", "hint: "]);
}

#[test]
fn weights_without_settings() {
    let place = damaged_model(|_| ());
    std::fs::remove_file(place.path("model/config.json")).unwrap();
    refused_model(
        &place,
        &["no settings for the model", "hint: put the model's config.json beside its weights"],
    );
    place.write("model/config.json", "{\"model_type\": \"esm\",");
    refused_model(&place, &["model/config.json: ", "line 1", "hint: "]);
    place.write("model/config.json", "{\"model_type\": \"bert\"}");
    refused_model(&place, &["model/config.json: model_type is \"bert\"", "ESM-2"]);
}

#[test]
fn a_missing_tensor() {
    // Under another name, so that the file stays whole.
    let place = damaged_model(|tensors| {
        let tensor = tensors.iter().find(|(name, _)| name.ends_with(TENSOR)).unwrap().0.clone();
        let value = tensors.remove(&tensor).unwrap();
        tensors.insert("other".to_owned(), value);
    });
    refused_model(&place, &[&format!("model: no tensor {TENSOR} of shape [48, 96]"), "hint: "]);
}

#[test]
fn a_misshapen_tensor() {
    let place = damaged_model(|tensors| {
        let tensor = tensors.iter_mut().find(|(name, _)| name.ends_with(TENSOR)).unwrap().1;
        tensor["shape"] = serde_json::json!([96, 48]);
    });
    let said = format!("model/model.safetensors: tensor {TENSOR} has shape [96, 48], expected [48, 96]");
    refused_model(&place, &[&said, "hint: "]);
}

#[test]
fn weights_that_are_no_numbers() {
    let place = damaged_model(|_| ());
    let mut bytes = std::fs::read(place.path("model/model.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 9_000..].fill(0xFF);
    place.write("model/model.safetensors", bytes);
    let ran = place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", "model"]);
    ran.is_refused(&["NaN or infinity in the embeddings of a, b", "hint: the weights may be damaged"]);
    assert_eq!(place.outputs(), [""; 0]);
}

#[test]
fn truncated_weights() {
    let place = damaged_model(|_| ());
    let whole = std::fs::read(place.path("model/model.safetensors")).unwrap();
    for kept in [whole.len() - 1, whole.len() / 2, 1_000, 9, 8, 3, 0] {
        place.write("model/model.safetensors", &whole[..kept]);
        refused_model(&place, &["model/model.safetensors: ", "hint: "]);
    }
}

#[test]
fn a_header_that_lies() {
    // About its own size, ...
    let place = damaged_model(|_| ());
    let whole = std::fs::read(place.path("model/model.safetensors")).unwrap();
    for size in [0, 7, 100, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 7] {
        place.write("model/model.safetensors", [&size.to_le_bytes(), &whole[8..]].concat());
        refused_model(&place, &["model/model.safetensors: ", "hint: "]);
    }
    // ... about a tensor's place and about its shape.
    for (field, value) in [
        ("data_offsets", serde_json::json!([0, u64::MAX])),
        ("data_offsets", serde_json::json!([1u64 << 40, (1u64 << 40) + 18_432])),
        ("shape", serde_json::json!([u32::MAX, u32::MAX, u32::MAX])),
    ] {
        let place = damaged_model(|tensors| {
            let tensor = tensors.iter_mut().find(|(name, _)| name.ends_with(TENSOR)).unwrap().1;
            tensor[field] = value;
        });
        refused_model(&place, &["model/model.safetensors: ", "hint: "]);
    }
}

#[test]
fn models_that_are_not_there() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let with = |model: &str| place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", model]);
    with("esm2").is_refused(&["no model \"esm2\"", "hint: ", "esm2_t6_8M_UR50D"]);
    with("./models/esm2").is_refused(&["no file or directory ./models/esm2", "hint: "]);
    with("two.fa").is_refused(&["two.fa: not a weights file by its name", "hint: "]);
    let settings = format!("{MODEL}/config.json");
    with(&settings).is_refused(&["config.json: no weight_map", "hint: name the directory"]);
    with("someone/model").is_refused(&["someone/model is no local path", "HF_HUB_OFFLINE", "hint: "]);
    assert_eq!(place.outputs(), [""; 0]);
    // Asked about only, the network is no matter.
    let mut info = place.command(&["models", "info", "someone/model"]);
    info.env_remove("HF_HUB_OFFLINE");
    let ran = Ran::of(info);
    ran.is_refused(&["someone/model is no local path and not in the cache", "hint: check the name"]);
    assert!(!ran.stderr.contains("HF_HUB_OFFLINE"), "{ran:?}");
    place.run(&["pack", "two.fa", "-m", "esm2"]).is_refused(&["no model \"esm2\""]);
    place.run(&["pack", "two.fa", "-m", "esm2_t48_15B_UR50D"]).succeeds(&[]);
}

// --- options ---

#[test]
fn budgets_that_cannot_hold_a_sequence() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let said = [
        "a token budget of 1023 cannot hold a sequence of 1024 tokens",
        "hint: the smallest budget that works is 1024",
    ];
    refused(&place, &["two.fa", "--token-budget", "1023"], &said);
    // At the start: before the model is looked for.
    let early = ["embed", "two.fa", "-o", "out/emb.npy", "-m", "none", "--token-budget"];
    place.run(&[&early[..], &["1023"]].concat()).is_refused(&said);
    refused(&place, &["two.fa", "--token-budget", "0"], &["hint: the smallest budget that works is 1024"]);
    refused(&place, &["two.fa", "--token-budget", "51", "--max-length", "50"], &["works is 52"]);
    refused(&place, &["two.fa", "--token-budget", "99999999999"], &["too large", "hint: "]);
    refused(&place, &["two.fa", "--token-budget", "4k"], &["expected a number of tokens, or `auto`"]);
    place.run(&["pack", "two.fa", "--token-budget", "1023"]).is_refused(&said);
    place.embed(&["two.fa", "-o", "out/emb.npy", "--token-budget", "1024"]).succeeds(&[]);
}

#[test]
fn lengths_that_no_machine_holds() {
    let place = Place::new();
    place.write("two.fa", TWO);
    for length in ["9000000000000", "9223372036854775807", "18446744073709551613", "18446744073709551615"] {
        refused(
            &place,
            &["two.fa", "--max-length", length],
            &["of free memory do not hold", "hint: ", "lower --max-length"],
        );
    }
    refused(&place, &["two.fa", "--max-length", "0"], &["lets nothing through", "hint: "]);
}

#[test]
fn options_out_of_range() {
    let place = Place::new();
    place.write("two.fa", TWO);
    for layer in ["3", "-4", "99", "-9223372036854775808", "9223372036854775807"] {
        refused(
            &place,
            &["two.fa", "--layer", layer],
            &[&format!("no layer {layer}: the model has 2"), "hint: "],
        );
    }
    refused(&place, &["two.fa", "--threads", "0"], &["'--threads <N>'", "at least 1"]);
    refused(&place, &["two.fa", "--threads", "1000000"], &["cannot start 1000000 threads", "hint: "]);
    refused(&place, &["two.fa", "--buffer-size", "0"], &["'--buffer-size <N>'", "at least 1"]);
    let window = |more: &[&'static str]| [&["two.fa", "--window-overlap", "512"], more].concat();
    refused(
        &place,
        &window(&["--long-records", "window"]),
        &["cannot overlap by 512", "hint: the most is half of --max-length, 511"],
    );
    refused(&place, &window(&[]), &["--window-overlap does nothing", "hint: add --long-records window"]);
    place.run(&["pack", "two.fa", "--window-overlap", "9"]).is_refused(&["--window-overlap does nothing"]);
    refused(&place, &[], &["<INPUT>"]);
    refused(&place, &["two.fa", "--pool", "median"], &["possible values: mean, cls, max"]);
}

#[test]
fn pictures_of_unknown_kind() {
    let place = Place::new();
    let ran = place.run(&["pack", PROTEINS, "--plot", "out/plan.jpg"]);
    ran.is_refused(&["cannot draw out/plan.jpg", "hint: end the file's name"]);
    place.run(&["pack", PROTEINS, "--plot", "nowhere/plan.svg"]).is_refused(&["nowhere/plan.svg"]);
    assert_eq!(place.outputs(), [""; 0]);
}

/// What cannot be said is no reason to fail, and no panic.
#[cfg(target_os = "linux")]
#[test]
fn a_stderr_that_takes_nothing() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let code = |arguments: &[&str]| {
        let mut command = place.command(&[&["embed", "--model", MODEL], arguments].concat());
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        command.stderr(full).status().unwrap().code()
    };
    assert_eq!(code(&["two.fa", "-o", "out/emb.npy"]), Some(0));
    assert_eq!(place.outputs(), ["emb.ids.txt", "emb.npy", "emb.npy.run.json"]);
    assert_eq!(code(&["two.fa", "-o", "out/emb.npy"]), Some(1));
}

/// Names are bytes, on Linux at least.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_utf_8() {
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

/// Ctrl-C, and the signal of a job's end.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing() {
    use std::process::{Command, Stdio};
    for signal in ["-INT", "-TERM"] {
        let place = Place::new();
        let mut command = place.command(&["embed", "--model", MODEL, "-", "-o", "out/emb.npy"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // It waits for input with its files begun.
        wait_for_outputs(&place, 2);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(place.outputs(), [""; 0]);
    }
}

/// As `nohup` asks for.
#[cfg(unix)]
#[test]
fn a_run_outlives_its_terminal() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    let plain = place.command(&["embed", "--model", MODEL, "-", "-o", "out/emb.npy"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap '' HUP; exec "$0" "$@""#]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(plain.get_current_dir().unwrap());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    wait_for_outputs(&place, 2);
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), TWO).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(place.path("out/emb.npy").exists());
}

#[test]
fn letters_of_no_nucleotide_are_told_of() {
    let place = Place::new();
    // A FASTQ record behind FASTA, as careless joining leaves it.
    let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC".repeat(20);
    place.write("joined.fa", format!(">a\n{gene}\n@b\n{gene}\n+\n{}\n", "I".repeat(9)));
    place
        .run(&["predict", "joined.fa", "-o", "out/a"])
        .succeeds(&["11 of 1332 letters stand for no nucleotide"]);
    assert!(place.read("out/a/run.json").contains("\"odd_letters\": 11"));
    place.write("clean.fa", format!(">a\n{gene}RYN\n"));
    let ran = place.run(&["predict", "clean.fa", "-o", "out/b"]);
    ran.succeeds(&[]);
    assert!(!ran.stderr.contains("stand for no nucleotide"), "{ran:#?}");
}

/// Not even with `--force`.
#[test]
fn an_input_is_never_replaced() {
    let place = Place::new();
    place.write("in.npy", TWO).write("x_nucleotide.fa", TWO).write("out/viral.fna", ">a\nACGTACGT\n");
    let refused = |arguments: &[&str]| place.run(arguments).is_refused(&["is an input too", "hint: "]);
    refused(&["embed", "--model", MODEL, "in.npy", "-o", "in.npy", "--force"]);
    refused(&["frames", "x_nucleotide.fa", "-o", "x", "--force"]);
    refused(&["predict", "out/viral.fna", "-o", "out", "--force"]);
    place.write("in.svg", TWO);
    refused(&["pack", "in.svg", "--plot", "in.svg", "--force"]);
    place.run(&["pack", "in.svg", "--plot", "x_nucleotide.fa.svg"]).succeeds(&[]);
    place.run(&["pack", "in.svg", "--plot", "x_nucleotide.fa.svg"]).is_refused(&["exists", "--force"]);
    place.run(&["pack", "in.svg", "--plot", "x_nucleotide.fa.svg", "--force"]).succeeds(&[]);
    for input in ["in.npy", "x_nucleotide.fa"] {
        assert_eq!(place.read(input).as_bytes(), TWO);
    }
}

/// Whoever reads stdout may stop early.
#[cfg(unix)]
#[test]
fn a_closed_stdout_is_no_failure() {
    use std::process::Stdio;
    let place = Place::new();
    let mut child = place.command(&["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
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

/// `virpack predict` with the tiny models and their classifier.
fn predict(place: &Place, arguments: &[&str]) -> support::Ran {
    Ran::of(predict_command(place, arguments))
}

fn predict_command(place: &Place, arguments: &[&str]) -> std::process::Command {
    let fixture = |name: &str| format!("{}/../virpack/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let (model, classifier) = (fixture("dnabert_tiny/8"), fixture("predict/300_model.pth"));
    let models = ["--nucleotide-model", &model, "--protein-model", support::MODEL, "--device", "cpu"];
    let classifier = ["--classifier", classifier.as_str()];
    let classifier = if arguments.contains(&"--classifier") { &[][..] } else { &classifier[..] };
    place.command(&[&["predict"][..], &models, classifier, arguments].concat())
}

#[test]
fn predict_with_nothing_to_pack_says_so() {
    let place = Place::new();
    place.write("in.fa", ">n\nNNNN\n");
    predict(&place, &["in.fa", "-o", "out/p"]).succeeds(&["1 record", "at work; nothing packed; "]);
    let report: serde_json::Value = serde_json::from_str(&place.read("out/p/run.json")).unwrap();
    assert_eq!(report["packing"]["protein"]["efficiency"], serde_json::Value::Null);
    assert_eq!(report["devices"][1]["model"], "protein");
    assert_eq!(report["output"], "out/p");
}

#[cfg(unix)]
#[test]
fn an_interrupted_prediction_leaves_no_directory() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    let mut child = predict_command(&place, &["-", "-o", "out/new/p"]).stdin(Stdio::piped()).spawn().unwrap();
    wait_for_outputs(&place, 1);
    // It waits for input with its tables begun.
    while place.path("out/new/p").read_dir().map_or(0, Iterator::count) < 7 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(place.outputs(), [""; 0]);
}

#[test]
fn predict_says_what_it_takes_and_what_became_of_it() {
    let place = Place::new();
    place.write("in.fa", format!(">v x y\n{}\n>n\nNNNN\n>t\nAC\n>e\n", "GCC".repeat(150)));
    let ran = predict(&place, &["in.fa", "-o", "out/run", "--plot"]);
    ran.succeeds(&[
        "chunks of 300 bases, as ",
        "4 records, 4 chunks, ",
        "3 without a verdict (1 without an open frame, 1 too short, 1 empty)",
        "slowest: ",
    ]);
    let table = place.read("out/run/sequences.tsv");
    let ends: Vec<_> = table.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(ends, ["status", "classified", "no_open_frame", "too_short", "empty"]);
    assert!(place.read("out/run/plots/000001_v.svg").starts_with("<svg"));
    let report: serde_json::Value = serde_json::from_str(&place.read("out/run/run.json")).unwrap();
    assert_eq!(report["counts"]["records"], 4);
    assert_eq!(report["inputs"][0]["bytes"], std::fs::metadata(place.path("in.fa")).unwrap().len());
    assert_eq!(report["models"]["files"].as_array().unwrap().len(), 6);
    // Neither again nor into a file; with --force, and without pictures, those of the other run go.
    predict(&place, &["in.fa", "-o", "out/run"]).is_refused(&["frames.tsv exists", "--force"]);
    predict(&place, &["in.fa", "-o", "in.fa"]).is_refused(&["in.fa is no directory", "hint: "]);
    let ran = predict(&place, &["in.fa", "-o", "out/run", "--force", "--length", "500", "--quiet"]);
    ran.succeeds(&["warning: chunks of 500 bases, but ", "was trained on 300"]);
    assert!(!place.path("out/run/plots").exists());
}

#[test]
fn predict_says_which_model_takes_no_part() {
    let place = Place::new();
    place.write("in.fa", b">a\nATGGCCGCC\n");
    // As wide as the tiny DNABERT's vectors.
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../virpack/tests/fixtures");
    let classifier = format!("{fixtures}/classifier/500_model.pth");
    let ran = predict(&place, &["in.fa", "-o", "out/p", "--classifier", &classifier, "--quiet"]);
    ran.succeeds(&["takes the nucleotides' vectors alone: --protein-model takes no part"]);
}

#[test]
fn predict_refuses_what_is_no_nucleotide_and_no_classifier() {
    let place = Place::new();
    place.run(&["models", "convert", "/nosuch/x", "x.safetensors"]).is_refused(&["cannot read /nosuch/x: "]);
    place.write("in.fa", ">a\nGCC\n").write("no.pth", "no classifier").write("bad.safetensors", "{}");
    predict(&place, &[support::PROTEINS, "-o", "out/p", "--quiet"])
        .is_refused(&["is no nucleotide sequence", "hint: "]);
    for file in ["no.pth", "bad.safetensors", "in.fa", "absent.pth"] {
        predict(&place, &["in.fa", "-o", "out/p", "--classifier", file]).is_refused(&[file]);
    }
    predict(&place, &["in.fa", "-o", "out/p", "--min-fraction", "2"])
        .is_refused(&["--min-fraction", "between 0 and 1"]);
    predict(&place, &["absent.fa", "-o", "out/p"]).is_refused(&["cannot open absent.fa"]);
    assert!(place.outputs().is_empty());
}

/// A file-size limit stands for a disk that fills: a write fails part of the way.
#[cfg(unix)]
#[test]
fn predict_on_a_disk_that_fills_leaves_nothing() {
    let place = Place::new();
    place.write("in.fa", format!(">a\n{}\n", "GCC".repeat(20_000)));
    let fixture = |name: &str| format!("{}/../virpack/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let command = format!(
        "ulimit -f 8; trap '' XFSZ; exec {} predict in.fa -o out/p --device cpu --quiet --nucleotide-model {} \
         --protein-model {} --classifier {}",
        env!("CARGO_BIN_EXE_virpack"),
        fixture("dnabert_tiny/8"),
        support::MODEL,
        fixture("predict/300_model.pth"),
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command]).current_dir(place.path(""));
    let ran = support::Ran::of(shell);
    ran.is_refused(&["cannot write ", "hint: "]);
    assert!(place.outputs().is_empty());
}
