//! Embeds the sequences in its arguments on the CPU: the mean of each sequence's hidden states after the last
//! layer.
//!
//! ```text
//! cargo run --release -p virpack-model --example embed_sequences -- MODEL SEQUENCE...
//! cargo run --release -p virpack-model --example embed_sequences -- virpack-mini/peptide MKTLLVAGG MKAL
//! ```
//!
//! MODEL is a directory, a weights file, a published name such as `esm2_t6_8M_UR50D` (which is downloaded),
//! or `virpack-mini/peptide`. Each sequence is one line: its embedding, values separated by tabs.

use std::error::Error;

use virpack_device::{Backend, Cpu, Pool};
use virpack_model::hub::HubOptions;
use virpack_model::weights::Weights;
use virpack_model::{Model, ModelError, resolve};

/// The embedding of each sequence, `hidden` values each.
///
/// # Errors
///
/// Those of the model: no such name, a download that fails, weights that cannot be used.
pub(crate) fn embed(model: &str, sequences: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
    // `()` shows no progress of a download.
    let location = resolve(model, &HubOptions::from_env(), &())?;
    let cpu = Cpu::new(None)?;
    let model = Model::load(&cpu, &Weights::at(&location)?)?;

    // The tokens of all sequences end to end, and where each begins.
    let (mut input_ids, mut cu_seqlens) = (Vec::new(), vec![0]);
    for sequence in sequences {
        model.tokenizer.tokenize(sequence.as_bytes(), usize::MAX, &mut input_ids);
        cu_seqlens.push(input_ids.len() as i32);
    }
    let longest = cu_seqlens.windows(2).map(|bounds| (bounds[1] - bounds[0]) as usize).max();
    let packed = cpu.packed(&input_ids, &cu_seqlens, longest.unwrap_or(0))?;

    let encoder = &*model.encoder;
    let hidden = encoder.forward(&cpu, &packed, encoder.layers())?;
    let means = cpu.wait(cpu.pool(&hidden, &packed, Pool::Mean, encoder.span())?)?;
    Ok(means.chunks_exact(encoder.hidden_size()).map(<[f32]>::to_vec).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((model, sequences)) = arguments.split_first().filter(|(_, sequences)| !sequences.is_empty())
    else {
        return Err("give a model and at least one sequence".into());
    };
    let sequences: Vec<&str> = sequences.iter().map(String::as_str).collect();
    for row in embed(model, &sequences)? {
        println!("{}", row.iter().map(f32::to_string).collect::<Vec<_>>().join("\t"));
    }
    Ok(())
}
