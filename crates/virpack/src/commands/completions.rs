//! `virpack completions`.

use crate::failure::Failure;
use crate::stdout;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command, CommandFactory};
use clap_complete::{Shell, generate};
use virpack_core::model::mini;
use virpack_core::model::published::{NUCLEOTIDE, PUBLISHED, short_name};

/// The arguments of `virpack completions`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Writes the completions to stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = stdout::open()?;
    let mut script = Vec::new();
    let mut command = crate::Arguments::command().mut_subcommands(with_values);
    generate(arguments.shell, &mut command, "virpack", &mut script);
    Ok(std::io::Write::write_all(&mut out, &script)?)
}

/// Returns the command with the values that a shell may offer for options that also take others. If none of
/// them matches, shells offer files.
fn with_values(command: Command) -> Command {
    let is_predict = command.get_name() == "predict";
    command.mut_subcommands(with_values).mut_args(|argument| {
        let values = match argument.get_id().as_str() {
            "model" if is_predict => vec![mini::NAME.to_owned()],
            "model" | "models" | "protein_model" | "nucleotide_model" => models(),
            "device" => ["auto", "cpu", "cuda:0", "cuda:all"].map(Into::into).to_vec(),
            "shape" => PUBLISHED.iter().map(|model| model.size().to_owned()).collect(),
            "load" => ["orf", "prot", "reads"].map(Into::into).to_vec(),
            _ => return argument,
        };
        offering(argument, values)
    })
}

fn offering(argument: Arg, values: Vec<String>) -> Arg {
    argument.value_parser(PossibleValuesParser::new(values))
}

/// Returns all names of models, short and full.
fn models() -> Vec<String> {
    let full: Vec<&str> = PUBLISHED.iter().map(|model| model.name).chain(NUCLEOTIDE).collect();
    let short = full.iter().filter_map(|name| short_name(name));
    mini::MODELS
        .into_iter()
        .map(Into::into)
        .chain(short)
        .chain(full.iter().map(ToString::to_string))
        .collect()
}
