//! Checks that a record's embedding has the same bits in every packing.
//!
//!     same_bits MODEL DEVICES DTYPE RECORDS ALONE
//!
//! MODEL is the size of a published model (8M to 15B), whose weights are made up, or a directory of weights. DEVICES is
//! `cpu`, `cuda` or a list (`cuda:0,1`). RECORDS records of 1 to 1,022 residues are packed in batches of the
//! device's own budget; every row is compared with those of smaller budgets, of the records from back to front, of each device
//! by itself where there are several, and of ALONE records each in a batch of its own. Prints a line a way, and ends with 1
//! where a bit differs.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write;
use std::io::Cursor;
use std::process::ExitCode;
use std::sync::Arc;

use virpack_core::TokenBudget;
use virpack_core::device::{Device, Dtype};
use virpack_core::for_devices;
use virpack_core::memory;
use virpack_core::model::published::PUBLISHED;
use virpack_core::model::weights::Weights;
use virpack_core::model::{Esm2, RandomTensors};
use virpack_core::seq::{
    AsyncDataLoader, CollatorOptions, EsmTokenizer, GreedyPacker, LengthPolicy, LoaderOptions, PackerOptions,
    Records, VarlenCollator,
};
use virpack_core::{AsyncInferenceRunner, RunnerItem, RunnerOptions};
use virpack_core::{DeviceChoice, DeviceOptions};

type Failure = Box<dyn Error>;
type Rows = HashMap<String, Vec<f32>>;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, devices, dtype, records, alone] = &arguments[..] else {
        return Err("expected MODEL DEVICES DTYPE RECORDS ALONE".into());
    };
    let dtype = match &**dtype {
        "f32" => Dtype::F32,
        "f32-strict" => Dtype::F32Strict,
        "f16" => Dtype::F16,
        "bf16" => Dtype::Bf16,
        "int8" => Dtype::Int8,
        other => return Err(format!("{other} is no precision").into()),
    };
    let device: DeviceChoice = devices.parse()?;
    let options = DeviceOptions::default().device(device).dtype(dtype);
    let task = Task { model: model.clone(), records: records.parse()?, alone: alone.parse()?, dtype };
    let differing = for_devices!(options.open_all()?, |devices| task.run(devices)?);
    Ok(if differing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Task {
    model: String,
    dtype: Dtype,
    records: usize,
    alone: usize,
}

impl Task {
    fn run<B: Device + 'static>(&self, backends: Vec<Arc<B>>) -> Result<usize, Failure> {
        let lengths = LengthPolicy { min_length: 1, ..LengthPolicy::default() };
        let (mut devices, mut budget) = (Vec::new(), usize::MAX);
        for backend in backends {
            let published = PUBLISHED.iter().find(|p| p.name.contains(&format!("_{}_", self.model)));
            let model = match published {
                Some(published) => Esm2::build(&*backend, published.config(), &RandomTensors { seed: 1 })?,
                None => Esm2::load(&*backend, &Weights::at(&std::path::Path::new(&self.model).into())?)?,
            };
            let shape = model.config().shape();
            let asked = memory::token_budget(&*backend, &shape, &lengths, false, TokenBudget::Auto)?;
            budget = budget.min(memory::reserve(&*backend, &shape, &lengths, false, asked)?);
            devices.push((backend, Arc::new(model)));
        }
        let records = made_up(self.records);
        let all =
            |budget, sequences, records: &[String]| embed(&devices, &lengths, budget, sequences, records);
        let expected = all(budget, None, &records)?;
        let mut differing = 0;
        let mut compare = |way: String, rows: &Rows| {
            let apart = |(id, row): &(&String, &Vec<f32>)| -> Option<(usize, f32)> {
                let pairs = || row.iter().zip(&expected[*id]);
                let bits = pairs().map(|(a, b)| (a.to_bits() ^ b.to_bits()).count_ones() as usize).sum();
                let most = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                (bits > 0).then_some((bits, most))
            };
            let apart: Vec<_> = rows.iter().filter_map(|row| apart(&row)).collect();
            let bits: usize = apart.iter().map(|(bits, _)| bits).sum();
            let most = apart.iter().map(|(_, most)| *most).fold(0.0, f32::max);
            println!(
                "{} {} {way}: {} of {} rows differ, {bits} bits, up to {most:.1e}",
                self.model,
                self.dtype,
                apart.len(),
                rows.len()
            );
            differing += apart.len();
        };
        compare(format!("again in batches of {budget}"), &all(budget, None, &records)?);
        for budget in [budget / 3, 5_000] {
            compare(format!("in batches of {budget}"), &all(budget, None, &records)?);
        }
        let back: Vec<String> = records.iter().rev().cloned().collect();
        compare("from back to front".into(), &all(budget, None, &back)?);
        if devices.len() > 1 {
            for device in &devices {
                let one = embed(std::slice::from_ref(device), &lengths, budget, None, &records)?;
                compare(format!("on {} by itself", device.0.name()), &one);
            }
        }
        // Evenly distributed lengths.
        let step = (self.records / self.alone.max(1)).max(1);
        let sample: Vec<String> = records.iter().step_by(step).take(self.alone).cloned().collect();
        compare("alone".into(), &all(budget, Some(1), &sample)?);
        devices[0].0.computed_by().iter().for_each(|line| println!("  {line}"));
        Ok(differing)
    }
}

/// Returns records of residues drawn by a fixed rule, with lengths from 1 to 1,022.
fn made_up(count: usize) -> Vec<String> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let record = |i: usize| {
        let length = if i < 2 { [1, 1022][i] } else { 1 + random(1022) };
        let mut text = format!(">{i}\n");
        text.extend((0..length).map(|_| char::from(b"LAGVSERTIDPKQNFYMHWC"[random(20)])));
        let _ = writeln!(text);
        text
    };
    (0..count).map(record).collect()
}

fn embed<B: Device + 'static>(
    devices: &[(Arc<B>, Arc<Esm2<B>>)],
    lengths: &LengthPolicy,
    token_budget: usize,
    sequences: Option<usize>,
    records: &[String],
) -> Result<Rows, Failure> {
    let records = Records::from_reader("made-up records", Cursor::new(records.concat()))?;
    let mut packing = PackerOptions::new(token_budget, lengths.max_tokens());
    if let Some(most) = sequences {
        packing = packing.max_sequences(most);
    }
    let options = CollatorOptions::default().buffer_size(10_000);
    let collator = VarlenCollator::new(GreedyPacker::new(packing)?, options)?;
    let options = LoaderOptions::default().lengths(*lengths);
    let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options)?;
    let layers = devices[0].1.config().layers;
    let runner = AsyncInferenceRunner::new(devices.to_vec(), loader, RunnerOptions::new(layers))?;
    let mut all = Rows::new();
    for finished in runner {
        if let RunnerItem::Embeddings(embeddings) = finished? {
            all.extend(embeddings.iter().map(|(row, values)| (row.id.to_string(), values.to_vec())));
        }
    }
    Ok(all)
}
