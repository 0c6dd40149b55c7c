//! Plans: their parts, made and made again by processes that are killed, and the results of a commit.

use crate::support::{MODEL, PROTEINS, Place, Ran};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

/// FASTA of this number of proteins of 1 to 90 residues, every ninth empty, some wrapped.
fn proteins(records: usize) -> String {
    let letters = "MKTAYIAKJRLL-GGTSPEDW.NCFV".repeat(5);
    let residues = |i: usize| if i % 9 == 4 { "" } else { &letters[i % 26..][..1 + i * 31 % 90] };
    let wrapped = |i: usize| match residues(i).split_at_checked(40).filter(|_| i.is_multiple_of(2)) {
        Some((first, rest)) => format!("{first}\n{rest}"),
        None => residues(i).to_owned(),
    };
    (0..records).map(|i| format!(">p{i} > @\n{}\n", wrapped(i))).collect()
}

/// The same as FASTQ, with qualities that begin with `@`, some wrapped.
fn reads(records: usize) -> String {
    let letters = "MKTAYIAKJRLLGGTSPEDWNCFV".repeat(5);
    let read = |i: usize| {
        let residues = &letters[i % 24..][..2 + i * 31 % 90];
        let quality = "@".repeat(residues.len());
        match residues.split_at_checked(10).filter(|_| i.is_multiple_of(3)) {
            Some((first, rest)) => format!("@r{i}\n{first}\n{rest}\n+\n{quality}\n"),
            None => format!("@r{i}\n{residues}\n+\n{quality}\n"),
        }
    };
    (0..records).map(read).collect()
}

impl Place {
    fn plan(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["plan", "--model", MODEL, "-o", "out/plan"], arguments].concat())
    }

    fn make(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["embed", "--plan", "out/plan", "--device", "cpu"], arguments].concat())
    }

    fn commit(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["commit", "out/plan"], arguments].concat())
    }

    /// The bytes of each part.
    fn parts(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path("out/plan")).unwrap().map(Result::unwrap);
        let parts = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("part-"));
        parts.map(|part| (part.file_name().into_string().unwrap(), fs::read(part.path()).unwrap())).collect()
    }
}

#[test]
fn the_precision_of_a_plan_is_changed_in_the_plan() {
    let place = Place::new();
    place.plan(&[PROTEINS, "--dtype", "f16"]).succeeds(&[]);
    let made = place.make(&[]);
    made.is_refused(&["not in float16", "hint: the plan sets the precision: make the plan again"]);
    assert!(!made.stderr.contains("give --dtype"), "{made:#?}");
}

#[test]
fn a_plan_is_not_replaced_by_what_is_joined() {
    let place = Place::new();
    place.plan(&[PROTEINS]).succeeds(&[]);
    place.make(&[]).succeeds(&[]);
    let kept = ["plan.json", "plan.jsonl"].map(|name| place.read(&format!("out/plan/{name}")));
    let own = ["plan.json", "plan.jsonl", "manifest.json", "_parts/000001.json", "part-000001.parquet"];
    for name in own {
        let commit = place.commit(&["-o", &format!("out/plan/{name}"), "--format", "npy", "--force"]);
        commit.is_refused(&[
            &format!("out/plan/{name} is a file of the plan"),
            "hint: give the output another",
        ]);
    }
    assert_eq!(["plan.json", "plan.jsonl"].map(|name| place.read(&format!("out/plan/{name}"))), kept);
    place.commit(&["-o", "out/plan/emb.npy"]).succeeds(&[]);
}

#[test]
fn a_plan_that_is_joined_is_the_file_of_one_run() {
    let place = Place::new();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(proteins(40).as_bytes()).unwrap();
    place.write("a.fa", proteins(300)).write("b.fq", reads(200)).write("c.fa.gz", packed.finish().unwrap());
    place.write("none.fa", "");
    let cases: [(&[&str], &str); 7] = [
        (&["a.fa", "b.fq", "c.fa.gz", "none.fa", "--min-length", "9"], "emb.npy"),
        (&["a.fa", "b.fq", "c.fa.gz", "none.fa", "--min-length", "9"], "emb.parquet"),
        (&["a.fa", "--layer", "0"], "emb.arrows"),
        (&["a.fa", "--pool", "cls", "--max-length", "30", "--long-records", "window"], "emb.safetensors"),
        (&["b.fq", "--pool", "none", "--max-length", "30", "--long-records", "skip"], "emb.h5"),
        (&["a.fa", "--pool", "none"], "emb.parquet"),
        (&["b.fq", "--dtype-out", "f16"], "emb.parquet"),
    ];
    for (arguments, name) in cases {
        let output = format!("out/{name}");
        place.embed(&[arguments, &["--device", "cpu", "-o", &output]].concat()).succeeds(&[]);
        let of_run = |folder: &str| -> BTreeMap<_, _> {
            let entries = fs::read_dir(place.path(folder)).unwrap().map(Result::unwrap);
            let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
            let files =
                files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()));
            files.filter(|(name, _)| !name.ends_with("run.json")).collect()
        };
        let whole = of_run("out");
        fs::create_dir(place.path("joined")).unwrap();
        place.plan(&[arguments, &["--part-tokens", "400"]].concat()).succeeds(&["parts of"]);
        // Parts in any order, by batches of any size.
        place.make(&["--part", "3,1-2", "--token-budget", "1024"]).succeeds(&["part 3 of ", "3 parts made"]);
        place.make(&["--part", "2/2", "--no-packing"]).succeeds(&[]);
        place.make(&["--buffer-size", "7"]).succeeds(&[]);
        place.commit(&["-o", &format!("joined/{name}")]).succeeds(&["out/plan/manifest.json: "]);
        assert_eq!(of_run("joined"), whole, "{arguments:?}");
        for folder in ["out", "joined"] {
            fs::remove_dir_all(place.path(folder)).unwrap();
        }
        fs::create_dir(place.path("out")).unwrap();
    }
}

#[test]
fn an_empty_input_has_no_parts_and_can_be_committed() {
    let place = Place::new();
    place.write("none.fa", "\n");
    place.plan(&["none.fa"]).succeeds(&["out/plan: 0 parts of 0 records"]);
    place.make(&[]).succeeds(&["nothing to make"]);
    place.commit(&["-o", "out/joined.npy"]).succeeds(&["0 rows of 0 parts"]);
    place.embed(&["none.fa", "-o", "out/whole.npy"]).succeeds(&[]);
    assert_eq!(
        fs::read(place.path("out/joined.npy")).unwrap(),
        fs::read(place.path("out/whole.npy")).unwrap()
    );
}

#[test]
fn killed_at_random_moments_parts_are_those_of_an_undisturbed_run() {
    let place = Place::new();
    place.write("a.fa", proteins(900)).write("b.fq", reads(600));
    place.plan(&["a.fa", "b.fq", "--part-tokens", "3000"]).succeeds(&[]);
    place.make(&["--threads", "2"]).succeeds(&[]);
    let whole = place.parts();
    let reports = |number: usize| place.path(&format!("out/plan/_parts/{number:06}.json"));
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("the random numbers begin with {random}");
    let mut random = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let start = |arguments: &[&str]| {
        let fixed = ["embed", "--plan", "out/plan", "--device", "cpu", "--threads", "1", "-q"];
        let mut command = place.command(&[&fixed, arguments].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut kills = 0;
    while kills < 20 {
        // Something is always missing: a part, its report, or both.
        for number in 1..=whole.len() {
            let what = random(6);
            if what == 0 || what == 1 {
                let _ = fs::remove_file(reports(number));
            }
            if what == 1 || what == 2 {
                let _ = fs::remove_file(place.path(&format!("out/plan/part-{number:06}.parquet")));
            }
        }
        // Two processes at once, which make the same parts.
        let mut both = [start(&[]), start(&["--part", "1/1"])];
        for child in &mut both {
            std::thread::sleep(Duration::from_millis(random(250)));
            kills += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
        }
        both.iter_mut().for_each(|child| assert!(child.wait().is_ok()));
    }
    place.make(&[]).succeeds(&[]);
    place.commit(&[]).succeeds(&["out/plan/manifest.json"]);
    assert!(place.parts() == whole, "a part differs");
    let left = fs::read_dir(place.path("out/plan"))
        .unwrap()
        .chain(fs::read_dir(place.path("out/plan/_parts")).unwrap());
    assert!(left.map(Result::unwrap).all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
}

#[test]
fn a_commit_names_the_part_that_is_missing_torn_or_foreign() {
    let place = Place::new();
    place.write("a.fa", proteins(200));
    place.plan(&["a.fa", "--part-tokens", "1500"]).succeeds(&[]);
    place.commit(&[]).is_refused(&["parts in out/plan cannot be committed", "part 1: missing", "--part 1-"]);
    place.make(&[]).succeeds(&[]);
    let path = |name: &str| place.path(&format!("out/plan/{name}"));
    let (third, said) = (path("part-000003.parquet"), path("_parts/000003.json"));
    let (whole, what) = (fs::read(&third).unwrap(), fs::read_to_string(&said).unwrap());
    let named = |problem: &str| {
        let hint = "hint: `virpack embed --plan out/plan --part 3` makes them again";
        let ran = place.commit(&[]);
        ran.is_refused(&["error: 1 of ", &format!("\n  part 3: {problem}"), hint]);
        assert!(!path("manifest.json").exists());
        // A part requested by its number is made again.
        place.make(&["--part", "3"]).succeeds(&["part 3 of "]);
        assert_eq!(fs::read(&third).unwrap(), whole);
        assert_eq!(fs::read_to_string(&said).unwrap(), what);
        place.make(&["--part", "3"]).succeeds(&["part 3 is there", "nothing to make"]);
    };
    fs::remove_file(&third).unwrap();
    named("missing");
    fs::remove_file(&said).unwrap();
    named("missing");
    fs::write(&third, &whole[..whole.len() - 1]).unwrap();
    named("torn: ");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&third, flipped).unwrap();
    place.make(&[]).succeeds(&["nothing to make"]);
    named("torn: ");
    fs::write(&said, &what[..what.len() / 2]).unwrap();
    named("torn: ");
    let rows = what.lines().find(|line| line.contains("\"rows\"")).unwrap();
    fs::write(&said, what.replace(rows, "  \"rows\": 1,")).unwrap();
    named("torn: 1 rows and ");
    fs::copy(path("_parts/000002.json"), &said).unwrap();
    named("foreign: ");
    fs::write(&said, what.replace("\"float32\"", "\"float16\"")).unwrap();
    place.commit(&[]).is_refused(&["part 3: foreign: computed in float16, and part 1 in float32"]);
    fs::write(&said, &what).unwrap();
    // A part of another plan for the same records.
    let other =
        ["plan", "--model", MODEL, "-o", "out/other", "a.fa", "--part-tokens", "1500", "--layer", "0"];
    place.run(&other).succeeds(&[]);
    place.run(&["embed", "--plan", "out/other", "--part", "3"]).succeeds(&[]);
    fs::copy(place.path("out/other/part-000003.parquet"), &third).unwrap();
    fs::copy(place.path("out/other/_parts/000003.json"), &said).unwrap();
    named("foreign: it is of another plan");
    // A part that the plan does not have.
    fs::copy(&third, path("part-000099.parquet")).unwrap();
    place.commit(&[]).is_refused(&["out/plan/part-000099.parquet: the plan has no such part"]);
    fs::remove_file(path("part-000099.parquet")).unwrap();
    // The leftovers of stopped runs are removed, and nothing else.
    for name in [".part-000003.parquet.tmp-7", "_parts/.000003.json.tmp-7-1", ".notes.tmp-7", "notes"] {
        fs::write(path(name), "").unwrap();
    }
    place.commit(&[]).succeeds(&["2 temporary files of stopped runs removed", "out/plan/manifest.json: "]);
    assert!(path(".notes.tmp-7").exists() && path("notes").exists());
    place.commit(&[]).succeeds(&["manifest.json (it was there already)"]);
    fs::write(path("manifest.json"), "{}").unwrap();
    place.commit(&[]).is_refused(&["manifest.json: it belongs to other parts"]);
}

#[test]
fn a_plan_is_made_once() {
    let place = Place::new();
    place.write("a.fa", proteins(20));
    place.plan(&["a.fa"]).succeeds(&["out/plan: 1 part of 20 records", "--plan out/plan --part 1-1"]);
    place.plan(&["a.fa"]).succeeds(&["out/plan (it was there already): 1 part"]);
    let refused = place.plan(&["a.fa", "--pool", "cls"]);
    refused.is_refused(&["out/plan has another plan: its options differs", "hint: choose another directory"]);
    let facts = place.path("out/plan/plan.json");
    let written = fs::read_to_string(&facts).unwrap();
    fs::write(&facts, written.replace("\"virpack\": \"", "\"virpack\": \"9")).unwrap();
    place.make(&[]).is_refused(&["plan.json: made by virpack 9"]);
    fs::write(&facts, written.replace("\"layer\"", "\"player\"")).unwrap();
    place.make(&[]).is_refused(&["plan.json: it lacks what a plan has"]);
    fs::write(&facts, written).unwrap();
    let parts = place.path("out/plan/plan.jsonl");
    fs::write(&parts, fs::read_to_string(&parts).unwrap().replace("\"part\":1", "\"part\":2")).unwrap();
    place.make(&[]).is_refused(&["plan.jsonl: it is not the list"]);
    place.run(&["embed", "--plan", "out"]).is_refused(&["out has no plan", "hint: `virpack plan INPUT"]);
    place.run(&["commit", "nowhere"]).is_refused(&["nowhere has no plan"]);
    place.run(&["plan", "-", "-o", "out/pipe"]).stops(&["error: "]);
    assert!(!place.path("out/pipe").exists());
}

#[test]
fn what_has_changed_since_the_plan_is_refused() {
    let place = Place::new();
    let text = proteins(60);
    place.write("a.fa", &text);
    place.plan(&["a.fa", "--part-tokens", "1000"]).succeeds(&[]);
    let modified = fs::metadata(place.path("a.fa")).unwrap().modified().unwrap();
    let set_back = || {
        let file = fs::File::options().write(true).open(place.path("a.fa")).unwrap();
        file.set_modified(modified).unwrap();
    };
    let said = "a.fa: the input changed since the plan was made: ";
    place.write("a.fa", format!("{text}>more\nMK\n"));
    place.make(&[]).is_refused(&[said, "its size went from", "hint: put the file back"]);
    place.write("a.fa", &text);
    fs::File::options()
        .write(true)
        .open(place.path("a.fa"))
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    place.make(&[]).is_refused(&[said, "its modification time moved"]);
    // When bytes change, only the parts with these bytes change.
    place.write("a.fa", text.replacen(">p1 > @\n", ">p1 > #\n", 1));
    set_back();
    place.make(&["--part", "1"]).is_refused(&[said, "SHA-256"]);
    assert!(place.parts().is_empty());
    place.make(&["--part", "2"]).succeeds(&[]);
    place.write("a.fa", &text);
    set_back();
    place.make(&[]).succeeds(&[]);
    place.commit(&[]).succeeds(&[]);
}

#[test]
fn parts_are_made_by_the_model_of_the_plan() {
    let place = Place::new();
    fs::create_dir(place.path("model")).unwrap();
    for file in fs::read_dir(MODEL).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), place.path("model").join(file.file_name())).unwrap();
    }
    place.run(&["plan", PROTEINS, "--model", "model", "-o", "out/plan"]).succeeds(&[]);
    let weights = place.path("model/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    place.make(&[]).is_refused(&["the SHA-256 of the weights of model is not the plan's: "]);
}

#[test]
fn options_of_the_plan_are_not_of_a_part() {
    let place = Place::new();
    place.write("a.fa", proteins(20));
    place.plan(&["a.fa"]).succeeds(&[]);
    for wrong in [&["a.fa"][..], &["-o", "x.npy"], &["--model", MODEL], &["--dtype", "f16"], &["--resume"]] {
        let ran = place.make(wrong);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("'--plan <DIR>' cannot be used with"), "{ran:?}");
    }
    place.make(&["--part", "2"]).is_refused(&["the plan has no part 2: its parts are 1 to 1"]);
    place.make(&["--part", "0"]).is_refused(&["expected numbers from 1 and ranges, as 3,7-9"]);
    let unplanned = place.run(&["embed", "a.fa", "-o", "x.npy", "--part", "1"]);
    unplanned.is_refused(&["--part needs --plan", "hint: name the plan with --plan"]);
    place.run(&["embed", "--device", "cpu"]).is_refused(&["required arguments", "--output <FILE>"]);
    place.plan(&["a.fa", "--dtype-out", "bf16"]).is_refused(&["parts are Parquet files, which hold float32"]);
    let narrow = ["plan", "a.fa", "--model", MODEL, "-o", "out/narrow", "--dtype-out", "f16"];
    place.run(&narrow).succeeds(&[]);
    place.run(&["embed", "--plan", "out/narrow"]).succeeds(&[]);
    let wide = ["commit", "out/narrow", "-o", "out/wide.npy", "--dtype-out", "f32"];
    place.run(&wide).is_refused(&["the parts hold float16, and float32 was asked for"]);
    let over = ["commit", "out/plan", "-o", "out/plan/part-000001.parquet", "--force"];
    place.make(&[]).succeeds(&[]);
    place.run(&over).is_refused(&["part-000001.parquet"]);
}

/// Not even with `--force`.
#[test]
fn a_commit_replaces_no_file_of_its_model() {
    let place = Place::new();
    fs::create_dir(place.path("model")).unwrap();
    for file in fs::read_dir(MODEL).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), place.path("model").join(file.file_name())).unwrap();
    }
    place.write("a.fa", proteins(5));
    place.run(&["plan", "a.fa", "--model", "model", "-o", "out/plan"]).succeeds(&[]);
    place.make(&[]).succeeds(&[]);
    let before = fs::read(place.path("model/model.safetensors")).unwrap();
    place.commit(&["-o", "model/model.safetensors", "--force"]).is_refused(&["a file of a model"]);
    assert_eq!(fs::read(place.path("model/model.safetensors")).unwrap(), before);
}
