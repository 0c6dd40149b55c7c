//! Compares ESM-2 with `transformers`, on tiny random models of every head width and on real weights.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use virpack_core::DeviceOptions;
use virpack_core::EmbedderOptions;
use virpack_core::device::{Backend, Cpu, Pool};
use virpack_core::model::Encoder;
use virpack_core::model::Esm2;
use virpack_core::model::weights::Weights;
use virpack_seq::Records;

const ALPHABET: [&str; 33] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P", "K", "Q", "N",
    "F", "Y", "M", "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-", "<null_1>", "<mask>",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tiny model with heads of `width`.
fn tiny(width: u64) -> PathBuf {
    match width {
        16 => root().join("examples/esm2_tiny"),
        _ => root().join(format!("fixtures/esm2_tiny/{width}")),
    }
}

/// One line of `golden.json`.
struct Golden {
    width: u64,
    ids: Vec<u16>,
    values: serde_json::Value,
}

impl Golden {
    fn all() -> Vec<Golden> {
        let path = root().join("fixtures/esm2_tiny/golden.json");
        let lines: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        lines
            .into_iter()
            .map(|values| {
                let tokens = values["tokens"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|t| ALPHABET.iter().position(|a| *a == t.as_str().unwrap()).unwrap() as u16);
                let ids = std::iter::once(0).chain(tokens).chain(std::iter::once(2)).collect();
                Golden { width: values["width"].as_u64().unwrap(), ids, values }
            })
            .collect()
    }

    fn expected(&self, key: &str) -> Vec<f32> {
        self.values[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
    }
}

/// Returns the largest difference, and the length of the difference as a share of the expected vector's.
fn difference(given: &[f32], expected: &[f32]) -> (f32, f32) {
    assert_eq!(given.len(), expected.len());
    let largest = given.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max);
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let off = norm(&mut given.iter().zip(expected).map(|(g, e)| g - e));
    (largest, off / norm(&mut expected.iter().copied()))
}

fn assert_close(name: &str, given: &[f32], expected: &[f32], largest: f32, relative: f32) {
    let (l, r) = difference(given, expected);
    assert!(l <= largest && r <= relative, "{name}: {l:e} at most, {r:e} relative");
}

fn pooled(cpu: &Cpu, model: &Esm2<Cpu>, batch: &[&[u16]], layer: usize, pool: Pool) -> Vec<f32> {
    let ids: Vec<u16> = batch.concat();
    let mut cu_seqlens = vec![0];
    for sequence in batch {
        cu_seqlens.push(cu_seqlens[cu_seqlens.len() - 1] + sequence.len() as i32);
    }
    let longest = batch.iter().map(|s| s.len()).max().unwrap();
    let packed = cpu.packed(&ids, &cu_seqlens, longest).unwrap();
    let hidden = model.forward(cpu, &packed, layer).unwrap();
    cpu.wait(cpu.pool(&hidden, &packed, pool, Encoder::<Cpu>::span(model)).unwrap()).unwrap()
}

#[test]
fn every_head_width_gives_what_transformers_gives_alone_and_packed() {
    let cpu = Cpu::new(None).unwrap();
    let golden = Golden::all();
    for width in [16, 24, 32, 64, 128] {
        let model = Esm2::load(&cpu, &Weights::open(&tiny(width)).unwrap()).unwrap();
        let golden: Vec<&Golden> = golden.iter().filter(|g| g.width == width).collect();
        assert_eq!(golden.len(), 9);
        let layers = Encoder::<Cpu>::layers(&model);
        let batch: Vec<&[u16]> = golden.iter().map(|g| g.ids.as_slice()).collect();
        let cases = [
            ("mean", layers, Pool::Mean),
            ("cls", layers, Pool::Cls),
            ("max", layers, Pool::Max),
            ("layer_1", 1, Pool::Mean),
        ];
        for (key, layer, pool) in cases {
            let together = pooled(&cpu, &model, &batch, layer, pool);
            for (g, packed) in golden.iter().zip(together.chunks_exact(together.len() / golden.len())) {
                let name = format!("width {width}, {key}, {} tokens", g.ids.len());
                let expected = g.expected(key);
                assert_close(&format!("{name}, packed"), packed, &expected, 2e-5, 1e-5);
                let alone = pooled(&cpu, &model, &[&g.ids], layer, pool);
                assert_close(&format!("{name}, alone"), &alone, &expected, 2e-5, 1e-5);
                assert_close(&format!("{name}, packed against alone"), packed, &alone, 1e-5, 1e-5);
            }
        }
    }
}

/// Returns real weights; None, with a message, if they are missing.
fn real_weights() -> Option<PathBuf> {
    let path = root().join("../shared/models/esm2_t6_8M_finetuned");
    if !path.is_dir() {
        eprintln!("SKIPPED: no {}", path.display());
        return None;
    }
    Some(path)
}

fn embeddings(fasta: &str, options: &EmbedderOptions) -> Vec<Vec<f32>> {
    let records = Records::from_reader("test.fasta", std::io::Cursor::new(fasta.to_owned())).unwrap();
    let rows = crate::in_memory::embed(records, options.clone(), None);
    rows.into_iter().map(|(_, embedding)| embedding).collect()
}

/// Proteins of many lengths, some over the maximum length.
fn proteins() -> String {
    let mut state = 7u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut fasta = String::new();
    for i in 0..60 {
        let length =
            [1, 2, 5, 30, 50, 63, 64, 100, 300, 1022, 1023, 1500][i % 12] + next(20) as usize * (i % 3);
        fasta += &format!(">r{i}\n");
        fasta.extend((0..length).map(|_| b"ACDEFGHIKLMNPQRSTVWYXB"[next(22) as usize] as char));
        fasta.push('\n');
    }
    fasta
}

#[test]
fn a_record_has_one_embedding_however_it_is_packed_and_from_either_file() {
    let directory = real_weights().unwrap_or_else(|| tiny(16));
    let fasta = proteins();
    let options = |model: &Path| EmbedderOptions::new(model);
    let expected = embeddings(&fasta, &options(&directory).packing(false));
    assert_eq!(expected.len(), 60);
    let same = |name: &str, given: Vec<Vec<f32>>| {
        assert_eq!(given.len(), 60, "{name}");
        for (i, (g, e)) in given.iter().zip(&expected).enumerate() {
            assert_close(&format!("{name}, record {i}"), g, e, 1e-5, 1e-5);
        }
    };
    same("packed", embeddings(&fasta, &options(&directory)));
    let small = options(&directory).token_budget(1024).buffer_size(7);
    same("small batches", embeddings(&fasta, &small));
    let one_thread = DeviceOptions::default().threads(std::num::NonZeroUsize::new(1));
    let one_thread = options(&directory).device(one_thread);
    same("one thread", embeddings(&fasta, &one_thread));
    if real_weights().is_some() {
        // The directory holds the same tensors as a torch checkpoint.
        let other = std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path());
        let checkpoint = other.into_iter().find(|p| p.extension().is_some_and(|e| e == "bin")).unwrap();
        same("checkpoint", embeddings(&fasta, &options(&checkpoint)));
    }
}

#[test]
fn windows_cover_the_complete_record() {
    use virpack_seq::{LengthPolicy, LongRecords};
    let residues: String = (0..300).map(|i| b"ACDEFGHIKLMNPQRSTVWY"[i * 7 % 20] as char).collect();
    let fasta = format!(">long\n{residues}\n>short\nMKT\n");
    let windowed = |max_length: usize, overlap: usize| {
        let lengths =
            LengthPolicy { max_length, min_length: 0, long_records: LongRecords::Window { overlap } };
        embeddings(&fasta, &EmbedderOptions::new(&tiny(16)).lengths(lengths))
    };
    // Without overlap the mean is the length-weighted mean of the parts.
    let parts = [&residues[..120], &residues[120..240], &residues[240..]];
    let base = EmbedderOptions::new(&tiny(16));
    let part_fasta: String = parts.iter().map(|p| format!(">p\n{p}\n")).collect();
    let part = embeddings(&part_fasta, &base);
    let expected: Vec<f32> =
        (0..48).map(|c| (120.0 * part[0][c] + 120.0 * part[1][c] + 60.0 * part[2][c]) / 300.0).collect();
    let joined = windowed(120, 0);
    assert_close("windows", &joined[0], &expected, 2e-6, 2e-6);
    // A window that holds the complete record changes nothing.
    let whole = embeddings(&fasta, &base);
    assert_close("one window", &windowed(300, 100)[0], &whole[0], 2e-6, 2e-6);
    assert_close("short beside windows", &windowed(120, 60)[1], &whole[1], 2e-6, 2e-6);
    assert!(windowed(120, 60)[0].iter().all(|v| v.is_finite()));
}

#[test]
fn broken_weights_never_reach_the_output() {
    use virpack_core::model::Esm2Config;
    use virpack_core::model::{RandomTensors, TensorSource};
    struct Broken;
    impl TensorSource for Broken {
        fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, virpack_core::model::ModelError> {
            let mut values = RandomTensors { seed: 1 }.read(name, shape)?;
            if name.contains("word_embeddings") {
                values[23 * 32] = f32::NAN; // the row of C
            }
            Ok(values)
        }

        fn ending(&self, _end: &str) -> Vec<&str> {
            Vec::new()
        }
    }
    let cpu = Arc::new(Cpu::new(None).unwrap());
    let config = Esm2Config { intermediate: 64, ..Esm2Config::published(1, 32, 2) };
    let model = Arc::new(Esm2::build(&*cpu, config, &Broken).unwrap());
    let packer = virpack_seq::GreedyPacker::new(virpack_seq::PackerOptions::new(2048, 1024)).unwrap();
    let collator = virpack_seq::VarlenCollator::new(packer, Default::default()).unwrap();
    let records = Records::from_reader("x", &b">good\nMK\n>bad\nMCK\n"[..]).unwrap();
    let loader = virpack_seq::AsyncDataLoader::new(
        records,
        virpack_seq::EsmTokenizer::new(),
        collator,
        Default::default(),
    );
    let options = virpack_core::RunnerOptions::new(1);
    let runner =
        virpack_core::AsyncInferenceRunner::new(vec![(cpu, model)], loader.unwrap(), options).unwrap();
    let results: Vec<_> = runner.collect();
    let error = results.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(error.contains("bad") && !error.contains("good"), "{error}");
}
