//! Compares DNABERT-S with plain PyTorch on tiny random models, and with the published code if its output
//! is available.

use std::path::{Path, PathBuf};

use virpack_core::EmbedderOptions;
use virpack_core::device::{Backend, Cpu, Pool};
use virpack_core::model::DnabertConfig;
use virpack_core::model::DnabertS;
use virpack_core::model::ModelError;
use virpack_core::model::hub::{HubError, HubOptions};
use virpack_core::model::weights::Weights;
use virpack_core::model::{Encoder, config_of, tokenizer_of};
use virpack_seq::{BpeTokenizer, LengthPolicy, LongRecords, Records, Tokenizer};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dnabert_tiny").join(path)
}

/// Returns the output of the published model beside the repository; None, with a message, if it is missing.
fn published() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/dnabert_tiny_12h");
    if !path.exists() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ids(line: &serde_json::Value, key: &str) -> Vec<u16> {
    serde_json::from_value(line[key].clone()).unwrap()
}

fn values(line: &serde_json::Value, key: &str) -> Vec<f32> {
    serde_json::from_value(line[key].clone()).unwrap()
}

fn tokens(tokenizer: &BpeTokenizer, line: &serde_json::Value) -> Vec<u16> {
    let mut tokens = Vec::new();
    tokenizer.tokenize(line["sequence"].as_str().unwrap().as_bytes(), usize::MAX, &mut tokens);
    tokens
}

fn largest_difference(given: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(given.len(), expected.len());
    given.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max)
}

#[track_caller]
fn assert_close(name: &str, given: &[f32], expected: &[f32], limit: f32) {
    let off = largest_difference(given, expected);
    assert!(off <= limit, "{name}: off by {off:e}");
}

/// Returns all hidden states of a batch, `[tokens, hidden]`, and the start of each sequence.
fn forward(cpu: &Cpu, model: &DnabertS<Cpu>, batch: &[&[u16]], layer: usize) -> (Vec<f32>, Vec<i32>) {
    let (packed, cu_seqlens) = pack(cpu, batch);
    let hidden = model.forward(cpu, &packed, layer).unwrap();
    (cpu.wait(cpu.read(&hidden).unwrap()).unwrap(), cu_seqlens)
}

fn pack(cpu: &Cpu, batch: &[&[u16]]) -> (<Cpu as Backend>::Packed, Vec<i32>) {
    let mut cu_seqlens = vec![0];
    for sequence in batch {
        cu_seqlens.push(cu_seqlens[cu_seqlens.len() - 1] + sequence.len() as i32);
    }
    let longest = batch.iter().map(|s| s.len()).max().unwrap();
    (cpu.packed(&batch.concat(), &cu_seqlens, longest).unwrap(), cu_seqlens)
}

fn pooled(cpu: &Cpu, model: &DnabertS<Cpu>, batch: &[&[u16]], layer: usize, pool: Pool) -> Vec<f32> {
    let (packed, _) = pack(cpu, batch);
    let hidden = model.forward(cpu, &packed, layer).unwrap();
    cpu.wait(cpu.pool(&hidden, &packed, pool, Encoder::<Cpu>::span(model)).unwrap()).unwrap()
}

#[test]
fn eight_and_twelve_heads_give_what_pytorch_gives_alone_and_packed() {
    let cpu = Cpu::new(None).unwrap();
    for heads in [8, 12] {
        let directory = fixture(&heads.to_string());
        let model = DnabertS::load(&cpu, &Weights::open(&directory).unwrap()).unwrap();
        let tokenizer = BpeTokenizer::open(&directory.join("tokenizer.json")).unwrap();
        assert_eq!(model.config().heads, heads);
        let golden: Vec<_> =
            lines(&fixture("golden.json")).into_iter().filter(|g| g["heads"] == heads).collect();
        assert_eq!(golden.len(), 8);
        let all: Vec<Vec<u16>> = golden.iter().map(|line| tokens(&tokenizer, line)).collect();
        let batch: Vec<&[u16]> = all.iter().map(Vec::as_slice).collect();
        for (key, layer, pool) in [
            ("embeddings", 0, Pool::Mean),
            ("layer_1", 1, Pool::Mean),
            ("mean", 2, Pool::Mean),
            ("max", 2, Pool::Max),
            ("cls", 2, Pool::Cls),
        ] {
            let together = pooled(&cpu, &model, &batch, layer, pool);
            for ((line, own), packed) in
                golden.iter().zip(&batch).zip(together.chunks_exact(model.hidden_size()))
            {
                let name = format!("{heads} heads, {key}, {} tokens", own.len());
                assert_eq!(own[..], ids(line, "ids"), "{name}");
                let expected = values(line, key);
                assert_close(&format!("{name}, packed"), packed, &expected, 2e-5);
                let alone = pooled(&cpu, &model, &[own], layer, pool);
                assert_close(&format!("{name}, alone"), &alone, &expected, 2e-5);
                assert_close(&format!("{name}, packed against alone"), packed, &alone, 1e-5);
            }
        }
    }
}

#[test]
fn as_the_published_code_gives_it() {
    let Some(path) = published() else { return };
    let cpu = Cpu::new(None).unwrap();
    let tokenizer = BpeTokenizer::open(&path.join("tokenizer.json")).unwrap();
    let golden = lines(&path.join("golden.json"));
    let all: Vec<Vec<u16>> = golden.iter().map(|line| tokens(&tokenizer, line)).collect();
    for (line, own) in golden.iter().zip(&all) {
        assert_eq!(own[..], ids(line, "input_ids"), "{}", line["id"]);
    }
    let batch: Vec<&[u16]> = all.iter().map(Vec::as_slice).collect();
    let mut worst = 0.0f32;
    for form in ["model.safetensors", "pytorch_model.bin"] {
        let model = DnabertS::load(&cpu, &Weights::open(&path.join(form)).unwrap()).unwrap();
        let (width, layers) = (model.hidden_size(), model.layers());
        let mean = pooled(&cpu, &model, &batch, layers, Pool::Mean);
        let (hidden, starts) = forward(&cpu, &model, &batch, layers);
        for (i, line) in golden.iter().enumerate() {
            let rows = &hidden[starts[i] as usize * width..starts[i + 1] as usize * width];
            for (key, given) in [
                ("mean", &mean[i * width..(i + 1) * width]),
                ("first_token", &rows[..width]),
                ("last_token", &rows[rows.len() - width..]),
            ] {
                let expected = values(line, key);
                assert_close(&format!("{form}, {}, {key}", line["id"]), given, &expected, 2e-5);
                worst = worst.max(largest_difference(given, &expected));
            }
        }
    }
    println!("off by {worst:e} at most");
}

#[test]
fn other_models_than_mosaic_bert_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("8").join(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        DnabertConfig::of(&Weights::open(folder.path()).unwrap()).unwrap_err().to_string()
    };
    for (from, to, says) in [
        ("\"alibi_starting_size\": 512,", "", "with alibi_starting_size"),
        ("\"bert\"", "\"esm\"", "model_type is \"esm\""),
        ("\"gelu\"", "\"gelu_new\"", "hidden_act is \"gelu_new\""),
        ("\"vocab_size\": 30", "\"vocab_size\": 70000", "vocab_size is 70000"),
        ("\"vocab_size\": 30", "\"vocab_size\": 29", "has shape [30, 64], expected [29, 64]"),
        ("\"num_attention_heads\": 8", "\"num_attention_heads\": 7", "num_attention_heads is 7"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "a tensor beyond the last layer"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "no tensor encoder.layer.2."),
        ("\"hidden_size\": 64", "\"hidden_size\": 0", "a size is 0"),
        ("\"type_vocab_size\": 2", "\"type_vocab_size\": 1", "token_type_embeddings"),
        ("\"hidden_act\"", "\"is_decoder\": true, \"hidden_act\"", "is_decoder is true"),
    ] {
        assert!(text.contains(from), "{from}");
        let message = refused(&text.replace(from, to));
        assert!(message.contains(says), "{message}");
    }
    std::fs::remove_file(&path).unwrap();
    let weights = Weights::open(folder.path()).unwrap();
    assert!(matches!(
        DnabertConfig::of(&weights).unwrap_err(),
        ModelError::NoConfig { in_checkpoint: false, .. }
    ));
}

fn embedded(max_length: usize, long_records: LongRecords, fasta: &str) -> Vec<(u64, Vec<f32>)> {
    let lengths = LengthPolicy { max_length, min_length: 0, long_records };
    let records = Records::from_reader("test", std::io::Cursor::new(fasta.to_owned())).unwrap();
    let options = EmbedderOptions::new(&fixture("12")).lengths(lengths);
    let rows = crate::in_memory::embed(records, options, None);
    rows.into_iter().map(|(row, values)| (row.length, values)).collect()
}

#[test]
fn records_are_embedded_completely_and_in_any_case() {
    let golden: Vec<_> = lines(&fixture("golden.json")).into_iter().filter(|g| g["heads"] == 12).collect();
    let mut fasta = String::new();
    for line in &golden {
        let sequence = line["sequence"].as_str().unwrap();
        fasta += &format!(">a\n{sequence}\n>b\n{}\n", sequence.to_lowercase().replace('t', "u"));
    }
    let rows = embedded(4000, LongRecords::Truncate, &fasta);
    assert_eq!(rows.len(), 2 * golden.len());
    for ((length, values_), line) in rows.iter().zip(golden.iter().flat_map(|line| [line, line])) {
        assert_eq!(*length as usize, line["sequence"].as_str().unwrap().len());
        assert_close(&format!("{length} bases"), values_, &values(line, "mean"), 2e-5);
    }
}

#[test]
fn long_records_are_cut_between_bases() {
    let long = lines(&fixture("golden.json"))
        .iter()
        .map(|g| g["sequence"].as_str().unwrap().to_owned())
        .max_by_key(String::len);
    let long = long.unwrap();
    let whole = |part: &str| embedded(4000, LongRecords::Truncate, &format!(">a\n{part}\n")).remove(0).1;
    let fasta = format!(">a\n{long}\n");
    let cut = embedded(250, LongRecords::Truncate, &fasta);
    assert_eq!(cut[0].0, 700);
    assert_close("truncated", &cut[0].1, &whole(&long[..250]), 1e-5);
    // Windows of 250 that share 50 begin at 0, 200, 400; each has its own tokens, and all tokens count
    // alike.
    let tokenizer = BpeTokenizer::open(&fixture("12/tokenizer.json")).unwrap();
    let mut sums = vec![0.0f64; cut[0].1.len()];
    let mut count = 0.0;
    for start in [0, 200, 400, 600] {
        let part = &long[start..700.min(start + 250)];
        let mut tokens = Vec::new();
        tokenizer.tokenize(part.as_bytes(), usize::MAX, &mut tokens);
        let n = tokens.len() as f64;
        sums.iter_mut().zip(whole(part)).for_each(|(sum, value)| *sum += n * f64::from(value));
        count += n;
    }
    let expected: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
    let windows = embedded(250, LongRecords::Window { overlap: 50 }, &fasta);
    assert_eq!(windows.len(), 1);
    assert_close("windows", &windows[0].1, &expected, 1e-5);
}

#[test]
fn a_model_is_known_by_its_settings() {
    let hub = HubOptions::from_lookup(&|name| (name == "HF_HUB_CACHE").then(|| "no/such/cache".to_owned()));
    let local = fixture("8").display().to_string();
    assert_eq!(config_of(&local, &hub).unwrap().hidden(), 64);
    assert!(tokenizer_of(&local, &hub).unwrap().merges_letters());
    assert!(!tokenizer_of("esm2_t6_8M_UR50D", &hub).unwrap().merges_letters());
    let named = config_of("zhihan1996/DNABERT-S", &hub).unwrap();
    assert_eq!((named.hidden(), named.layers(), named.max_length()), (768, 12, 4000));
    let Err(absent) = tokenizer_of("zhihan1996/DNABERT-S", &hub) else { panic!("nothing is cached") };
    assert!(matches!(absent, ModelError::Hub(HubError::NotCached { .. })), "{absent}");
    // Without its tokenizer a model cannot be used.
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("8").join(file), folder.path().join(file)).unwrap();
    }
    let Err(error) = tokenizer_of(&folder.path().display().to_string(), &hub) else { panic!("no tokenizer") };
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    let larger =
        std::fs::read_to_string(fixture("8/tokenizer.json")).unwrap().replace("\"CCGG\": 29", "\"CCGG\": 30");
    std::fs::write(folder.path().join("tokenizer.json"), larger).unwrap();
    assert!(tokenizer_of(&folder.path().display().to_string(), &hub).is_err());
}
