//! Compares BPE with the plain definition, on a small vocabulary and, if it is available, on that of
//! DNABERT-S.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::error::Hint;

/// Collects every place in a JSON file, as the keys and numbers that lead there.
fn places(value: &serde_json::Value, path: &str, all: &mut Vec<String>) {
    all.push(path.to_owned());
    match value {
        serde_json::Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(key, value)| places(value, &format!("{path}/{}", key.replace('~', "~0")), all));
        }
        serde_json::Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| places(value, &format!("{path}/{i}"), all));
        }
        _ => {}
    }
}

/// Each place with each unusual value in turn gives an error, or a tokenizer that works.
#[test]
fn odd_files_are_errors_or_tokenizers() {
    let good = small();
    let mut all = Vec::new();
    places(&good, "", &mut all);
    let odd = [
        serde_json::json!(null),
        serde_json::json!(-1),
        serde_json::json!(70_000),
        serde_json::json!(u32::MAX),
        serde_json::json!(1e300),
        serde_json::json!(""),
        serde_json::json!("\u{1b}é\u{202e}"),
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!([[1]]),
        serde_json::json!("é"),
        serde_json::json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": true}),
        serde_json::json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
    ];
    let (mut refused, mut read) = (0, 0);
    for place in &all {
        for value in &odd {
            let mut file = good.clone();
            *file.pointer_mut(place).unwrap() = value.clone();
            match file.to_string().parse::<BpeTokenizer>() {
                Err(problem) => {
                    assert!(!problem.to_string().is_empty() && problem.hint().is_some());
                    refused += 1;
                }
                Ok(tokenizer) => {
                    let mut tokens = Vec::new();
                    for letters in [&b"ACGTNNACGTTTA-"[..], b"", b"\xff\x00~", &[b'A'; 100]] {
                        tokens.clear();
                        let counts = tokenizer.tokenize(letters, usize::MAX, &mut tokens);
                        assert!(tokens.len() <= letters.len() + 2, "{place} {value}: {}", tokens.len());
                        assert_eq!(counts.residues + 2, tokens.len());
                        assert!(
                            tokens.iter().all(|id| usize::from(*id) < tokenizer.vocabulary()),
                            "{place} {value}"
                        );
                    }
                    read += 1;
                }
            }
        }
    }
    assert!(refused > 100 && read > 50, "{refused} refused, {read} read");
}

/// A tokenizer in the form of DNABERT-S's, with its own merges.
fn small() -> serde_json::Value {
    let merges = ["A A", "T T", "T G", "C A", "AA A", "TG CA", "C AA", "G TG", "AAA AAA", "TT A"];
    let mut vocabulary: Vec<String> =
        ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "A", "C", "G", "T"].map(String::from).to_vec();
    vocabulary.extend(merges.map(|merge| merge.replace(' ', "")));
    let vocabulary: HashMap<_, _> = vocabulary.into_iter().zip(0..).collect();
    let special = |id: u32, content| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let piece = |name: &str| serde_json::json!({"SpecialToken": {"id": name, "type_id": 0}});
    serde_json::json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 3,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(0, "[UNK]"), special(1, "[CLS]"), special(2, "[SEP]")],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]")],
            "pair": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
        "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": "[UNK]", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary,
            "merges": merges}
    })
}

fn open(json: &serde_json::Value) -> Result<BpeTokenizer, BpeProblem> {
    json.to_string().parse()
}

fn tokens(tokenizer: &BpeTokenizer, sequence: &[u8]) -> (Vec<u16>, u32) {
    let mut tokens = Vec::new();
    let counts = tokenizer.tokenize(sequence, usize::MAX, &mut tokens);
    assert_eq!(tokens.len(), counts.residues + 2);
    assert!(counts.residues as u64 <= tokenizer.length(sequence));
    (tokens, counts.unknown)
}

/// The definition: among all neighbours that merge, merge those of the earliest merge, from the left, until
/// none is left.
struct Definition {
    ids: HashMap<String, u16>,
    ranks: HashMap<(String, String), usize>,
}

impl Definition {
    fn of(json: &serde_json::Value) -> Self {
        let model = &json["model"];
        let ids: HashMap<String, u16> = serde_json::from_value(model["vocab"].clone()).unwrap();
        let merges = model["merges"].as_array().unwrap().iter().map(|merge| match merge {
            serde_json::Value::String(pair) => {
                let (left, right) = pair.split_once(' ').unwrap();
                (left.to_owned(), right.to_owned())
            }
            pair => serde_json::from_value(pair.clone()).unwrap(),
        });
        Definition { ids, ranks: merges.zip(0..).collect() }
    }

    fn tokens(&self, sequence: &str) -> Vec<u16> {
        let mut parts: Vec<String> = sequence.chars().map(String::from).collect();
        let rank = |pair: &[String]| self.ranks.get(&(pair[0].clone(), pair[1].clone()));
        while let Some(best) = parts.windows(2).filter_map(rank).min() {
            let at = parts.windows(2).position(|pair| rank(pair) == Some(best)).unwrap();
            let right = parts.remove(at + 1);
            parts[at] += &right;
        }
        let middle = parts.iter().map(|part| self.ids[part]);
        std::iter::once(1).chain(middle).chain([2]).collect()
    }
}

/// Bases with many repeats, as in genomes.
fn bases(length: usize, mut state: u64) -> String {
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut text = String::new();
    while text.len() < length {
        let base = ["A", "C", "G", "T"][next() % 4];
        text += &base.repeat(1 + next() % 3);
    }
    text.truncate(length);
    text
}

#[test]
fn as_the_definition_has_it() {
    let json = small();
    let (tokenizer, definition) = (open(&json).unwrap(), Definition::of(&json));
    for (seed, length) in (1..200).zip((0..).step_by(3)) {
        let sequence = bases(length, seed);
        assert_eq!(tokens(&tokenizer, sequence.as_bytes()), (definition.tokens(&sequence), 0), "{sequence}");
    }
    // The truncation to 4 tokens and the padding to 12, which the file requests, are not applied.
    assert_eq!(tokens(&tokenizer, b"ACGTACGTACGT").0.len(), 14);
    assert_eq!(tokens(&tokenizer, b"").0, [1, 2]);
}

#[test]
fn gaps_are_counted_on_their_own() {
    let tokenizer = open(&small()).unwrap();
    for (sequence, unknown, gaps) in
        [("ACGT", 0, 0), ("AC--GT.", 0, 3), ("ACNNGT", 2, 0), ("A-NRC.", 2, 2), ("acgu", 0, 0)]
    {
        let counts = tokenizer.tokenize(sequence.as_bytes(), usize::MAX, &mut Vec::new());
        assert_eq!((counts.unknown, counts.gaps), (unknown, gaps), "{sequence}");
        let counts = tokenizer.counts(sequence.as_bytes());
        assert_eq!((counts.unknown, counts.gaps), (unknown, gaps), "{sequence}, without its tokens");
    }
}

#[test]
fn case_rna_and_unknown_letters() {
    let tokenizer = open(&small()).unwrap();
    let plain = tokens(&tokenizer, b"ACGTTGCAAAT");
    assert_eq!(tokens(&tokenizer, b"acgttgcaaat"), plain);
    assert_eq!(tokens(&tokenizer, b"ACGUUGCAAAu"), plain);
    // Each N is one unknown token, and nothing merges across it.
    assert_eq!(tokens(&tokenizer, b"ANNA"), (vec![1, 5, 0, 0, 5, 2], 2));
    // A gap is counted separately.
    assert_eq!(tokens(&tokenizer, b"A-*A"), (vec![1, 5, 0, 0, 5, 2], 1));
    assert_eq!(tokens(&tokenizer, "A\u{e9}A".as_bytes()), (vec![1, 5, 0, 5, 2], 1));
    assert_eq!(tokens(&tokenizer, b"A\xffA").0, [1, 5, 0, 5, 2]);
}

#[test]
fn cuts_go_between_letters() {
    let tokenizer = open(&small()).unwrap();
    assert!(tokenizer.merges_letters());
    assert_eq!(tokenizer.length(b"AAAAAA"), 6);
    let mut cut = vec![9];
    let counts = tokenizer.tokenize(b"AAAAAA", 2, &mut cut);
    assert_eq!((cut, counts.residues), (vec![9, 1, 9, 2], 1));
}

#[test]
fn what_would_count_wrongly_is_refused() {
    let change = |at: &str, to: serde_json::Value| {
        let mut json = small();
        *json.pointer_mut(at).unwrap() = to;
        open(&json).unwrap_err().to_string()
    };
    for (at, to, says) in [
        ("/model/dropout", serde_json::json!(0.1), "dropout"),
        ("/model/byte_fallback", serde_json::json!(true), "byte fallback"),
        ("/model/unk_token", serde_json::json!("nobody"), "no unknown token"),
        ("/model/unk_token", serde_json::json!(null), "no unknown token"),
        ("/normalizer", serde_json::json!({"type": "NFKD"}), "a normalizer"),
        ("/post_processor", serde_json::json!(null), "0 special tokens"),
        (
            "/model",
            serde_json::json!({"type": "WordLevel", "vocab": {"A": 0}, "unk_token": "A"}),
            "another kind",
        ),
    ] {
        let message = change(at, to);
        assert!(message.contains(says), "{message}");
    }
    for text in ["", "{", "[]", "{\"version\": \"1.0\"}"] {
        assert!(matches!(text.parse::<BpeTokenizer>(), Err(BpeProblem::Unreadable(_))), "{text}");
    }
    let error = BpeTokenizer::open(Path::new("absent/tokenizer.json")).unwrap_err();
    assert!(error.to_string().contains("absent/tokenizer.json") && error.hint().is_some(), "{error:?}");
}

#[test]
fn dnabert_s_as_the_definition_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/models/dnabert_s_tokenizer/tokenizer.json");
    if !path.exists() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return;
    }
    let tokenizer = BpeTokenizer::open(&path).unwrap();
    assert_eq!(tokenizer.vocabulary(), 4096);
    assert_eq!(tokenizer.special_tokens(), Some(SpecialTokens { start: 1, end: 2, unknown: 0 }));
    let definition = Definition::of(&serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
    for (seed, length) in (1..40).zip((1..).step_by(13)) {
        let sequence = bases(length, seed);
        assert_eq!(tokens(&tokenizer, sequence.as_bytes()).0, definition.tokens(&sequence), "{sequence}");
    }
    let chunks: Vec<String> = (0..2_000).map(|seed| bases(500, seed)).collect();
    let (start, mut all) = (Instant::now(), Vec::new());
    for chunk in &chunks {
        tokenizer.tokenize(chunk.as_bytes(), 500, &mut all);
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{:.2} M tokens/s, {:.2} M bases/s", all.len() as f64 / seconds / 1e6, 1.0 / seconds);
}

/// A tokenizer as `training/` writes it: only words, all those of up to `longest` bases.
fn of_words(longest: u32) -> serde_json::Value {
    let mut json = small();
    let mut vocabulary: Vec<String> = ["[UNK]", "[CLS]", "[SEP]"].map(String::from).to_vec();
    for length in 1..=longest {
        for number in 0..4usize.pow(length) {
            // The order differs from that of the letters.
            let base = |place| char::from(b"TCAG"[number / 4usize.pow(place) % 4]);
            vocabulary.push((0..length).rev().map(base).collect());
        }
    }
    let vocabulary: HashMap<_, _> = vocabulary.into_iter().zip(0..).collect();
    json["pre_tokenizer"] = serde_json::json!({
        "type": "Split", "pattern": {"Regex": format!("[ACGT]{{1,{longest}}}")}, "behavior": "Isolated", "invert": false
    });
    json["model"]["vocab"] = serde_json::json!(vocabulary);
    json["model"]["merges"] = serde_json::json!([]);
    json["model"]["ignore_merges"] = true.into();
    json
}

#[test]
fn words_are_what_the_library_makes_of_them() {
    let mut state = 5u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as usize % below
    };
    for longest in [1, 2, 6] {
        let tokenizer = open(&of_words(longest)).unwrap();
        assert!(tokenizer.words.is_some());
        let without = BpeTokenizer { words: None, ..tokenizer.clone() };
        for round in 0..400 {
            let letters = ["ACGT", "ACGTN", "acgtuNRY-", "ACGT[UNK]\u{e9}<", "NX*."][round % 5];
            let letters: Vec<char> = letters.chars().collect();
            let length = next(40);
            let sequence: String = (0..length).map(|_| letters[next(letters.len())]).collect();
            assert_eq!(
                tokens(&tokenizer, sequence.as_bytes()),
                tokens(&without, sequence.as_bytes()),
                "{sequence}"
            );
        }
        for sequence in [&b"AC[CLS]GTA"[..], b"A\xff\xfeC", b"", b"[UNK]", b"ACGTACGTACGT", b"NNNNNNN"] {
            assert_eq!(tokens(&tokenizer, sequence), tokens(&without, sequence), "{sequence:?}");
        }
    }
}

#[test]
fn other_tokenizers_are_not_taken_for_words() {
    assert!(open(&small()).unwrap().words.is_none());
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = of_words(2);
        change(&mut json);
        open(&json).unwrap().words.is_some()
    };
    assert!(changed(&|_| ()));
    assert!(!changed(&|json| json["model"]["ignore_merges"] = false.into()));
    assert!(!changed(&|json| json["model"]["fuse_unk"] = true.into()));
    assert!(!changed(&|json| json["pre_tokenizer"]["invert"] = true.into()));
    assert!(!changed(&|json| json["pre_tokenizer"]["behavior"] = "MergedWithNext".into()));
    assert!(!changed(&|json| json["pre_tokenizer"]["pattern"]["Regex"] = "[ACGT]{1,3}".into()));
    assert!(!changed(&|json| json["pre_tokenizer"]["pattern"]["Regex"] = "[ACG]{1,2}".into()));
    assert!(!changed(&|json| json["model"]["vocab"]["NN"] = 999.into()));
}
