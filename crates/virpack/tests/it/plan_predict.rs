//! Plans of `predict`: the directory that a commit makes is that of one run over everything.

use crate::support::{MODEL, PROTEINS, Place, Ran};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

/// Viral and bacterial letters.
const KNOWN: &str = include_str!("../../../../examples/metagenome.fasta");

/// Records of 80 to about 20,000 bases, all different, and unusual ones: empty, short, with gaps, with
/// duplicate ids.
fn contigs(records: usize) -> String {
    let known: Vec<u8> = KNOWN.lines().filter(|line| !line.starts_with('>')).flat_map(str::bytes).collect();
    let mut random = 7_u64;
    let mut random = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut text = ">gap and more\nACGT--NNNNACGGATGGCCATTCTGGCATTAGGA\n>empty\n>short\nAC\n".to_owned();
    for i in 0..records {
        let length = [300, 900, 2_500, 20_000][i % 4].min(80 + random(20_000));
        let start = random(known.len() - length);
        let mut letters = known[start..start + length].to_vec();
        for _ in 0..length / 40 {
            letters[random(length)] = b"ACGT"[random(4)];
        }
        let letters = String::from_utf8(letters).unwrap();
        text += &format!(">c{} \"part\" {i}\n{letters}\n", i / 2);
    }
    text
}

impl Place {
    fn plan_predict(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["plan", "--predict", "-o", "out/plan"], arguments].concat())
    }

    fn make_scores(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["predict", "--plan", "out/plan", "--device", "cpu"], arguments].concat())
    }

    /// Every file below a directory, by its path in it.
    fn files(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(self.path(directory)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                let inner = self.files(&format!("{directory}/{name}"));
                files.extend(inner.into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
            } else {
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
        files
    }

    /// Checks that a committed directory equals that of a run, except for times.
    #[track_caller]
    fn expect_same(&self, committed: &str, run: &str) {
        let [mut ours, mut theirs] = [committed, run].map(|directory| self.files(directory));
        let [our, their] = [&mut ours, &mut theirs].map(|files| {
            let run: Value = serde_json::from_slice(&files.remove("run.json").unwrap()).unwrap();
            assert!(files.remove("report.html").is_some());
            run
        });
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (name, bytes) in &ours {
            assert!(*bytes == theirs[name], "{name} differs");
        }
        for name in ["virpack", "inputs", "models", "files", "run"] {
            assert_eq!(our[name], their[name], "{name}");
        }
        for (name, theirs) in their["options"].as_object().unwrap() {
            // The sizes of batches differ between parts.
            assert!(our["options"][name] == *theirs || name == "token_budget", "{name}");
        }
        for (name, theirs) in their["counts"].as_object().unwrap() {
            // A sequence that occurs again in another part is computed again.
            let depends_on_parts = name.ends_with("_tokens") || name.starts_with("repeated_");
            assert!(our["counts"][name] == *theirs || depends_on_parts, "{name}: {theirs}");
        }
        assert!(our["plan"]["parts"].as_u64().unwrap() > 0 && our["rates"].is_null());
    }
}

#[test]
fn a_plan_of_predict_that_is_joined_is_the_directory_of_one_run() {
    let place = Place::new();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(contigs(5).as_bytes()).unwrap();
    place.write("a.fa", contigs(420)).write("b.fa.gz", packed.finish().unwrap()).write("none.fa", "\n");
    let inputs = ["a.fa", "b.fa.gz", "none.fa"];
    let run = |output: &str, arguments: &[&str]| {
        let fixed = ["predict", "--min-length", "30", "--device", "cpu", "-o", output];
        place.run(&[&fixed, &inputs[..], arguments].concat()).succeeds(&[]);
    };
    let plan = [&inputs[..], &["--min-length", "30", "--part-tokens", "100000"]].concat();
    place
        .plan_predict(&plan)
        .succeeds(&["parts of 431 records", "virpack predict --plan out/plan --part 1-"]);
    // Parts in any order, by batches of any size.
    place.make_scores(&["--part", "3,1-2", "--token-budget", "2048"]).succeeds(&["3 parts made: "]);
    place.make_scores(&["--part", "2/2", "--threads", "1"]).succeeds(&["records, "]);
    place.make_scores(&[]).succeeds(&[]);
    place.make_scores(&[]).succeeds(&["nothing to make"]);
    let commit = |output: &str, arguments: &[&str]| {
        place.run(&[&["commit", "out/plan", "-o", output], arguments].concat())
    };
    // With several inputs, MultiQC's file has the directory's name.
    let (whole, joined) = ("out/whole/run", "out/joined/run");
    run(whole, &[]);
    commit(joined, &[]).succeeds(&["out/plan/manifest.json: 431 records of ", " viral (virpack-mini)"]);
    let chunks = place.read("out/joined/run/chunks.tsv").lines().count() - 1;
    assert!(chunks > 2_500, "{chunks} chunks");
    place.expect_same(joined, whole);
    // The committed directory is a run like any other.
    let again = ["predict", "--min-length", "30", "--device", "cpu", "-o", joined, "--resume"];
    place.run(&[&again[..], &inputs].concat()).succeeds(&["complete"]);
    let other = ["--strict", "--compat", "broad", "--contigs", "--plot", "--max-plots", "3"];
    for directory in [whole, joined] {
        place.run(&[&["report", directory], &other[..]].concat()).succeeds(&["judged again"]);
    }
    place.expect_same(joined, whole);
    commit(joined, &[]).is_refused(&["error: out/joined/run/", " exists"]);
    commit(joined, &["--force"]).succeeds(&["manifest.json (it was there already)"]);
    commit(joined, &[&["--force"], &other[..]].concat()).succeeds(&[]);
    place.expect_same(joined, whole);
    assert_eq!(commit("-", &["--strict"]).stdout, place.read("out/whole/run/sequences.tsv"));
}

#[test]
fn commit_numbers_repeated_ids() {
    let place = Place::new();
    place.write("a.fa", contigs(9));
    place.plan_predict(&["a.fa", "--part-tokens", "9000", "--length", "300"]).succeeds(&[]);
    place.make_scores(&[]).succeeds(&[]);
    place.run(&["commit", "out/plan", "-o", "out/joined", "--unique-ids"]).succeeds(&[]);
    let run = ["predict", "a.fa", "-o", "out/whole", "--unique-ids", "--length", "300", "--device", "cpu"];
    place.run(&run).succeeds(&[]);
    assert!(place.read("out/joined/sequences.tsv").contains("\nc3_1\t"));
    place.expect_same("out/joined", "out/whole");
}

#[test]
fn killed_at_random_moments_parts_of_predict_are_those_of_an_undisturbed_run() {
    let place = Place::new();
    place.write("a.fa", contigs(40));
    place.plan_predict(&["a.fa", "--part-tokens", "20000"]).succeeds(&[]);
    place.make_scores(&[]).succeeds(&[]);
    let whole = place.files("out/plan");
    let parts = whole.keys().filter(|name| name.starts_with("part-")).count();
    assert!(parts > 5, "{parts} parts");
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("the random numbers begin with {random}");
    let mut random = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..8 {
        for number in 1..=parts {
            let file = format!("part-{number:06}.parquet");
            let report = format!("_parts/{number:06}.json");
            let gone: &[String] = match random(4) {
                0 => &[file],
                1 => &[report],
                2 => &[file, report],
                _ => &[],
            };
            gone.iter().for_each(|name| _ = fs::remove_file(place.path(&format!("out/plan/{name}"))));
        }
        // Two processes at once, which make the same parts.
        let start = |part: &str| {
            let fixed = ["predict", "--plan", "out/plan", "--device", "cpu", "--threads", "1", "-q"];
            let mut command = place.command(&[&fixed, &["--part", part][..]].concat());
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        for mut child in [start("1/1"), start(&format!("1-{parts}"))] {
            std::thread::sleep(Duration::from_millis(random(700)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    place.make_scores(&[]).succeeds(&[]);
    place.run(&["commit", "out/plan"]).succeeds(&["manifest.json"]);
    let mut again = place.files("out/plan");
    assert!(again.remove("manifest.json").is_some());
    assert!(again == whole, "a part differs, or a temporary file is left");
}

#[test]
fn a_commit_of_predict_names_the_part_that_is_missing_torn_or_foreign() {
    let place = Place::new();
    place.write("a.fa", contigs(12));
    place.plan_predict(&["a.fa", "--part-tokens", "10000"]).succeeds(&[]);
    place.make_scores(&[]).succeeds(&[]);
    let path = |name: &str| place.path(&format!("out/plan/{name}"));
    let commit = || place.run(&["commit", "out/plan", "-o", "out/run"]);
    let named = |problem: &str| {
        let hint = "hint: `virpack predict --plan out/plan --part 2` makes them again";
        commit().is_refused(&["error: 1 of ", &format!("\n  part 2: {problem}"), hint]);
        place.make_scores(&["--part", "2"]).succeeds(&["part 2 of "]);
    };
    let (part, report) = (path("part-000002.parquet"), path("_parts/000002.json"));
    fs::remove_file(&part).unwrap();
    named("missing");
    let mut flipped = fs::read(&part).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&part, flipped).unwrap();
    named("torn: ");
    let said = fs::read_to_string(&report).unwrap();
    fs::write(&report, said.replace("\"scored\"", "\"stored\"")).unwrap();
    named("torn: ");
    fs::copy(path("_parts/000001.json"), &report).unwrap();
    named("foreign: ");
    assert!(!place.path("out/run").exists() && !path("manifest.json").exists());
    // Inputs are read again, and must be those that were scored.
    let text = place.read("a.fa");
    let modified = fs::metadata(place.path("a.fa")).unwrap().modified().unwrap();
    let replace = |text: &str| {
        place.write("a.fa", text);
        let file = fs::File::options().write(true).open(place.path("a.fa")).unwrap();
        file.set_modified(modified).unwrap();
    };
    let changed = "the input changed since the plan was made";
    replace(&text[..text.len() - 1]);
    commit().is_refused(&["a.fa: ", changed, "its size went from", "hint: put the file back"]);
    replace(&text.replace(">c3 ", ">d3 "));
    commit().is_refused(&["a.fa, line ", "record d3", changed]);
    let last = text.trim_end().len() - 1;
    let letter = if text.as_bytes()[last] == b'A' { "C" } else { "A" };
    replace(&format!("{}{letter}{}", &text[..last], &text[last + 1..]));
    commit().is_refused(&["a.fa: ", changed, "SHA-256"]);
    assert!(!place.path("out/run").exists());
    replace(&text);
    commit().succeeds(&["open: out/run/report.html"]);
}

#[test]
fn parts_are_made_by_the_command_and_the_models_of_the_plan() {
    let place = Place::new();
    place.write("a.fa", contigs(3));
    place.plan_predict(&["a.fa"]).succeeds(&["out/plan: 1 part of 6 records", "for virpack-mini"]);
    place.plan_predict(&["a.fa"]).succeeds(&["out/plan (it was there already)"]);
    place.plan_predict(&["a.fa", "--length", "300"]).is_refused(&["out/plan has another plan: its "]);
    let wrong = place.run(&["embed", "--plan", "out/plan"]);
    wrong.is_refused(&["has a plan of predict, not of embed", "hint: `virpack predict --plan out/plan`"]);
    place.run(&["plan", PROTEINS, "--model", MODEL, "-o", "out/rows"]).succeeds(&[]);
    let wrong = place.run(&["predict", "--plan", "out/rows"]);
    wrong.is_refused(&["has a plan of embed, not of predict", "hint: `virpack embed --plan out/rows`"]);
    for (plan, option) in [("out/plan", "--dtype-out=f16"), ("out/rows", "--strict"), ("out/rows", "--plot")]
    {
        let option_alone = option.split('=').next().unwrap();
        let wrong = place.run(&["commit", plan, "-o", "out/x", option]);
        wrong.is_refused(&[&format!("{option_alone} does not apply to a plan of `virpack ")]);
    }
    let wrong = place.run(&["commit", "out/plan", "--strict"]);
    wrong.is_refused(&["--strict applies to the tables of -o DIR only", "hint: name a directory with -o"]);
    for wrong in [&["a.fa"][..], &["-o", "x"], &["--strict"], &["--length", "300"], &["--buffer-size", "9"]] {
        let ran = place.make_scores(wrong);
        assert!(ran.code == Some(1) && ran.stderr.contains("'--plan <DIR>' cannot be used with"), "{ran:?}");
    }
    let wrong = place.plan_predict(&["a.fa", "--pool", "cls"]);
    assert!(wrong.stderr.contains("'--predict' cannot be used with"), "{wrong:?}");
    let wrong = place.run(&["plan", "a.fa", "-o", "out/x", "--length", "300"]);
    assert!(wrong.stderr.contains("--predict"), "{wrong:?}");
    place.write("p.fa", ">p\nMKTAYIAKQRELLEFQPWERTYMKTAYIAKQRELLEFQPWERTY\n");
    place.run(&["plan", "--predict", "p.fa", "-o", "out/p"]).succeeds(&[]);
    place.run(&["predict", "--plan", "out/p"]).stops(&["p.fa:1: record p is not a nucleotide sequence"]);
}
