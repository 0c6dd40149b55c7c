//! `virpack validate`.

use super::device::DeviceArguments;
use super::input::Inputs;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::messages;
use crate::stdout;
use crate::text::{count, grouped};
use crate::values::{parse_count, parse_limit, parse_whole};
use crate::watch::DownloadBar;
use clap::Args;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use virpack_core::model::hub::HubOptions;
use virpack_core::validate::{ComparedRecord, Difference, ValidateOptions, Validation, validate};
use virpack_core::{Event, TokenBudget};

/// The arguments of `virpack validate`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A directory or file of weights, a name (650M, dnabert-s; see `virpack models list`), or ORG/REPO on
    /// the Hugging Face Hub
    #[arg(long, short, value_name = "MODEL")]
    model: String,

    #[command(flatten)]
    inputs: Inputs,

    #[command(flatten)]
    device: DeviceArguments,

    /// Maximum number of records to compare; from a larger input the same evenly spaced records are taken
    /// each time
    #[arg(long, value_name = "N", default_value = "200", value_parser = parse_count)]
    records: NonZeroUsize,

    /// Maximum number of tokens in a batch; `auto` as in `virpack embed`
    #[arg(long, value_name = "N", default_value = "auto")]
    token_budget: TokenBudget,

    /// Largest relative difference allowed between packed and alone [default: none, they must have the same
    /// bits]
    #[arg(long, value_name = "X", value_parser = parse_limit)]
    max_packed: Option<f64>,

    /// Largest relative difference allowed from float32 [default: 1e-2 in f16, 8e-2 in bf16, 2e-1 in int8]
    #[arg(long, value_name = "X", value_parser = parse_limit)]
    max_float32: Option<f64>,

    /// Number of records to list, the worst first
    #[arg(long, value_name = "N", default_value = "5", value_parser = parse_whole)]
    worst: usize,

    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Compares and reports the result; records that differ too much are a failure.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = stdout::open()?;
    let bar = Arc::new(DownloadBar::new(LogArguments::lines(false)));
    let options = ValidateOptions::new(arguments.inputs.inputs(), &*arguments.model)
        .limits(arguments.inputs.limits.limits())
        .downloads(HubOptions::from_env(), bar)
        .device(arguments.device.options())
        .lengths(arguments.inputs.lengths()?)
        .token_budget(arguments.token_budget)
        .records(arguments.records.get())
        .packed_limit(arguments.max_packed)
        .float32_limit(arguments.max_float32);
    let found = validate(&options, |event| {
        if let Event::LeftOut(card) = event {
            LogArguments::lines(false).warn(messages::of_left_out(&card));
        }
    })?;
    if arguments.max_float32.is_some() && found.compared.iter().all(|compared| compared.float32.is_none()) {
        let precision = "the precision is float32, and nothing is compared with it";
        LogArguments::lines(false).warn(format_args!("--max-float32 does nothing: {precision}"));
    }
    if found.compared.is_empty() {
        return Err(Failure::NothingCompared { records: found.records });
    }
    if arguments.json {
        json(&mut out, &found)?
    } else {
        table(&mut out, &found, arguments.worst)?
    }
    match found.failed().count() {
        0 => Ok(()),
        failed => Err(Failure::Differs { failed, compared: found.compared.len() }),
    }
}

fn table(out: &mut impl Write, found: &Validation, worst: usize) -> std::io::Result<()> {
    let sampled = count(found.compared.len() as u64, "record", "records");
    writeln!(
        out,
        "{sampled} of {} on {}, batches of up to {} tokens",
        grouped(found.records),
        found.device,
        grouped(found.token_budget as u64)
    )?;
    writeln!(
        out,
        "\n{:38} {:>9} {:>9} {:>11}  passes",
        "largest difference", "max-abs", "relative", "1 - cosine"
    )?;
    line(out, "packed against alone", found.compared.iter().map(|c| c.packed), found.limits.packed)?;
    if found.compared.iter().any(|c| c.float32.is_some()) {
        let against = found.compared.iter().filter_map(|c| c.float32);
        line(out, "against float32", against, found.limits.float32)?;
    }
    let (same, all) = (found.same_bits(), found.compared.len());
    writeln!(out, "\npacked = alone: the same bits in {} of {}", grouped(same as u64), grouped(all as u64))?;
    writeln!(out, "\n{:24} {:>8}  packed against alone   against float32", "worst records", "residues")?;
    for compared in found.worst().iter().take(worst) {
        let ComparedRecord { id, length, packed, float32 } = compared;
        let float32 = float32.map_or_else(|| "-".to_owned(), |d| format!("{:.2e}", d.relative));
        let id = virpack_seq::shown_id(id);
        writeln!(out, "{id:24} {:>8}  {:20.2e}   {float32:>15}", grouped(*length), packed.relative)?;
    }
    let failed = found.failed().count();
    let verdict = if failed == 0 { "valid".to_owned() } else { format!("NOT valid: {failed} differ") };
    writeln!(out, "\n{verdict}")
}

/// Adds the largest of each kind of difference.
fn line(
    out: &mut impl Write,
    name: &str,
    differences: impl Iterator<Item = Difference>,
    limit: f64,
) -> std::io::Result<()> {
    let (mut max_abs, mut relative, mut angle) = (0f64, 0f64, 0f64);
    for difference in differences {
        max_abs = max_abs.max(difference.max_abs);
        relative = relative.max(difference.relative);
        angle = angle.max(1.0 - difference.cosine);
    }
    let passes = if limit == 0.0 { "the same bits".to_owned() } else { format!("{limit:.1e} relative") };
    writeln!(out, "{name:38} {max_abs:9.2e} {relative:9.2e} {angle:11.2e}  {passes}")
}

fn json(out: &mut impl Write, found: &Validation) -> std::io::Result<()> {
    let difference = |d: &Difference| serde_json::json!({ "max_abs": d.max_abs, "relative": d.relative, "cosine": d.cosine, "same_bits": d.same_bits });
    let record = |c: &ComparedRecord| {
        serde_json::json!({
            "id": c.id,
            "length": c.length,
            "packed_against_alone": difference(&c.packed),
            "against_float32": c.float32.as_ref().map(difference),
        })
    };
    let all = serde_json::json!({
        "device": found.device,
        "token_budget": found.token_budget,
        "records": found.records,
        "compared": found.compared.iter().map(record).collect::<Vec<_>>(),
        "limits": { "packed_against_alone": found.limits.packed, "against_float32": found.limits.float32 },
        "same_bits": found.same_bits(),
        "failed": found.failed().map(|c| c.id.as_str()).collect::<Vec<_>>(),
        "valid": found.failed().next().is_none(),
    });
    writeln!(out, "{all:#}")
}
